import type { Pace } from './pace.ts';
import { cleanLeftovers } from './sweep/leftovers.ts';
import { Purges } from './sweep/purge.ts';
import { KnownFailures, SweepRun, type SweepContext, type SweepReport } from './sweep/run.ts';

/**
 * Removes what may go: files whose retention is over, and what uploads left that never became a file.
 *
 * It reads the catalog's own lists and never the bucket, so its cost grows with what has happened
 * lately. An id is cleaned only after its reservation was closed, from when on it cannot become a
 * file; everything it does may be repeated, so a sweep that is cut short is finished by the next.
 *
 * What cannot be removed is counted and passed over. Rejects if the catalog cannot be listed, or the store or the catalog is
 * down.
 *
 * @param pace - is waited for before blobs are deleted, a step each
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
  // A file that is deleted while the leftovers of many uploads go does not wait for the last of them.
  const step = async (count: number) => {
    await purges.inBetween();
    await pace(count, signal);
  };
  await cleanLeftovers(run, step);
  return run.report();
}
