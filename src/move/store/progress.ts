import type { FileCatalog, FileRecord } from '../../catalog/file-catalog.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { ObjectCopier } from '../../storage/object-copier.ts';
import type { ObjectReader } from '../../storage/object-reader.ts';
import type { CopyLimits } from '../backup/copy.ts';
import { underLease, untilFree } from '../../files/lease.ts';
import { stepRuns } from '../refused.ts';

/** A store of a move, with what its driver can do beyond the interface of stores. */
export interface MovedStore {
  readonly store: BlobStore;
  /** Reads the headers of objects; undefined for a store without headers. */
  readonly reader: ObjectReader | undefined;
  /** Copies from the other store into this one within the server; undefined if they are on different ones. */
  readonly copier: ObjectCopier | undefined;
}

/** What the steps of a move work with. */
export interface StoreMove {
  readonly catalog: FileCatalog;
  /** That of ASSET_STORE. */
  readonly own: MovedStore;
  /** That of ASSET_NEXT_STORE. */
  readonly next: MovedStore;
  readonly limits: CopyLimits;
}

/** Options of the steps. */
export interface StepOptions {
  /** Unique to this process: 1 to 64 of `[A-Za-z0-9_-]`. */
  readonly holder: string;
  /** Maximum number of files per second; 0 for no limit, undefined for that of the run before. */
  readonly rate?: number | undefined;
  readonly leaseMs?: number;
  /** Longest lifetime of signed URLs by the usage policies, in seconds; undefined if it is not known here. */
  readonly urlSeconds?: number | undefined;
  /** Time after which following ends, in milliseconds; default when it has reached what was the end at its beginning. */
  readonly followMs?: number;
  /** How long replicas may take to obey, in milliseconds; default 45,000. */
  readonly replicasMs?: number;
  readonly onProgress?: (text: string) => void;
}

/** A file that could not be copied. A type alias, because interfaces are not assignable to JSON values. */
export type Refused = { readonly id: string; readonly reason: string };

/** Progress of a move, which the catalog keeps, so that another process on any machine continues. */
export type StoreProgress = {
  /** Of the row. */
  readonly move: string;
  /** `stopped` if a run ended early; the next one continues. */
  readonly run: 'copying' | 'following' | 'stopped';
  readonly startTime: string;
  readonly updateTime: string;
  /** Who runs it, or ran it last. */
  readonly holder: string;
  /** Position in the change log: the files of what comes after it are not in both stores yet. */
  readonly log: string;
  /** Id of the last copied file. */
  readonly cursor: string;
  readonly isCopied: boolean;
  /** Number of files, and bytes, that were copied. */
  readonly copied: number;
  readonly copiedBytes: number;
  /** Number of changes that were followed. */
  readonly followed: number;
  /** Maximum number of files per second; 0 for no limit. */
  readonly rate: number;
  /** Files that could not be copied, such as those whose bytes are not those of their records. */
  readonly refused: readonly Refused[];
  /**
   * When a URL of the source may have been handed out last, by the source's clock; absent before the switch. A file that
   * only the source has gets one, until it is copied.
   */
  readonly urlTime?: string;
  /** Longest lifetime of signed URLs in seconds, of all usage policies that the steps were run with. */
  readonly urlSeconds?: number;
  /** Why the last run stopped; empty if it did not. */
  readonly lastError: string;
};

/** Name of the lease of the mover, and of the progress in the catalog. */
export const STORE_MOVE = 'store-move';

/** The progress of the last move, if any. */
export async function storeProgress(
  catalog: FileCatalog,
  signal?: AbortSignal,
): Promise<StoreProgress | undefined> {
  const state: unknown = await catalog.legacy.getState(STORE_MOVE, { ...(signal && { signal }) });
  return state as StoreProgress | undefined;
}

/** How long a step waits for another one at least, in milliseconds: replicas follow the log under the same lease. */
const PATIENCE_MS = 30_000;

/**
 * Runs a step while no other process runs one. Waits until the lease of a killed process has expired, or a replica has
 * ended a part of its work.
 *
 * @throws MoveRefused if another process runs a step
 */
export async function exclusively<T>(
  { catalog }: Pick<StoreMove, 'catalog'>,
  { holder, leaseMs = 10_000 }: Pick<StepOptions, 'holder' | 'leaseMs'>,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const lease = { name: STORE_MOVE, holder, ttlMs: leaseMs };
  const times = { waitMs: PATIENCE_MS, everyMs: Math.min(500, leaseMs / 5) };
  const attempt = () => underLease(catalog, lease, signal, async (held) => ({ value: await work(held) }));
  const ended = await untilFree(attempt, times, signal);
  if (ended === undefined) throw stepRuns();
  return ended.value;
}

/** True if the service stored the bytes of a file; those of others lie in an old bucket. */
export function hasBytes(file: FileRecord): file is FileRecord & { readonly sha256: Uint8Array } {
  return file.sha256 !== undefined;
}
