import { createHash } from 'node:crypto';
import pLimit from 'p-limit';
import type { FileCatalog, FileRecord } from '../catalog/file-catalog.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { paceOf, type Pace } from '../system/rate.ts';
import {
  checkFile,
  VERIFY_REASONS,
  type CheckedFile,
  type CheckParts,
  type VerifyReason,
} from './check-file.ts';

/** Progress and result of a verification. The catalog keeps it, so that another run continues. */
export interface VerifyState {
  readonly state: 'running' | 'done';
  readonly startTime: string;
  /** Empty until it is done. */
  readonly endTime: string;
  /** Id of the last file of the part that is done. */
  readonly cursor: string;
  /** Percentage of the files to read. */
  readonly sample: number;
  /** Only files changed since this time; empty for all. */
  readonly since: string;
  /** Files whose bytes were read to the end, or found to be damaged. */
  readonly checked: number;
  readonly bytes: number;
  /** Files about which the store gave no answer. */
  readonly unknown: number;
  /** Files without a checksum: their bytes are still in the old bucket. */
  readonly notMoved: number;
  readonly damagedCount: number;
  /** The first 1,000 of them, in the order of ids. */
  readonly damaged: readonly { readonly id: string; readonly reason: VerifyReason }[];
}

/** Options of {@link verify}. */
export interface VerifyOptions {
  /** Percentage of the files to read, above 0 and up to 100. Each run chooses other files. */
  readonly sample: number;
  /** Only files whose record changed at this time or later. */
  readonly since: Date | undefined;
  /** True to start over even if the previous run did not finish. */
  readonly restart: boolean;
  /** Name under which the catalog keeps the state; default {@link VERIFY_STATE}. */
  readonly stateName?: string;
  /** Maximum number of files, and of bytes, read per second; default unlimited. */
  readonly filesPerSecond?: number | undefined;
  readonly bytesPerSecond?: number | undefined;
  /** Awaited before each file is read. */
  readonly beforeFile?: (file: FileRecord, signal: AbortSignal) => Promise<void>;
  /** Called for each damaged file as soon as it is found. */
  readonly onDamaged?: (id: string, reason: VerifyReason) => void;
  readonly onProgress?: (state: VerifyState) => void;
  /** Records of the next step, after which the state is kept; default 200. */
  readonly pageSize?: () => number;
}

/** Name of the state of `asset-service verify` in the catalog. */
export const VERIFY_STATE = 'verify';

const PAGE = 200;
const CONCURRENCY = 4;
const MAX_DAMAGED = 1_000;

/**
 * Reads the bytes of files in the store of the service and compares them with their records. Changes nothing but its
 * own state.
 *
 * @returns the state, and the cursor from which this run continued an earlier one (empty if it started over)
 * @throws AssetError CATALOG_UNAVAILABLE, or STORE_UNAVAILABLE if nothing of a step could be read; another run continues
 */
export async function verify(
  parts: { readonly catalog: FileCatalog; readonly store: BlobStore },
  options: VerifyOptions,
  signal: AbortSignal,
): Promise<VerifyState & { readonly resumedFrom: string }> {
  const { legacy } = parts.catalog;
  const { sample, stateName = VERIFY_STATE } = options;
  const since = options.since?.toISOString() ?? '';
  const kept = await verifyState(parts.catalog, signal, stateName);
  const isSame = kept?.state === 'running' && kept.sample === sample && kept.since === since;
  const goesOn = isSame && !options.restart;
  let state: VerifyState = goesOn ? kept : newState(sample, since);
  const resumedFrom = goesOn ? state.cursor : '';
  const limits = {
    filePace: options.filesPerSecond === undefined ? undefined : paceOf(options.filesPerSecond),
    bytePace: options.bytesPerSecond === undefined ? undefined : paceOf(options.bytesPerSecond),
  };
  const save = () =>
    legacy.putState(stateName, { ...state, damaged: state.damaged.map((one) => ({ ...one })) }, { signal });
  // The time of the start is kept from the first file on.
  if (!goesOn) await save();
  while (state.state === 'running') {
    signal.throwIfAborted();
    const pageSize = options.pageSize?.() ?? PAGE;
    const page = await legacy.scan(state.cursor, pageSize, { signal });
    const files = page.map(({ file }) => file).filter((file) => isWanted(file, state));
    const results = await checkAll({ ...parts, ...limits }, files, options, signal);
    const unknown = results.filter((result) => result.end === 'unknown');
    if (unknown.length > 1 && unknown.length === files.length) throw unknown[0]!.error;
    const isLast = page.length < pageSize;
    state = {
      ...added(state, results),
      cursor: page.at(-1)?.file.id ?? state.cursor,
      ...(isLast && { state: 'done', endTime: new Date().toISOString() }),
    };
    await save();
    options.onProgress?.(state);
  }
  return { ...state, resumedFrom };
}

