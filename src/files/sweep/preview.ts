import type { FilesContext } from '../context.ts';
import { countTrimmable } from './changes.ts';
import type { SweepReport } from './run.ts';
import type { SweeperOptions } from './sweeper.ts';

/** Maximum number of entries to read of each list of the catalog. */
const PREVIEW_LIMIT = 1_000;

/**
 * What a sweep would do now, by the first {@link PREVIEW_LIMIT} entries of each list of the catalog. Changes
 * nothing.
 */
export async function previewSweep(
  { catalog }: Pick<FilesContext, 'catalog'>,
  { changesRetentionMs }: Pick<SweeperOptions, 'changesRetentionMs'>,
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
