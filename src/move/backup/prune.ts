import { reached } from '../../system/crash-points.ts';
import { withoutPurges } from '../../files/sweep/purge-hold.ts';
import type { FileCatalog } from '../../catalog/file-catalog.ts';
import { filesOf } from './entries.ts';
import { hex } from './format.ts';
import type { BackupPlace } from './place.ts';

/** What {@link pruneBackups} removed. */
export interface Pruned {
  /** Names of the removed backups, oldest first. */
  readonly removed: readonly string[];
  readonly pages: number;
  /** Bytes of files that no backup refers to any more. */
  readonly blobs: number;
  readonly blobBytes: number;
}

/**
 * Removes all but the latest backups of a place, and then the pages and bytes that none of the kept ones refers to. An
 * incremental backup keeps the pages of the earlier ones that it needs. May be repeated, also after a crash. Nothing else
 * backs up to or restores from the place with this catalog meanwhile.
 *
 * @param keep - number of finished backups to keep, at least 1
 * @throws BackupFault if a manifest or a page of a kept backup cannot be read; then no bytes were removed
 */
export function pruneBackups(
  { place, catalog }: { readonly place: BackupPlace; readonly catalog: FileCatalog },
  keep: number,
  onWait: () => void,
  signal: AbortSignal,
): Promise<Pruned> {
  return withoutPurges(catalog, signal, onWait, async (held) => {
    const names = await place.finished(held);
    const kept = names.slice(-keep);
    const unfinished = await place.unfinished(held);
    // All of it is read before anything is removed.
    const pages = new Set<string>();
    const needed = new Set<string>();
    for (const name of kept) {
      const manifest = await place.manifest(name, held);
      for (const { key } of [...manifest.records, ...manifest.changes]) pages.add(key);
      for await (const files of filesOf(place, manifest, held)) {
        for (const { record } of files) if (record.sha256 !== undefined) needed.add(hex(record.sha256));
      }
    }
    const removed = names.slice(0, -keep);
    for (const name of removed) {
      await place.dropManifest(name, held);
      reached('backup.manifest-removed');
    }
    let count = 0;
    for (const key of await place.allPages(held)) {
      if (pages.has(key) || unfinished.some((name) => key.split('/')[1] === name)) continue;
      await place.dropPage(key, held);
      reached('backup.page-removed');
      count += 1;
    }
    // What an unfinished backup has copied is in no page yet.
    if (unfinished.length > 0) return { removed, pages: count, blobs: 0, blobBytes: 0 };
    let [blobs, blobBytes] = [0, 0];
    for await (const { sha256, sizeBytes } of place.allBytes(held)) {
      if (needed.has(sha256)) continue;
      await place.dropBytes(sha256, held);
      reached('backup.bytes-removed');
      [blobs, blobBytes] = [blobs + 1, blobBytes + sizeBytes];
    }
    return { removed, pages: count, blobs, blobBytes };
  });
}
