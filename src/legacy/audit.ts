import pLimit from 'p-limit';
import type { FileCatalog } from '../catalog/file-catalog.ts';
import type { FieldValues, LegacyRecord } from '../catalog/legacy-records.ts';
import { isAssetError } from '../errors/asset-error.ts';
import { sizeOfBytes } from '../files/bytes.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { ObjectCopier } from '../storage/object-copier.ts';
import type { ListedObject } from '../storage/object-reader.ts';
import type { AuditLine, AuditReport, AuditState, ObjectStatus } from './audit-report.ts';
import { differencesOf, type HeaderDifference } from './headers.ts';
import { keysOf } from './layout.ts';
import { locate, type OldBucket } from './locate.ts';
import { readOldPath } from './old-path.ts';

/** The old system and what the service has of it. */
export interface OldSystem {
  readonly bucket: OldBucket;
  readonly catalog: FileCatalog;
  readonly store: BlobStore;
  /** Copies within the server that both buckets are on; undefined if they are on different ones. */
  readonly copier?: ObjectCopier | undefined;
}

/** How an audit is run. */
export interface AuditOptions {
  /** Takes the lines of one step; what it resolves with is the size of the report then, in bytes. */
  readonly write: (lines: readonly AuditLine[]) => Promise<number>;
  /** Is called before the first line with the size that the report had when the state was kept. */
  readonly begin: (reportBytes: number) => Promise<void>;
  /** Is told of every step. */
  readonly onProgress?: (state: AuditState) => void;
  /** True to begin at the beginning, also where a run before did not come to its end. */
  readonly restart?: boolean;
  /** Records of one step; 500 where left out. */
  readonly pageSize?: number;
}

/** Name under which the catalog keeps the state. */
export const AUDIT_STATE = 'legacy-audit';

const PAGE = 500;
const CONCURRENCY = 16;

/** Key of a thumb of PocketBase: the file's own key with two more segments. */
const THUMB = /\/thumbs_([^/]+)\/[^/]*_\1$/s;

const BEGINNING = { phase: 'records', cursor: '', records: {}, objects: {}, reportBytes: 0 } as const;

/**
 * Holds records and objects against each other and changes nothing but its own state: each record's object is asked for, each
 * object's record is looked up. The memory that it takes does not grow with their number.
 *
 * @throws AssetError STORE_UNAVAILABLE, CATALOG_UNAVAILABLE where nothing of a step could be found out; another run goes on
 */
export async function audit(
  system: OldSystem,
  options: AuditOptions,
  signal: AbortSignal,
): Promise<AuditReport> {
  const { catalog, bucket } = system;
  const kept = (await catalog.legacy.getState(AUDIT_STATE, { signal })) as AuditState | undefined;
  const goesOn = kept !== undefined && kept.phase !== 'done' && options.restart !== true;
  let state: AuditState = goesOn ? kept : { ...BEGINNING, startTime: new Date().toISOString() };
  await options.begin(state.reportBytes);
  const [sample] = await bucket.reader.list('', { signal });
  const access = await bucket.reader.publicAccess(sample?.key, { signal });
  const findings = await catalog.inspect({ relations: [], usages: [] }, { signal });
  const resumedFrom = goesOn ? `${state.phase} ${state.cursor}`.trim() : '';
  while (state.phase !== 'done') {
    signal.throwIfAborted();
    const step =
      state.phase === 'records'
        ? await lookAtRecords(system, state, options.pageSize ?? PAGE, signal)
        : await lookAtObjects(system, state, signal);
    state = { ...step.state, reportBytes: await options.write(step.lines) };
    await catalog.legacy.putState(AUDIT_STATE, { ...state }, { signal });
    options.onProgress?.(state);
  }
  return { ...state, resumedFrom, access, findings };
}

interface Step {
  readonly state: AuditState;
  readonly lines: readonly AuditLine[];
}

