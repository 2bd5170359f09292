import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { FileCatalog } from '../catalog/file-catalog.ts';
import type { PostgresOptions } from '../catalog/sql/postgres.ts';
import type { CatalogConfig, Config } from '../config/config.ts';
import type { StoreConfig } from '../config/next-store.ts';
import type { Settings } from '../config/options/options.ts';
import type { FilesContext } from '../files/context.ts';
import { type Authenticator, NO_IDENTITY } from '../identity/authenticator.ts';
import { CallLimits } from '../rpc/gate/call-limits.ts';
import { makePrivateDir } from '../system/private-files.ts';
import { InboundBudget } from '../rpc/gate/inbound-budget.ts';
import type { Route } from '../rpc/listener/dispatch.ts';
import type { ContentObserver } from '../rpc/signed-urls/counted.ts';
import type { PartBounds } from '../rpc/signed-urls/part-route.ts';
import { SettingsError } from '../config/settings.ts';
import { directoryFault } from '../errors/setup-fault.ts';
import { openLog } from '../telemetry/log.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { SignedUrls } from '../storage/signed-url.ts';

// A driver is loaded only if it is chosen: the modules of the others would take a tenth of the process's memory.

/** The configured way to identify callers. */
export async function openAuthenticator({ identity }: Config, log: Logger): Promise<Authenticator> {
  switch (identity.kind) {
    case 'none':
      return NO_IDENTITY;
    case 'oidc':
      return (await import('../identity/oidc.ts')).openOidc(identity.oidc, log);
    case 'mtls':
      return (await import('../identity/mtls.ts')).openMtls(identity.mtls, log);
  }
}

/**
 * The configured file catalog, not connected yet. An embedded one gets its directory, unless it is only read
 * (`readOnly`) or must exist (`mustExist`).
 */
export async function openCatalog(
  { catalog, settings }: CatalogConfig,
  options: {
    readonly readOnly?: boolean;
    readonly mustExist?: boolean;
    readonly watchPool?: PostgresOptions['watchPool'];
  } = {},
): Promise<FileCatalog> {
  switch (catalog.kind) {
    case 'sqlite': {
      const { openSqliteCatalog } = await import('../catalog/sql/sqlite.ts');
      const dir = settings.ASSET_DATA_DIR;
      const path = join(dir, 'catalog.sqlite');
      if (options.readOnly) tryDirectory(() => readIfThere(dir));
      else if (options.mustExist) tryDirectory(() => statSync(path));
      else makeDataDir(dir);
      return openSqliteCatalog({ path, minFreeBytes: settings.ASSET_MIN_FREE_SPACE });
    }
    case 'postgres':
      return openPostgres({
        url: catalog.url,
        maxConnections: settings.ASSET_POSTGRES_CONNECTIONS,
        watchPool: options.watchPool,
      });
    case 'pocketbase':
      return (await import('../catalog/pocketbase/pocketbase-catalog.ts')).openPocketBaseCatalog(
        catalog.pocketbase,
      );
  }
}

async function openPostgres(options: PostgresOptions): Promise<FileCatalog> {
  const { openPostgresCatalog } = await import('../catalog/sql/postgres.ts');
  try {
    return openPostgresCatalog(options);
  } catch (error) {
    if (error instanceof TypeError) throw new SettingsError([`ASSET_POSTGRES_URL: ${error.message}`]);
    throw error;
  }
}

/** The malware scanner, if configured. */
export async function openScanning({ settings }: Config): Promise<FilesContext['scanning']> {
  const address = settings.ASSET_CLAMD_ADDRESS;
  if (address === undefined) return undefined;
  const { ClamdScanner } = await import('../scanning/clamd.ts');
  return {
    scanner: new ClamdScanner(address, settings.ASSET_CLAMD_TIMEOUT),
    maxSizeBytes: settings.ASSET_CLAMD_MAX_SIZE,
    failOpen: settings.ASSET_CLAMD_ON_FAILURE === 'fail-open',
  };
}

/** File in the data directory with the key that signs URLs. */
export const SIGNING_KEY = 'url-signing.key';

/**
 * The store of the configuration, and what signs its URLs, if the service serves them itself.
 *
 * @param given - what signs its URLs, if another store shares it
 */
