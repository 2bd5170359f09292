import { LRUCache } from 'lru-cache';
import { isAssetError } from '../../errors/asset-error.ts';
import { causeText } from '../../errors/setup-fault.ts';
import type { FilesContext } from '../context.ts';
import { sizeOfBytes } from '../bytes.ts';

/** What a sweep works with. */
export type SweepContext = Pick<FilesContext, 'store' | 'catalog' | 'log'>;

/**
 * What a sweep works on: a deleted file that is due, a reservation that is over, an id whose bytes are to go, an upload that is
 * over.
 */
export type SweepKind = 'file' | 'reservation' | 'id' | 'upload';

/** Something that a sweep could not do. */
export interface SweepFailure {
  readonly kind: SweepKind;
  readonly id: string;
  readonly error: unknown;
}

/** What a sweep did. */
export interface SweepReport {
  /** Softly deleted files whose time was over and whose records were removed. */
  readonly purged: number;
  /** Reservations whose leftovers were removed. */
  readonly reservations: number;
  /** Uploads that were given up or expired, and whose bytes were removed. */
  readonly uploads: number;
  /** File ids without a record whose bytes, if there were any, were removed. */
  readonly cleaned: number;
  /** Changes removed from the change log, because their retention has ended. */
  readonly trimmed: number;
  /** What could not be removed, by kind. The next sweep tries it again. */
  readonly failed: Readonly<Record<SweepKind, number>>;
  /** The first {@link MAX_FAILURES} of it. */
  readonly failures: readonly SweepFailure[];
}

/** Most failures that a report names. */
export const MAX_FAILURES = 100;

/** After so many failures in a row that look like an outage it is asked whether there is one. */
const OUTAGE_SUSPECTED = 5;

/** The id of no file: to ask the store or the catalog whether it answers. */
export const PROBE_ID = '000000000000000';

/** A sweep that takes longer says at this interval how far it is, in milliseconds. */
const PROGRESS_MS = 30_000;

/** How many failures are remembered, so that each is logged once. */
const MAX_REMEMBERED = 10_000;

/** What this process could not remove so far: a failure is logged when it is new or has another cause than before. */
export class KnownFailures {
  readonly #known = new LRUCache<string, string>({ max: MAX_REMEMBERED });

  /** True if this is the first time, or has changed. */
  isNews({ kind, id, error }: SweepFailure): boolean {
    const [key, text] = [`${kind} ${id}`, causeText(error)];
    const isNews = this.#known.get(key) !== text;
    this.#known.set(key, text);
    return isNews;
  }

  /** Forgets what did not fail again in a whole sweep. */
  forgetOthers(failed: Readonly<Record<SweepKind, ReadonlySet<string>>>): void {
    for (const key of [...this.#known.keys()]) {
      const [kind, id] = key.split(' ') as [SweepKind, string];
      if (!failed[kind].has(id)) this.#known.delete(key);
    }
  }
}

/** One sweep: does the work on each item by itself, and counts. */
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
   * Does the work on one item. One that fails is counted, logged unless it is known, and passed over.
   *
   * Rejects if the sweep has to end: it was aborted, or the store or the catalog is down for all items.
   *
   * @returns whether it was done
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

  /** True if this sweep failed with it already. */
  hasFailed(kind: SweepKind, id: string): boolean {
    return this.#failed[kind].has(id);
  }

  /** Tells now and then how far a long sweep is. `since` is the time from when on the item at hand could have gone. */
  tellProgress(since: Date): void {
    if (Date.now() - this.#toldAt < PROGRESS_MS) return;
    this.#toldAt = Date.now();
    const behindSeconds = Math.max(0, Math.round((Date.now() - since.getTime()) / 1_000));
    this.context.log.info({ ...this.done, behind_seconds: behindSeconds }, 'still sweeping');
  }

  /** Ends the sweep. */
  report(): SweepReport {
    this.#known.forgetOthers(this.#failed);
    const { file, reservation, id, upload } = this.#failed;
    return {
      ...this.done,
      failed: { file: file.size, reservation: reservation.size, id: id.size, upload: upload.size },
      failures: this.#failures,
    };
  }

  /** What one item fails with may be an outage, which would only be made worse by asking for all the others as well. */
  async #assertNoOutage(error: unknown): Promise<void> {
    if (!isAssetError(error, 'STORE_UNAVAILABLE', 'CATALOG_UNAVAILABLE')) return;
    this.#suspicions += 1;
    if (this.#suspicions % OUTAGE_SUSPECTED !== 0) return;
    const { store, catalog } = this.context;
    const call = { signal: this.signal };
    // Reads, since a disk without room for anything new must not keep the sweeper from making some.
    await Promise.all([sizeOfBytes(store, PROBE_ID, call), catalog.get([PROBE_ID], call)]);
  }
}

/** Number of all failures of a report. */
export function failureCount({ failed }: Pick<SweepReport, 'failed'>): number {
  return Object.values(failed).reduce((sum, count) => sum + count, 0);
}