async function lookAtRecords(
  system: OldSystem,
  state: AuditState,
  pageSize: number,
  signal: AbortSignal,
): Promise<Step> {
  const page = await system.catalog.legacy.scan(state.cursor, pageSize, { signal });
  const limit = pLimit(CONCURRENCY);
  const unanswered: unknown[] = [];
  const lines = await Promise.all(
    page.map((record) =>
      limit(async (): Promise<AuditLine & { kind: 'file' }> => {
        const { file } = record;
        try {
          return { kind: 'file', id: file.id, ...(await statusOf(system, record, signal)) };
        } catch (error) {
          // Once many got no answer the rest would only take its time over it.
          if (!isAssetError(error, 'STORE_UNAVAILABLE') || unanswered.push(error) > CONCURRENCY * 2)
            throw error;
          return { kind: 'file', id: file.id, status: 'unknown' };
        }
      }),
    ),
  );
  if (page.length > 0 && unanswered.length === page.length) throw unanswered[0];
  const last = page.at(-1);
  const old = page.filter(({ file }) => file.sha256 === undefined).map(({ file }) => file);
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
      records: added(
        state.records,
        lines.map(({ status }) => status),
      ),
      headers: added(
        state.headers ?? {},
        lines.flatMap(({ differs = {} }) => Object.keys(differs) as HeaderDifference[]),
      ),
    },
  };
}

async function statusOf(
  { bucket, store }: OldSystem,
  { file, fields }: LegacyRecord,
  signal: AbortSignal,
): Promise<Omit<AuditLine & { kind: 'file' }, 'kind' | 'id'>> {
  if (file.sha256 !== undefined) {
    const sizeBytes = await sizeOfBytes(store, file.id, { signal });
    return { status: sizeBytes === file.sizeBytes ? 'moved' : 'moved-damaged' };
  }
  const place = await locate(bucket, file, fields, signal);
  if (place.damage !== undefined) return { status: place.damage, ...(place.key && { key: place.key }) };
  const differs = differencesOf(file, place.info, store.keepsHeaders);
  return { status: 'whole', key: place.key, ...(Object.keys(differs).length > 0 && { differs }) };
}

/** Objects whose record cannot be asked for fail the step: the catalog is one, and answers or does not. */
async function lookAtObjects(
  { bucket, catalog }: OldSystem,
  state: AuditState,
  signal: AbortSignal,
): Promise<Step> {
  const page = await bucket.reader.list(state.cursor, { signal });
  const asked = page.map((object) => ({ object, path: readOldPath(object.key, bucket.layouts) }));
  const ids = [...new Set(asked.flatMap(({ path }) => path.ids))];
  const fields = new Map<string, FieldValues>();
  for (let at = 0; at < ids.length; at += 200) {
    const some = await catalog.legacy.fieldsOf(ids.slice(at, at + 200), { signal });
    for (const [id, values] of some) fields.set(id, values);
  }
  const lines = asked.map(({ object, path }): AuditLine & { kind: 'object' } => {
    const keys = path.ids.flatMap((id) => keysOf(bucket.layouts, fields.get(id) ?? {}));
    return { kind: 'object', key: object.key, status: objectStatus(object, keys) };
  });
  const last = page.at(-1);
  return {
    // Objects of records have a line with their record.
    lines: lines.filter(({ status }) => status !== 'known' && status !== 'thumb'),
    state: {
      ...state,
      ...(last === undefined ? { phase: 'done' } : { cursor: last.key }),
      objects: added(
        state.objects,
        lines.map(({ status }) => status),
      ),
    },
  };
}

function objectStatus({ key }: ListedObject, keys: readonly string[]): ObjectStatus {
  if (keys.includes(key)) return 'known';
  const original = key.replace(THUMB, '/$1');
  if (original === key) return 'orphan';
  return keys.includes(original) ? 'thumb' : 'orphan-thumb';
}

function added<Status extends string>(
  counts: Readonly<Partial<Record<Status, number>>>,
  statuses: readonly Status[],
): Readonly<Partial<Record<Status, number>>> {
  const sums = new Map(Object.entries(counts) as [Status, number][]);
  for (const status of statuses) sums.set(status, (sums.get(status) ?? 0) + 1);
  return Object.fromEntries(sums) as Partial<Record<Status, number>>;
}