export async function openDriver(
  { store: choice, settings }: StoreConfig,
  url: string,
  given?: SignedUrls,
): Promise<{ readonly store: BlobStore; readonly urls?: SignedUrls }> {
  if (choice.kind === 's3')
    return { store: new (await import('../storage/s3/s3-store.ts')).S3BlobStore(choice.s3) };
  const { FilesystemBlobStore } = await import('../storage/filesystem/filesystem-store.ts');
  makeDataDir(settings.ASSET_DATA_DIR);
  const urls = given ?? (await signedUrls(settings, url));
  return {
    store: new FilesystemBlobStore(settings.ASSET_DATA_DIR, urls, settings.ASSET_MIN_FREE_SPACE),
    urls,
  };
}

/** What signs the URLs that the service serves itself. */
export async function signedUrls(settings: Settings, url: string): Promise<SignedUrls> {
  const { loadSigningKey, SignedUrls } = await import('../storage/signed-url.ts');
  const given = settings.ASSET_URL_SIGNING_KEY;
  const key = given ? Buffer.from(given) : loadSigningKey(join(settings.ASSET_DATA_DIR, SIGNING_KEY));
  return new SignedUrls(settings.ASSET_PUBLIC_URL ?? url, key);
}

/** Limits and observer of the route of signed URLs. */
export type RouteParts = Partial<PartBounds> & { readonly content?: ContentObserver | undefined };

/**
 * The route for URLs that the service serves itself.
 *
 * @param parts - what parts sent through that route share with calls
 */
export async function openRoute(
  store: BlobStore,
  urls: SignedUrls,
  { settings }: StoreConfig,
  log: Logger,
  { inbound = new InboundBudget(), onChange = () => undefined, content }: RouteParts = {},
): Promise<Route> {
  const { blobRoute } = await import('../rpc/signed-urls/blob-route.ts');
  const parts = { inbound, onChange, stallTimeoutMs: settings.ASSET_UPLOAD_STALL_TIMEOUT };
  return blobRoute({ store, urls, log, origins: settings.ASSET_URL_ORIGINS, parts, content });
}

/** The log in the configuration. */
export function createLogger(config: Config): Logger {
  const { ASSET_LOG_LEVEL: level, ASSET_LOG_FORMAT: format } = config.settings;
  return openLog(level, undefined, format);
}

/** URL of the service. */
export function addressUrl({ tls, settings }: Config, port: number): string {
  const { host } = settings.ASSET_LISTEN;
  return `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Without identities all callers are one, and only the limits of all uploads together apply. */
export function openCallLimits({ identity, settings }: Config): CallLimits {
  const bound = (count: number) => (identity.kind === 'none' ? 0 : count);
  return new CallLimits({
    readsPerSecond: bound(settings.ASSET_LIMIT_READS),
    writesPerSecond: bound(settings.ASSET_LIMIT_WRITES),
    refusalsPerSecond: bound(settings.ASSET_LIMIT_REFUSALS),
    uploads: bound(settings.ASSET_LIMIT_UPLOADS),
    downloads: bound(settings.ASSET_LIMIT_DOWNLOADS),
    watches: bound(settings.ASSET_LIMIT_WATCHES),
  });
}

/** Maximum number of bytes held by the uploads of one caller. Without identities all callers are one. */
export function memoryShare({ identity, settings }: Config): number {
  const percent = identity.kind === 'none' ? 100 : settings.ASSET_LIMIT_MEMORY_SHARE;
  return Math.floor((settings.ASSET_UPLOAD_MEMORY * percent) / 100);
}

/** @throws SetupFault if it cannot be created */
function makeDataDir(path: string): void {
  tryDirectory(() => makePrivateDir(path));
}

/** Reads a directory that may not exist. */
function readIfThere(dir: string): void {
  try {
    readdirSync(dir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** @throws SetupFault for errors of the file system */
function tryDirectory(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    throw directoryFault(error) ?? error;
  }
}

/** Opens the catalog, runs `work`, and closes it. */
export async function withCatalog<T>(
  config: CatalogConfig,
  options: Parameters<typeof openCatalog>[1],
  work: (catalog: FileCatalog) => Promise<T>,
): Promise<T> {
  const catalog = await openCatalog(config, options);
  try {
    return await work(catalog);
  } finally {
    await catalog.close();
  }
}
