import { createHash } from 'node:crypto';
import pLimit from 'p-limit';
import type { FileCatalog, FileRecord } from '../catalog/file-catalog.ts';
import { isAssetError } from '../errors/asset-error.ts';
import { Digest, summed } from '../files/upload/checksums.ts';
import { blobKey } from '../files/bytes.ts';

import type { BlobStore } from '../storage/blob-store.ts';

/** What is wrong with the bytes of a file. */
export type VerifyReason = 'missing' | 'size' | 'sha256' | 'crc32c';

/** Progress and result of a verification, stored in the catalog, so that another run continues. */
export interface VerifyState {
  readonly state: 'running' | 'done';
  readonly startTime: string;
  /** When it ended; empty while it runs. */
  readonly endTime: string;
  readonly cursor: string;
  /** Percentage of the files to read. */
  readonly sample: number;
  /** Only files whose record changed at this time or later are read; ISO 8601, empty for all. */
  readonly since: string;
  /** Number of files that were read completely or found to be damaged. */
  readonly checked: number;
  readonly bytes: number;
  /** Number of files for which the store did not answer. */
  readonly unknown: number;
  /** Number of files without a checksum: their bytes are still in the old bucket. */
  readonly notMoved: number;
  readonly damagedCount: number;
  /** The first 1,000 damaged files. */
  readonly damaged: readonly { readonly id: string; readonly reason: VerifyReason }[];
}

/** Options of {@link verify}. */
export interface VerifyOptions {
  /** Percentage of the files to read: above 0, up to 100. Each run selects other files. */
  readonly sample: number;
  /** Reads only files whose record changed at this time or later. */
  readonly since: Date | undefined;
  /** True to start at the beginning, even if the last run was interrupted. */
  readonly restart: boolean;
  readonly onProgress?: (state: VerifyState) => void;
  /** Records per step; default 200. */
  readonly pageSize?: number;
}

/** Name of the state in the catalog. */
export const VERIFY_STATE = 'verify';

const PAGE = 200;
const CONCURRENCY = 4;
const MAX_DAMAGED = 1_000;

/**
 * Reads the bytes of files in the store of the service and compares them with their records. Changes only its own
 * state.
 *
 * @returns the state, and the position at which this run continued (empty for a run from the beginning)
 * @throws AssetError CATALOG_UNAVAILABLE; STORE_UNAVAILABLE if no file of a step could be read. Another run continues
 */
export async function verify(
  parts: { readonly catalog: FileCatalog; readonly store: BlobStore },
  options: VerifyOptions,
  signal: AbortSignal,
): Promise<VerifyState & { readonly resumedFrom: string }> {
  const { legacy } = parts.catalog;
  const { sample, pageSize = PAGE } = options;
  const since = options.since?.toISOString() ?? '';
  const kept = await verifyState(parts.catalog, signal);
  const isSame = kept?.state === 'running' && kept.sample === sample && kept.since === since;
  const goesOn = isSame && !options.restart;
  let state: VerifyState = goesOn
    ? kept
    : {
        ...{ state: 'running', startTime: new Date().toISOString(), endTime: '', cursor: '', sample, since },
        ...{ checked: 0, bytes: 0, unknown: 0, notMoved: 0, damagedCount: 0, damaged: [] },
      };
  const resumedFrom = goesOn ? state.cursor : '';
  while (state.state === 'running') {
    signal.throwIfAborted();
    const page = await legacy.scan(state.cursor, pageSize, { signal });
    const files = page.map(({ file }) => file).filter((file) => isWanted(file, state));
    const limit = pLimit(CONCURRENCY);
    const results = await Promise.all(files.map((file) => limit(() => checkOne(parts, file, signal))));
    const unknown = results.filter((result) => result.end === 'unknown');
    if (unknown.length > 1 && unknown.length === files.length) throw unknown[0]!.error;
    const isLast = page.length < pageSize;
    state = {
      ...added(state, results),
      cursor: page.at(-1)?.file.id ?? state.cursor,
      ...(isLast && { state: 'done', endTime: new Date().toISOString() }),
    };
    await legacy.putState(
      VERIFY_STATE,
      { ...state, damaged: state.damaged.map((one) => ({ ...one })) },
      { signal },
    );
    options.onProgress?.(state);
  }
  return { ...state, resumedFrom };
}

