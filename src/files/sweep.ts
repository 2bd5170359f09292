import type { Pace } from './pace.ts';
import { cleanLeftovers } from './sweep/leftovers.ts';
import { Purges } from './sweep/purge.ts';
import { KnownFailures, SweepRun, type SweepContext, type SweepReport } from './sweep/run.ts';

/**
 * Removes files whose retention has ended, and what failed uploads left.
 *
 * Reads the catalog's own lists and never the bucket, so its cost depends on recent activity. An id is cleaned only
 * after its reservation was closed: from then on it cannot become a file. Every step may be repeated, so the next
 * sweep finishes an interrupted one.
 *
 * Counts and skips what cannot be removed. Rejects if the catalog cannot be listed, or the store or the catalog is
 * down.
 *
 * @param pace - awaited before blobs are deleted, one step each
 * @param known - what earlier sweeps of this process could not remove, and is not logged again
 */
export async function sweep(
  context: SweepContext,
  signal: AbortSignal,
  pace: Pace,
  known: KnownFailures = new KnownFailures(),
): Promise<SweepReport> {
  const run = new SweepRun(context, signal, known);
  const purges = new Purges(run, pace);
  await purges.all();
  // A file that is deleted while many leftovers are removed does not wait for all of them.
  const step = async (count: number) => {
    await purges.inBetween();
    await pace(count, signal);
  };
  await cleanLeftovers(run, step);
  return run.report();
}
