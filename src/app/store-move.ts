import type { FileCatalog } from '../catalog/file-catalog.ts';
import type { Config } from '../config/config.ts';
import { ExplainedError, explainFailure, isExplained } from '../config/explain.ts';
import { isSameServer } from '../config/legacy.ts';
import type { StoreConfig } from '../config/next-store.ts';
import { inNextNames } from '../config/options/next.ts';
import { SettingsError } from '../config/settings.ts';
import type { MovedStore, StoreMove } from '../move/store/progress.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { ObjectCopier } from '../storage/object-copier.ts';
import { assertFits } from './catalog.ts';
import { addressUrl, openDriver } from './drivers.ts';
import { moveMemory } from './move-memory.ts';
import { openLog } from '../telemetry/log.ts';
import { withServingCatalog } from './serving-catalog.ts';

/**
 * Opens the catalog and both stores of a move, runs `work`, and closes them.
 *
 * @throws SettingsError if the settings name no target, or the catalog does not fit them
 */
export async function withStoreMove<T>(config: Config, work: (move: StoreMove) => Promise<T>): Promise<T> {
  const { nextStore } = config;
  if (nextStore === undefined) {
    throw new SettingsError([
      'ASSET_NEXT_STORE: is required, also after the move is complete: it names the store that the move goes to, and ASSET_STORE the one from before',
    ]);
  }
  const next: Config = { ...config, ...nextStore };
  return withServingCatalog(config, openLog('silent'), async (catalog) => {
    await assertFits(catalog, config);
    if (config.settings.ASSET_MIGRATE) await catalog.migrate();
    const own = await openMoved(config, next);
    try {
      const moved = await openMoved(next, config);
      try {
        await own.store.check();
        await checkNext(moved, next);
        return await work({ catalog, own, next: moved, limits: moveMemory(config) });
      } finally {
        await closeMoved(moved);
      }
    } finally {
      await closeMoved(own);
    }
  });
}

/** Opens the catalog alone: it has the state of the move. */
export function withMovedCatalog<T>(config: Config, work: (catalog: FileCatalog) => Promise<T>): Promise<T> {
  return withServingCatalog(config, openLog('silent'), work);
}

async function openMoved(config: Config, other: StoreConfig): Promise<MovedStore> {
  const { store } = await openDriver(config, addressUrl(config, 0));
  return movedStore(store, config, other);
}

/** A store with what its driver can do beyond the interface of stores; {@link closeTools} closes what it opens. */
export async function movedStore(
  store: BlobStore,
  config: StoreConfig,
  other: StoreConfig,
): Promise<MovedStore> {
  if (config.store.kind !== 's3') return { store, reader: undefined, copier: undefined };
  const { S3ObjectReader } = await import('../storage/s3/s3-object-reader.ts');
  return { store, reader: new S3ObjectReader(config.store.s3), copier: await openCopier(config, other) };
}

/** With another key than that of the other store the server may refuse to copy; then the bytes go through this process. */
async function openCopier(
  { store }: StoreConfig,
  { store: from }: StoreConfig,
): Promise<ObjectCopier | undefined> {
  if (store.kind !== 's3' || from.kind !== 's3' || !isSameServer(store.s3, from.s3)) return undefined;
  const { S3ObjectCopier } = await import('../storage/s3/s3-object-copier.ts');
  return new S3ObjectCopier(store.s3, from.s3.bucket);
}

async function closeMoved(moved: MovedStore): Promise<void> {
  closeTools(moved);
  await moved.store.close();
}

/** Closes what {@link movedStore} opened. */
export function closeTools({ reader, copier }: MovedStore): void {
  reader?.close();
  copier?.close();
}

/** A failure is explained by the settings with NEXT_. */
async function checkNext({ store }: MovedStore, next: Config): Promise<void> {
  try {
    await store.check();
  } catch (error) {
    if (!isExplained(error)) throw error;
    throw new ExplainedError(inNextNames(explainFailure(error, next)), error);
  }
}
