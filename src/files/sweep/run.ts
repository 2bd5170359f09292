import { LRUCache } from 'lru-cache';
import { isAssetError } from '../../errors/asset-error.ts';
import { causeText } from '../../errors/setup-fault.ts';
import type { FilesContext } from '../context.ts';
import { sizeOfBytes } from '../bytes.ts';

/** Dependencies of a sweep. */
export interface SweepContext extends Pick<FilesContext, 'store' | 'catalog' | 'log'> {
  /** Undefined to keep the variants that no policy has. */
  readonly policies?: FilesContext['policies'];
  /** How long variants that no policy has are kept, in milliseconds. */
  readonly graceMs?: number;
}

/**
 * The items of a sweep: a deleted file that is due, a closed reservation, an id with bytes to remove, a closed upload.
 */
export type SweepKind = 'file' | 'reservation' | 'id' | 'upload';

/** An item that could not be removed. */
export interface SweepFailure {
  readonly kind: SweepKind;
  readonly id: string;
  readonly error: unknown;
}

/** What a sweep did. */
export interface SweepReport {
  /** Soft-deleted files whose retention had ended and whose records were removed. */
  readonly purged: number;
  /** Reservations whose leftovers were removed. */
  readonly reservations: number;
  /** Cancelled or expired uploads whose bytes were removed. */
  readonly uploads: number;
  /** File ids without a record whose bytes, if there were any, were removed. */
  readonly cleaned: number;
  /** Changes removed from the change log, because their retention has ended. */
  readonly trimmed: number;
  /** Number of items that could not be removed, by kind. The next sweep tries them again. */
  readonly failed: Readonly<Record<SweepKind, number>>;
  /** The first {@link MAX_FAILURES} of them. */
  readonly failures: readonly SweepFailure[];
}

/** Maximum number of failures in a report. */
export const MAX_FAILURES = 100;

/** Number of consecutive failures that look like an outage, after which the store and the catalog are checked. */
const OUTAGE_SUSPECTED = 5;

/** An id without a file, to check whether the store and the catalog answer. */
export const PROBE_ID = '000000000000000';

/** Interval at which a long sweep logs its progress, in milliseconds. */
const PROGRESS_MS = 30_000;

/** Maximum number of remembered failures; a remembered one is not logged again. */
const MAX_REMEMBERED = 10_000;

/** Failures of earlier sweeps of this process. A failure is logged if it is new or has another cause. */
export class KnownFailures {
  readonly #known = new LRUCache<string, string>({ max: MAX_REMEMBERED });

  /** True if the failure is new or its cause has changed. */
  isNews({ kind, id, error }: SweepFailure): boolean {
    const [key, text] = [`${kind} ${id}`, causeText(error)];
    const isNews = this.#known.get(key) !== text;
    this.#known.set(key, text);
    return isNews;
  }

  /** Forgets what did not fail in this sweep. */
  forgetOthers(failed: Readonly<Record<SweepKind, ReadonlySet<string>>>): void {
    for (const key of [...this.#known.keys()]) {
      const [kind, id] = key.split(' ') as [SweepKind, string];
      if (!failed[kind].has(id)) this.#known.delete(key);
    }
  }
}

/** One sweep: processes each item separately, and counts. */
export class SweepRun {
  readonly context: SweepContext;
  readonly signal: AbortSignal;
  /** How much was done. */
  readonly done = { purged: 0, reservations: 0, uploads: 0, cleaned: 0, trimmed: 0 };
  readonly #known: KnownFailures;
  readonly #failed: Record<SweepKind, Set<string>> = {
    ...{ file: new Set(), reservation: new Set(), id: new Set(), upload: new Set() },
  };
  readonly #failures: SweepFailure[] = [];
  #suspicions = 0;
  #toldAt = Date.now();

  constructor(context: SweepContext, signal: AbortSignal, known: KnownFailures) {
    this.context = context;
    this.signal = signal;
    this.#known = known;
  }

  /**
   * Processes one item. A failure is counted, and logged unless it is known; the sweep continues.
   *
   * Rejects if the sweep must end: it was aborted, or the store or the catalog is down.
   *
   * @returns whether it succeeded
   */
  async attempt(kind: SweepKind, id: string, work: () => Promise<unknown>): Promise<boolean> {
    this.signal.throwIfAborted();
    try {
      await work();
    } catch (error) {
      this.signal.throwIfAborted();
      this.fail(kind, id, error);
      await this.#assertNoOutage(error);
      return false;
    }
    this.#suspicions = 0;
    return true;
  }

  /** Counts a failure. */
  fail(kind: SweepKind, id: string, error: unknown): void {
    if (this.hasFailed(kind, id)) return;
    this.#failed[kind].add(id);
    const failure = { kind, id, error };
    if (this.#failures.length < MAX_FAILURES) this.#failures.push(failure);
    if (!this.#known.isNews(failure)) return;
    this.context.log.warn(
      { kind, id, err: error },
      'the sweeper cannot remove this: it goes on with the rest and tries it again with every sweep',
    );
  }

  /** True if the item has already failed in this sweep. */
  hasFailed(kind: SweepKind, id: string): boolean {
    return this.#failed[kind].has(id);
  }

  /** Logs the progress of a long sweep at an interval. `since` is when the current item became due. */
  tellProgress(since: Date): void {
    if (Date.now() - this.#toldAt < PROGRESS_MS) return;
    this.#toldAt = Date.now();
    const behindSeconds = Math.max(0, Math.round((Date.now() - since.getTime()) / 1_000));
    this.context.log.info({ ...this.done, behind_seconds: behindSeconds }, 'still sweeping');
  }

  /** The report of the finished sweep. */
  report(): SweepReport {
    this.#known.forgetOthers(this.#failed);
    const { file, reservation, id, upload } = this.#failed;
    return {
      ...this.done,
      failed: { file: file.size, reservation: reservation.size, id: id.size, upload: upload.size },
      failures: this.#failures,
    };
  }

  /** Rejects if the store or the catalog is down, so that a sweep does not continue during an outage. */
  async #assertNoOutage(error: unknown): Promise<void> {
    if (!isAssetError(error, 'STORE_UNAVAILABLE', 'CATALOG_UNAVAILABLE')) return;
    this.#suspicions += 1;
    if (this.#suspicions % OUTAGE_SUSPECTED !== 0) return;
    const { store, catalog } = this.context;
    const call = { signal: this.signal };
    // Reads only: a full disk must not stop the sweeper, which frees space.
    await Promise.all([sizeOfBytes(store, PROBE_ID, call), catalog.get([PROBE_ID], call)]);
  }
}

/** Number of all failures of a report. */
export function failureCount({ failed }: Pick<SweepReport, 'failed'>): number {
  return Object.values(failed).reduce((sum, count) => sum + count, 0);
}
