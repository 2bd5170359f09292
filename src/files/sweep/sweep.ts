import type { Pace } from '../../system/rate.ts';
import { cleanInterrupted, DerivedNames, removeUnused } from './derived.ts';
import { cleanLeftovers } from './leftovers.ts';
import { Purges } from './purge.ts';
import { KnownFailures, SweepRun, type SweepContext, type SweepReport } from './run.ts';
import type { FilesContext } from '../context.ts';
import { countTrimmable } from './changes.ts';

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
  const names = new DerivedNames(run);
  const purges = new Purges(run, pace, names);
  await purges.all();
  // A file that is deleted while many leftovers are removed does not wait for all of them.
  const step = async (count: number) => {
    await purges.inBetween();
    await pace(count, signal);
  };
  await cleanLeftovers(run, names, step);
  await cleanInterrupted(run, names);
  await removeUnused(run, names, step);
  return run.report();
}

/** Maximum number of entries to read of each list of the catalog. */
const PREVIEW_LIMIT = 1_000;

/**
 * What a sweep would do now, by the first {@link PREVIEW_LIMIT} entries of each list of the catalog. Changes
 * nothing.
 */
export async function previewSweep(
  { catalog }: Pick<FilesContext, 'catalog'>,
  { changesRetentionMs }: { readonly changesRetentionMs: number },
): Promise<SweepReport> {
  const now = new Date();
  const [purgeable, holds] = await Promise.all([
    catalog.listPurgeable(now, PREVIEW_LIMIT),
    catalog.uploads.listPast(now, PREVIEW_LIMIT),
  ]);
  const reservations = holds.filter(({ kind }) => kind === 'reservation');
  let cleaned = 0;
  for (const { fileIds } of reservations) {
    const files = await catalog.get(fileIds);
    cleaned += fileIds.filter((id) => !files.has(id)).length;
  }
  // Each purge leaves a reservation of one id, which the same sweep cleans.
  const purged = purgeable.length;
  return {
    purged,
    reservations: reservations.length + purged,
    uploads: holds.length - reservations.length,
    cleaned: cleaned + purged,
    trimmed: await countTrimmable(catalog, changesRetentionMs),
    failed: { file: 0, reservation: 0, id: 0, upload: 0 },
    failures: [],
  };
}
