import type { FileCatalog } from '../../catalog/file-catalog.ts';

/** Maximum number of changes that are removed, or counted, at once. */
const BATCH = 1_000;

/** Removes the changes whose retention has ended from the change log; returns their number. */
export async function trimChanges(
  { changes }: Pick<FileCatalog, 'changes'>,
  retentionMs: number,
  signal: AbortSignal,
): Promise<number> {
  const before = new Date(Date.now() - retentionMs);
  for (let removed = 0; ;) {
    const some = await changes.trim(before, BATCH, { signal });
    removed += some;
    if (some < BATCH) return removed;
  }
}

/** What {@link trimChanges} would remove, at most a batch. */
export async function countTrimmable(
  { changes }: Pick<FileCatalog, 'changes'>,
  retentionMs: number,
): Promise<number> {
  const before = new Date(Date.now() - retentionMs);
  const page = await changes.read(await changes.position('earliest'), BATCH);
  const young = page.changes.findIndex(({ time }) => time >= before);
  return young < 0 ? page.changes.length : young;
}
