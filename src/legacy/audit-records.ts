import pLimit from 'p-limit';
import type { LegacyRecord } from '../catalog/legacy-records.ts';
import { isAssetError } from '../errors/asset-error.ts';
import { blobKey, sizeOfBytes } from '../files/bytes.ts';
import { digestOf } from '../files/upload/checksums.ts';
import type { Pace } from '../system/rate.ts';
import type { OldSystem } from './old-system.ts';
import { counted, type AuditLine, type AuditState, type AuditStep } from './audit-report.ts';
import { checksumsOf, contradicted } from './checksums.ts';
import { differencesOf, type HeaderDifference } from './headers.ts';
import { locate } from './locate.ts';

const CONCURRENCY = 16;

type FileLine = AuditLine & { readonly kind: 'file' };

/** Looks up the objects of the next page of records. */
export async function lookAtRecords(
  system: OldSystem,
  state: AuditState,
  { pageSize, pace }: { readonly pageSize: number; readonly pace?: Pace | undefined },
  signal: AbortSignal,
): Promise<AuditStep> {
  const page = await system.catalog.legacy.scan(state.cursor, pageSize, { signal });
  const limit = pLimit(CONCURRENCY);
  const unanswered: unknown[] = [];
  const lines = await Promise.all(
    page.map((record) =>
      limit(async (): Promise<FileLine> => {
        const { file } = record;
        await pace?.(1, signal);
        try {
          return {
            kind: 'file',
            id: file.id,
            ...(await statusOf(system, record, state.full === true, signal)),
          };
        } catch (error) {
          // After many records without an answer, do not wait for the others to time out.
          if (
            !isAssetError(error, 'STORE_UNAVAILABLE', 'BLOB_MISSING') ||
            unanswered.push(error) > CONCURRENCY * 2
          )
            throw error;
          return { kind: 'file', id: file.id, status: 'unknown' };
        }
      }),
    ),
  );
  if (page.length > 0 && unanswered.length === page.length) throw unanswered[0];
  const last = page.at(-1);
  const old = page.filter(({ file }) => file.sha256 === undefined).map(({ file }) => file);
  const { since } = state;
  const past = old.filter(({ createTime }) => since !== undefined && createTime > new Date(since));
  const latest = [
    state.lastOldWrite,
    ...old.map((file) => ({ id: file.id, time: file.createTime.toISOString() })),
  ]
    .filter((one) => one !== undefined)
    .reduce<AuditState['lastOldWrite']>((a, b) => (a !== undefined && a.time >= b.time ? a : b), undefined);
  return {
    lines,
    state: {
      ...state,
      ...(page.length < pageSize ? { phase: 'objects', cursor: '' } : { cursor: last!.file.id }),
      ...(latest && { lastOldWrite: latest }),
      recordsPastService: (state.recordsPastService ?? 0) + past.length,
      records: counted(
        state.records,
        lines.map(({ status }) => status),
      ),
      headers: counted(
        state.headers ?? {},
        lines.flatMap(({ differs = {} }) => Object.keys(differs) as HeaderDifference[]),
      ),
    },
  };
}

async function statusOf(
  { bucket, store }: OldSystem,
  { file, fields }: LegacyRecord,
  isFull: boolean,
  signal: AbortSignal,
): Promise<Omit<FileLine, 'kind' | 'id'>> {
  if (file.sha256 !== undefined) {
    const sizeBytes = await sizeOfBytes(store, file.id, { signal });
    const isWhole = sizeBytes === file.sizeBytes && (!isFull || (await isUnchanged(store, file, signal)));
    return { status: isWhole ? 'moved' : 'moved-damaged' };
  }
  const place = await locate(bucket, file, fields, signal);
  if (place.damage !== undefined) return { status: place.damage, ...(place.key && { key: place.key }) };
  const { key, info } = place;
  if (isFull) {
    const known = checksumsOf(fields, info, await bucket.reader.checksums(key, { signal }));
    const content = await bucket.reader.read(key, info.etag, undefined, { signal });
    const wrong = await contradicted(content, known);
    if (wrong !== undefined) return { status: 'checksum-mismatch', key, why: wrong };
  }
  const differs = differencesOf(file, info, store.keepsHeaders);
  return { status: 'whole', key, ...(Object.keys(differs).length > 0 && { differs }) };
}

async function isUnchanged(
  store: OldSystem['store'],
  { id, sha256 }: LegacyRecord['file'],
  signal: AbortSignal,
): Promise<boolean> {
  const digest = await digestOf(await store.read(blobKey(id), undefined, { signal }));
  return Buffer.compare(digest.sha256, sha256!) === 0;
}
