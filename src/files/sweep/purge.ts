import type { PurgeableFile, SweepCursor } from '../../catalog/file-catalog.ts';
import { livePins } from '../datasets/pins.ts';
import { reached } from '../../system/crash-points.ts';
import type { Pace } from '../../system/rate.ts';
import type { DerivedNames } from './derived.ts';
import { cleanReservation } from './leftovers.ts';
import { pauseBetweenPurges, whilePurging } from './purge-hold.ts';
import type { SweepRun } from './run.ts';

/** Maximum number of files that are read from the catalog at once. */
const BATCH = 100;

/** How often to look for newly due files while leftovers are removed, in milliseconds. */
const INTERVAL_MS = 1_000;

/**
 * Purges the deleted files that are due, those due longest first. Each is purged completely, its record and then
 * its bytes, so that none waits for leftovers of uploads.
 */
export class Purges {
  readonly #run: SweepRun;
  readonly #pace: Pace;
  readonly #names: DerivedNames;
  #after: SweepCursor | undefined;
  #lookedAt = 0;
  #isHeld = false;

  constructor(run: SweepRun, pace: Pace, names: DerivedNames) {
    this.#run = run;
    this.#names = names;
    this.#pace = pace;
  }

  /** Purges all files that are due, unless a backup holds back purges. */
  async all(): Promise<void> {
    while (await this.#some()) await pauseBetweenPurges(this.#run.signal);
  }

  /** Purges files that have become due; called between the steps of other work. */
  async inBetween(): Promise<void> {
    if (Date.now() - this.#lookedAt >= INTERVAL_MS) await this.#some();
  }

  /** Purges the next due files; true if there may be more. */
  async #some(): Promise<boolean> {
    const { context, signal } = this.#run;
    const page = { signal, ...(this.#after && { after: this.#after }) };
    const due = await context.catalog.listPurgeable(new Date(), BATCH, page);
    this.#lookedAt = Date.now();
    if (due.length === 0) return false;
    const isDone = await whilePurging(context.catalog, signal, async (held) => {
      // Read after the list of what is due, see livePins.
      let pinned: Promise<ReadonlyMap<string, unknown>> | undefined;
      const ids = due.map(({ id }) => id);
      const getPinned = () => (pinned ??= livePins(context, signal).then((pins) => pins.among(ids, signal)));
      for (const file of due) {
        held.throwIfAborted();
        this.#run.tellProgress(file.purgeTime);
        await this.#purge(file, getPinned);
        this.#after = { time: file.purgeTime, id: file.id };
      }
      return true;
    });
    this.#lookedAt = Date.now();
    if (isDone) return due.length === BATCH;
    if (!this.#isHeld)
      context.log.info('a backup or a restore holds back purges; the next sweep tries again');
    this.#isHeld = true;
    return false;
  }

  /** Purges a file, unless a dataset manifest names it or that cannot be told. */
  async #purge(
    { id, revision }: PurgeableFile,
    getPinned: () => Promise<ReadonlyMap<string, unknown>>,
  ): Promise<void> {
    const { context, signal, done } = this.#run;
    let purged = false;
    await this.#run.attempt('file', id, async () => {
      purged = !(await getPinned()).has(id) && (await context.catalog.purge(id, revision, { signal }));
    });
    if (!purged) return;
    done.purged++;
    reached('sweep.purged');
    await cleanReservation(this.#run, { id, fileIds: [id] }, this.#names, (steps) =>
      this.#pace(steps, signal),
    );
  }
}