/** The state of the last verification; undefined if there was none. */
export async function verifyState(
  catalog: FileCatalog,
  signal?: AbortSignal,
): Promise<VerifyState | undefined> {
  const state: unknown = await catalog.legacy.getState(VERIFY_STATE, { ...(signal && { signal }) });
  return state as VerifyState | undefined;
}

interface Result {
  readonly id: string;
  readonly end: 'whole' | 'gone' | 'not-moved' | 'unknown' | VerifyReason;
  readonly bytes: number;
  readonly error?: unknown;
}

/** Selects a sample by a hash of the id and the start of the run, so that each run has other files. */
function isWanted({ id, updateTime }: FileRecord, { sample, since, startTime }: VerifyState): boolean {
  if (since !== '' && updateTime < new Date(since)) return false;
  if (sample >= 100) return true;
  const place = createHash('sha256').update(`${startTime} ${id}`).digest().readUInt32BE(0) / 2 ** 32;
  return place * 100 < sample;
}

async function checkOne(
  { catalog, store }: { readonly catalog: FileCatalog; readonly store: BlobStore },
  file: FileRecord,
  signal: AbortSignal,
): Promise<Result> {
  const { id } = file;
  if (file.sha256 === undefined) return { id, end: 'not-moved', bytes: 0 };
  try {
    const digest = new Digest();
    const reason = await compare(store, file, digest, signal);
    if (reason === undefined) return { id, end: 'whole', bytes: digest.sizeBytes };
    // The file may have been purged meanwhile.
    const now = (await catalog.get([id], { signal })).get(id);
    return { id, end: now === undefined ? 'gone' : reason, bytes: digest.sizeBytes };
  } catch (error) {
    if (!isAssetError(error, 'STORE_UNAVAILABLE')) throw error;
    return { id, end: 'unknown', bytes: 0, error };
  }
}

async function compare(
  store: BlobStore,
  file: FileRecord,
  digest: Digest,
  signal: AbortSignal,
): Promise<VerifyReason | undefined> {
  try {
    for await (const chunk of await store.read(blobKey(file.id), undefined, { signal })) {
      digest.update(summed(chunk as Uint8Array));
    }
  } catch (error) {
    if (isAssetError(error, 'BLOB_MISSING')) return 'missing';
    throw error;
  }
  const { sizeBytes, sha256, crc32c } = digest.finish();
  if (sizeBytes !== file.sizeBytes) return 'size';
  if (Buffer.compare(sha256, file.sha256!) !== 0) return 'sha256';
  return file.crc32c !== undefined && file.crc32c !== crc32c ? 'crc32c' : undefined;
}

function added(state: VerifyState, results: readonly Result[]): VerifyState {
  const count = (...ends: Result['end'][]) => results.filter(({ end }) => ends.includes(end)).length;
  const reasons = ['missing', 'size', 'sha256', 'crc32c'] as const;
  const damaged = results.flatMap(({ id, end }) => {
    const reason = reasons.find((one) => one === end);
    return reason === undefined ? [] : [{ id, reason }];
  });
  return {
    ...state,
    checked: state.checked + count('whole', ...reasons),
    bytes: state.bytes + results.reduce((sum, { bytes }) => sum + bytes, 0),
    unknown: state.unknown + count('unknown'),
    notMoved: state.notMoved + count('not-moved'),
    damagedCount: state.damagedCount + damaged.length,
    damaged: [...state.damaged, ...damaged].slice(0, MAX_DAMAGED),
  };
}
