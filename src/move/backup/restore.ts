import pLimit from 'p-limit';
import type { FileCatalog } from '../../catalog/file-catalog.ts';
import { importFile } from '../../catalog/transfer.ts';
import { isAssetError } from '../../errors/asset-error.ts';
import { blobKey } from '../../files/bytes.ts';
import { reached } from '../../system/crash-points.ts';
import { withoutPurges } from '../../files/sweep/purge-hold.ts';
import { checkFile, VERIFY_REASONS, type VerifyReason } from '../check-file.ts';
import { recordDifference } from '../record-difference.ts';
import type { BackupParts } from './backup.ts';
import { copyBytes } from './copy.ts';
import { filesOf } from './entries.ts';
import { BackupFault } from './fault.ts';
import type { BackupFile, Manifest } from './format.ts';

/** Progress and result of a restore. The catalog keeps it, so that another run continues. */
export interface RestoreState {
  readonly state: 'running' | 'done';
  /** Name of the backup. */
  readonly backup: string;
  readonly startTime: string;
  /** Empty until it is done. */
  readonly endTime: string;
  /** Id of the last restored file. */
  readonly cursor: string;
  /** Restored records; each was read back and is equal to that of the backup. */
  readonly records: number;
  /** Files whose bytes were written, read back and compared with their records, and the number of these bytes. */
  readonly proven: number;
  readonly provenBytes: number;
  /** Files whose bytes were in the old bucket when the backup was made. */
  readonly notMoved: number;
  /** Restored files whose headers the store does not keep, such as their `Content-Encoding`. */
  readonly headersLost?: number;
  readonly damagedCount: number;
  /** The first 1,000 files whose bytes the backup does not have, or has damaged. Their records are restored. */
  readonly damaged: readonly { readonly id: string; readonly reason: VerifyReason }[];
}

/** Options of {@link restore}. */
export interface RestoreOptions {
  /** Name of the backup; default the last one. */
  readonly backup?: string | undefined;
  /** Called once if something purges, or a killed backup or restore still holds back purges for a minute. */
  readonly onWait?: () => void;
  readonly onProgress?: (state: RestoreState, total: number) => void;
}

const STATE = 'restore';
const CONCURRENCY = 4;
const MAX_DAMAGED = 1_000;
/** Records in one call of `exportOnly`. */
const EXPORTED = 200;

/**
 * Writes the files of a backup into an empty store and an empty catalog, and proves each: the record and the bytes are
 * read back and compared. A restore that was killed is continued. Holds back purges meanwhile: what was deleted and not
 * purged stays so.
 *
 * @throws BackupFault if there is no such backup, the store or the catalog is not empty, or a record cannot be restored
 */
export async function restore(
  parts: BackupParts,
  options: RestoreOptions,
  signal: AbortSignal,
): Promise<RestoreState & { readonly resumedFrom: string }> {
  const kept = (await parts.catalog.legacy.getState(STATE, { signal })) as RestoreState | undefined;
  const started = kept?.state === 'running' ? kept.backup : undefined;
  const manifest = await manifestOf(parts, options.backup ?? started, signal);
  if (kept !== undefined && kept.backup !== manifest.name) {
    const where = kept.state === 'done' ? 'was restored here' : 'is being restored here';
    throw new BackupFault(
      `the backup ${kept.backup} ${where}: name it with --backup, or restore into an empty store and an empty catalog`,
    );
  }
  if (kept?.state === 'done') return { ...kept, resumedFrom: kept.cursor };
  if (kept === undefined) await assertEmpty(parts, signal);
  const work = (held: AbortSignal) => run(parts, manifest, kept, options, held);
  const state = await withoutPurges(parts.catalog, signal, () => options.onWait?.(), work);
  return { ...state, resumedFrom: kept?.cursor ?? '' };
}

/**
 * The manifest of a backup; of the last one if `wanted` is undefined.
 *
 * @throws BackupFault if there is none
 */
export async function manifestOf(
  { place }: Pick<BackupParts, 'place'>,
  wanted: string | undefined,
  signal: AbortSignal,
): Promise<Manifest> {
  const names = await place.finished(signal);
  const name = wanted ?? names.at(-1);
  if (name === undefined) throw new BackupFault('there is no finished backup at this place');
  if (!names.includes(name)) {
    throw new BackupFault(`there is no finished backup ${name}; there are: ${names.join(', ') || 'none'}`);
  }
  return place.manifest(name, signal);
}

async function assertEmpty({ catalog, store }: BackupParts, signal: AbortSignal): Promise<void> {
  const call = { signal };
  const [file] = await catalog.exportFiles('', 1, call);
  if (file !== undefined) {
    throw new BackupFault(
      `the catalog (${catalog.kind}) is not empty: it has the file ${file.record.id}. Restore into an empty one`,
    );
  }
  for (const prefix of ['assets/', 'uploads/']) {
    const [blob] = await store.listBlobs({ prefix, limit: 1 }, call);
    if (blob === undefined) continue;
    throw new BackupFault(
      `the store (${store.kind}) is not empty: it has ${blob.key}. Restore into an empty one`,
    );
  }
}

