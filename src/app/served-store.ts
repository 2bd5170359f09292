import { constants, copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { FileCatalog } from '../catalog/file-catalog.ts';
import type { Config } from '../config/config.ts';
import { explainFailure } from '../config/explain.ts';
import { inNextNames } from '../config/options/next.ts';
import { SettingsError } from '../config/settings.ts';
import { storeUnavailable } from '../errors/dependencies.ts';
import { StoreFollower } from '../move/store/follower.ts';
import { MovingStore } from '../move/store/moving-store.ts';
import { RowView } from '../move/store/row-view.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { SignedUrls } from '../storage/signed-url.ts';
import type { Dependency } from '../telemetry/health-monitor.ts';
import { addressUrl, openDriver, signedUrls, SIGNING_KEY } from './drivers.ts';
import { closeTools, movedStore } from './store-move.ts';
import { moveMemory } from './move-memory.ts';

/** The store of a replica: that of ASSET_STORE, during a move with that of ASSET_NEXT_STORE. */
export interface ServedStore {
  readonly store: BlobStore;
  /** Verifies the URLs of a filesystem store, also those from before a move. */
  readonly urls?: SignedUrls;
  readonly view: RowView;
  /** The health of the store of ASSET_NEXT_STORE, if there is one. */
  readonly next?: Dependency;
  /** Follows a store move until the returned function is called, which must be before the store is closed. */
  readonly follow: () => Promise<() => Promise<void>>;
}

/**
 * Opens the store of a replica. It follows the state of a store move, which is in the catalog, and refuses all work while
 * the settings contradict it.
 */
export async function openServedStore(
  config: Config,
  {
    url,
    log,
    catalog,
  }: {
    /** URL of the service. */
    readonly url: string;
    readonly log: Logger;
    readonly catalog: FileCatalog;
  },
): Promise<ServedStore> {
  const { nextStore } = config;
  if (nextStore === undefined) {
    const { store: own, urls = await oldUrls(config, url) } = await openDriver(config, url);
    const view = new RowView(catalog, { own });
    const store = guarded(own, view);
    const follow = () => Promise.resolve(() => Promise.resolve());
    return { store, view, follow, ...(urls && { urls }) };
  }
  const own = await openDriver(config, url);
  const next = { ...config, ...nextStore };
  if (own.urls !== undefined && nextStore.store.kind === 'filesystem') keepSigningKey(config, next);
  const other = await openDriver(next, url, own.urls);
  const stores = { own: own.store, next: other.store };
  const view = new RowView(catalog, stores);
  const store = new MovingStore(stores, view);
  const urls = own.urls ?? other.urls;
  const follow = async () => {
    view.poll();
    const [moved, target] = await Promise.all([
      movedStore(own.store, config, next),
      movedStore(other.store, next, config),
    ]);
    const move = { catalog, own: moved, next: target, limits: moveMemory(config) };
    const follower = new StoreFollower(move, view, log);
    return async () => {
      await follower.close();
      for (const one of [moved, target]) closeTools(one);
    };
  };
  const health: Dependency = {
    name: 'next-store',
    // Until the switch the service works without it; after it, the store itself tells.
    optional: true,
    check: (call) =>
      view.checkNext(call).catch((error: unknown) => {
        throw new Error(inNextNames(explainFailure(error, next)));
      }),
  };
  return { store, view, follow, next: health, ...(urls && { urls }) };
}

/** After a move away from a filesystem store its URLs go on, as long as the key that signed them is there. */
async function oldUrls({ settings }: Config, url: string) {
  const isThere = existsSync(join(settings.ASSET_DATA_DIR, SIGNING_KEY));
  return settings.ASSET_URL_SIGNING_KEY !== undefined || isThere ? signedUrls(settings, url) : undefined;
}

/** URLs of the old directory are valid in the new one. */
function keepSigningKey(own: Config, next: Config): void {
  const [from, to] = [own, next].map(({ settings }) => join(settings.ASSET_DATA_DIR, SIGNING_KEY));
  try {
    copyFileSync(from!, to!, constants.COPYFILE_EXCL);
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** The store of a replica without ASSET_NEXT_STORE: refuses all work while a move has made another store the active one. */
function guarded(store: BlobStore, view: RowView): BlobStore {
  const methods = new Map<PropertyKey, unknown>([
    ['now', () => store.now()],
    [
      'check',
      async (call?: Parameters<BlobStore['check']>[0]) => {
        // The catalog has a health of its own.
        await view
          .read()
          .then(() => view.show())
          .catch(() => undefined);
        if (view.mistake !== undefined) throw new Error(view.mistake);
        await store.check(call);
      },
    ],
    [
      'close',
      async () => {
        await view.close();
        await store.close();
      },
    ],
  ]);
  const methodOf = (key: PropertyKey): unknown => {
    const value: unknown = Reflect.get(store, key, store);
    if (typeof value !== 'function') return value;
    const method = value as (...args: unknown[]) => unknown;
    return (...args: unknown[]) => {
      const run = () =>
        view.mistake === undefined
          ? method.apply(store, args)
          : Promise.reject(storeUnavailable(new Error(view.mistake)));
      // A call may come before the first check of the health has read the row.
      return view.isRead ? run() : view.read().then(run);
    };
  };
  return new Proxy(store, {
    get(_, key) {
      if (!methods.has(key)) methods.set(key, methodOf(key));
      return methods.get(key);
    },
  });
}

/**
 * Opens the store for a command, runs `work`, which must sign no URL of the filesystem store, and closes it.
 *
 * @throws SettingsError if the settings contradict the state of a store move
 */
export async function withStore<T>(
  config: Config,
  { log, catalog }: { readonly log: Logger; readonly catalog: FileCatalog },
  work: (store: BlobStore) => Promise<T>,
): Promise<T> {
  const { store, view } = await openServedStore(config, { url: addressUrl(config, 0), log, catalog });
  try {
    await view.read();
    if (view.mistake !== undefined) throw new SettingsError([view.mistake]);
    return await work(store);
  } finally {
    await store.close();
  }
}
