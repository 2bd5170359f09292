import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BackupLocation } from '../config/backup.ts';
import type { Config } from '../config/config.ts';
import { backup, type BackupOptions, type BackupReport, type BackupParts } from '../move/backup/backup.ts';
import { BackupFault, namedAsPlace } from '../move/backup/fault.ts';
import { BackupPlace } from '../move/backup/place.ts';
import { manifestOf, restore, type RestoreOptions, type RestoreState } from '../move/backup/restore.ts';
import { pruneBackups, type Pruned } from '../move/backup/prune.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { ObjectReader } from '../storage/object-reader.ts';
import { openLog } from '../telemetry/log.ts';
import { assertFits } from './catalog.ts';
import { holdDataDirUndoably } from './data-dir.ts';
import { addressUrl, openDriver, withCatalog } from './drivers.ts';
import { withStoreAndCatalog } from './legacy.ts';
import { moveMemory } from './move-memory.ts';
import { withServingCatalog } from './serving-catalog.ts';

/** Names in the directory of a filesystem store. */
const STORE_DIRS = ['blobs', 'unfinished', 'lost+found'];

/** Backs up the configured store and catalog. */
export function backupTo(
  config: Config,
  where: BackupLocation,
  options: BackupOptions,
  signal: AbortSignal,
): Promise<BackupReport> {
  // The place is created last: not for a backup that is refused.
  return withStoreAndCatalog(config, async (parts) => {
    await assertFits(parts.catalog, config);
    return withPlace(config, where, { mustExist: false }, async (place) => {
      const readers = await openReaders(config);
      try {
        return await backup({ ...parts, ...moveMemory(config), place, readers }, options, signal);
      } finally {
        for (const one of readers) one.close();
      }
    });
  });
}

/** Removes all but the latest backups of a place. */
export function pruneAt(
  config: Config,
  where: BackupLocation,
  { keep, onWait }: { readonly keep: number; readonly onWait: () => void },
  signal: AbortSignal,
): Promise<Pruned> {
  return withPlace(config, where, { mustExist: true }, (place) =>
    withServingCatalog(config, openLog('silent'), (catalog) =>
      pruneBackups({ place, catalog }, keep, onWait, signal),
    ),
  );
}

/** Readers of the headers of objects, of each bucket that may have the bytes of files. */
async function openReaders({ store, nextStore }: Config): Promise<readonly ObjectReader[]> {
  const { S3ObjectReader } = await import('../storage/s3/s3-object-reader.ts');
  return [store, nextStore?.store].flatMap((one) => (one?.kind === 's3' ? [new S3ObjectReader(one.s3)] : []));
}

/**
 * Restores a backup into the configured store and catalog, which must be empty; creates the schema of the catalog. The
 * service must not run meanwhile: an embedded store or catalog is held. A restore that is refused leaves no directory.
 */
export async function restoreFrom(
  config: Config,
  where: BackupLocation,
  options: RestoreOptions,
  signal: AbortSignal,
): Promise<RestoreState & { readonly resumedFrom: string }> {
  const log = openLog('silent');
  return withPlace(config, where, { mustExist: true }, async (place) => {
    // Before anything is created.
    await manifestOf({ place }, options.backup, signal);
    const { release, undo } = holdDataDirUndoably(config, log);
    let isBegun = false;
    const onProgress: RestoreOptions['onProgress'] = (...progress) => {
      isBegun = true;
      options.onProgress?.(...progress);
    };
    try {
      return await withCatalog(takingImports(config), {}, async (catalog) => {
        await assertFits(catalog, config);
        await catalog.migrate();
        const { store } = await openDriver(config, addressUrl(config, 0));
        try {
          const parts: BackupParts = { catalog, store, place, ...moveMemory(config) };
          return await restore(parts, { ...options, onProgress }, signal);
        } finally {
          await store.close();
        }
      });
    } catch (error) {
      if (!isBegun) undo();
      throw error;
    } finally {
      release();
    }
  });
}

/** The configuration with which a PocketBase gets the fields for the times of records from elsewhere. */
function takingImports(config: Config): Config {
  const { catalog } = config;
  if (catalog.kind !== 'pocketbase') return config;
  return { ...config, catalog: { ...catalog, pocketbase: { ...catalog.pocketbase, takesImports: true } } };
}

async function withPlace<T>(
  config: Config,
  where: BackupLocation,
  options: { readonly mustExist: boolean },
  work: (place: BackupPlace) => Promise<T>,
): Promise<T> {
  const { store: opened, prefix } = await openPlace(config, where, options);
  const store = namedAsPlace(opened);
  try {
    // A restore only reads: the file system may be read-only, or full.
    if (where.kind === 's3' || !options.mustExist) await store.check();
    return await work(new BackupPlace(store, prefix));
  } finally {
    await store.close();
  }
}

async function openPlace(
  config: Config,
  where: BackupLocation,
  { mustExist }: { readonly mustExist: boolean },
): Promise<{ readonly store: BlobStore; readonly prefix: string }> {
  if (where.kind === 's3') {
    const { S3BlobStore } = await import('../storage/s3/s3-store.ts');
    return { store: new S3BlobStore(where.s3), prefix: where.prefix };
  }
  const { path } = where;
  if (mustExist && !existsSync(join(path, 'blobs'))) throw new BackupFault(`${path} has no backups`);
  assertPlace(path);
  const [{ FilesystemBlobStore }, { SignedUrls }] = await Promise.all([
    import('../storage/filesystem/filesystem-store.ts'),
    import('../storage/signed-url.ts'),
  ]);
  // No URL of it is ever signed.
  const urls = new SignedUrls('http://localhost', Buffer.alloc(32));
  return { store: new FilesystemBlobStore(path, urls, config.settings.ASSET_MIN_FREE_SPACE), prefix: '' };
}

/** Throws if a directory belongs to something else. */
function assertPlace(path: string): void {
  if (!existsSync(path)) return;
  const other = readdirSync(path).find((name) => !STORE_DIRS.includes(name));
  if (other === undefined) return;
  throw new BackupFault(`${path} is no place of backups: it has ${other}. Give an empty or a new directory`);
}