async function run(
  parts: BackupParts,
  manifest: Manifest,
  kept: RestoreState | undefined,
  { onProgress }: RestoreOptions,
  signal: AbortSignal,
): Promise<RestoreState> {
  let state: RestoreState = kept ?? {
    ...{ state: 'running', backup: manifest.name, startTime: new Date().toISOString(), endTime: '' },
    ...{ cursor: '', records: 0, proven: 0, provenBytes: 0, notMoved: 0, damagedCount: 0, damaged: [] },
  };
  const save = async () => {
    const damaged = state.damaged.map((one) => ({ ...one }));
    await parts.catalog.legacy.putState(STATE, { ...state, damaged }, { signal });
    onProgress?.(state, manifest.files);
  };
  if (kept === undefined) await save();
  reached('restore.begun');
  const unsetIsZero = [parts.catalog.kind, manifest.catalog].includes('pocketbase');
  for await (const page of filesOf(parts.place, manifest, signal)) {
    const files = page.filter(({ record }) => record.id > state.cursor);
    if (files.length === 0) continue;
    // A catalog that takes no times of others, or refuses records, says so before bytes are copied.
    if (state.records === 0) await importRecord(parts.catalog, files[0]!, signal);
    const limit = pLimit(CONCURRENCY);
    const works = files.map((file) => limit(() => restoreFile(parts, file, signal)));
    await Promise.allSettled(works);
    state = added(state, files, await Promise.all(works));
    await assertRecords(parts.catalog, files, { unsetIsZero }, signal);
    const lost = parts.store.keepsHeaders ? 0 : files.filter(({ properties }) => properties).length;
    const cursor = files.at(-1)!.record.id;
    state = { ...state, cursor, headersLost: (state.headersLost ?? 0) + lost };
    await save();
    reached('restore.page-proven');
  }
  state = { ...state, state: 'done', endTime: new Date().toISOString() };
  await save();
  return state;
}

type Restored = 'proven' | 'not-moved' | VerifyReason;

/** Writes the bytes and then the record, so that nobody sees a file before its bytes. */
async function restoreFile(parts: BackupParts, file: BackupFile, signal: AbortSignal): Promise<Restored> {
  signal.throwIfAborted();
  const result = await restoreBytes(parts, file, signal);
  await importRecord(parts.catalog, file, signal);
  reached('restore.record-written');
  return result;
}

async function restoreBytes(
  parts: BackupParts,
  { record, damaged, properties }: BackupFile,
  signal: AbortSignal,
): Promise<Restored> {
  if (record.sha256 === undefined) return 'not-moved';
  if (damaged !== undefined) return damaged;
  const { store, place } = parts;
  const key = blobKey(record.id);
  const from = { store: place.store, key: place.bytesKey(record.sha256) };
  for (;;) {
    const limits = { ...parts, ...(properties && store.keepsHeaders && { properties }) };
    const copied = await copyBytes(record, from, { store, key }, limits, signal);
    reached('restore.bytes-written');
    if (copied !== 'created' && copied !== 'exists') return copied;
    // The record is the one of the backup, whether it is in the catalog already or not.
    const catalog = { get: () => Promise.resolve(new Map([[record.id, record]])) };
    const { end, error } = await checkFile({ catalog, store }, record, signal);
    if (end === 'whole') return 'proven';
    if (end === 'unknown') throw error;
    const isDamaged = VERIFY_REASONS.some((reason) => reason === end);
    if (copied === 'created' || !isDamaged) {
      throw new BackupFault(
        `the store does not give back the bytes of ${record.id} as they were written: ${end}`,
      );
    }
    await store.delete(key, { signal });
  }
}

async function importRecord(
  catalog: FileCatalog,
  { record, requestKey }: BackupFile,
  signal: AbortSignal,
): Promise<void> {
  try {
    await importFile(catalog, { record, ...(requestKey !== undefined && { requestKey }) }, { signal });
  } catch (error) {
    if (!isAssetError(error) || error.reason === 'CATALOG_UNAVAILABLE') throw error;
    throw new BackupFault(
      `the catalog refuses the record of ${record.id}: ${error.reason}: ${error.message}`,
    );
  }
}

/** Throws unless the catalog gives back each record as it is in the backup. */
async function assertRecords(
  catalog: FileCatalog,
  files: readonly BackupFile[],
  options: Parameters<typeof recordDifference>[2],
  signal: AbortSignal,
): Promise<void> {
  const ids = files.map(({ record }) => record.id);
  for (let at = 0; at < ids.length; at += EXPORTED) {
    const page = await catalog.exportOnly(ids.slice(at, at + EXPORTED), { signal });
    const found = new Map(page.map((file) => [file.record.id, file]));
    for (const file of files.slice(at, at + EXPORTED)) {
      const { id } = file.record;
      const difference = recordDifference(file, found.get(id), options);
      if (difference === undefined) continue;
      throw new BackupFault(
        `the catalog does not give back the record of ${id} as it was written: ${difference}`,
      );
    }
  }
}

function added(
  state: RestoreState,
  files: readonly BackupFile[],
  results: readonly Restored[],
): RestoreState {
  const damaged = results.flatMap((result, at) =>
    result === 'proven' || result === 'not-moved' ? [] : [{ id: files[at]!.record.id, reason: result }],
  );
  const bytes = files.filter((_file, at) => results[at] === 'proven').map(({ record }) => record.sizeBytes);
  return {
    ...state,
    records: state.records + files.length,
    proven: state.proven + bytes.length,
    provenBytes: state.provenBytes + bytes.reduce((sum, size) => sum + size, 0),
    notMoved: state.notMoved + results.filter((result) => result === 'not-moved').length,
    damagedCount: state.damagedCount + damaged.length,
    damaged: [...state.damaged, ...damaged].slice(0, MAX_DAMAGED),
  };
}