/** The state of the last verification; undefined if there was none. */
export async function verifyState(
  catalog: Pick<FileCatalog, 'legacy'>,
  signal?: AbortSignal,
  stateName: string = VERIFY_STATE,
): Promise<VerifyState | undefined> {
  const state: unknown = await catalog.legacy.getState(stateName, { ...(signal && { signal }) });
  return state as VerifyState | undefined;
}

function newState(sample: number, since: string): VerifyState {
  return {
    ...{ state: 'running', startTime: new Date().toISOString(), endTime: '', cursor: '', sample, since },
    ...{ checked: 0, bytes: 0, unknown: 0, notMoved: 0, damagedCount: 0, damaged: [] },
  };
}

/** Checks files, several at once, and ends them all if one fails. */
async function checkAll(
  parts: CheckParts & { readonly filePace: Pace | undefined },
  files: readonly FileRecord[],
  { beforeFile, onDamaged }: Pick<VerifyOptions, 'beforeFile' | 'onDamaged'>,
  signal: AbortSignal,
): Promise<readonly CheckedFile[]> {
  const limit = pLimit(CONCURRENCY);
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const checks = files.map((file) =>
    limit(async () => {
      either.throwIfAborted();
      await parts.filePace?.(1, either);
      await beforeFile?.(file, either);
      const result = await checkFile(parts, file, either);
      for (const { id, reason } of damagedOf([result])) onDamaged?.(id, reason);
      return result;
    }).catch((error: unknown) => {
      failed.abort(error);
      throw error;
    }),
  );
  await Promise.allSettled(checks);
  return Promise.all(checks);
}

/** Depends on the id and the time of the run, so that each run samples other files. */
function isWanted({ id, updateTime }: FileRecord, { sample, since, startTime }: VerifyState): boolean {
  if (since !== '' && updateTime < new Date(since)) return false;
  if (sample >= 100) return true;
  const place = createHash('sha256').update(`${startTime} ${id}`).digest().readUInt32BE(0) / 2 ** 32;
  return place * 100 < sample;
}

function damagedOf(results: readonly CheckedFile[]): VerifyState['damaged'] {
  return results.flatMap(({ id, end }) => {
    const reason = VERIFY_REASONS.find((one) => one === end);
    return reason === undefined ? [] : [{ id, reason }];
  });
}

function added(state: VerifyState, results: readonly CheckedFile[]): VerifyState {
  const count = (...ends: CheckedFile['end'][]) => results.filter(({ end }) => ends.includes(end)).length;
  const damaged = damagedOf(results);
  return {
    ...state,
    checked: state.checked + count('whole', ...VERIFY_REASONS),
    bytes: state.bytes + results.reduce((sum, { bytes }) => sum + bytes, 0),
    unknown: state.unknown + count('unknown'),
    notMoved: state.notMoved + count('not-moved'),
    damagedCount: state.damagedCount + damaged.length,
    damaged: [...state.damaged, ...damaged].slice(0, MAX_DAMAGED),
  };
}
