import { isSameServer } from '../config/legacy.ts';
import { hostname, userInfo } from 'node:os';
import type { Logger } from 'pino';
import { openAudit } from '../audit/open-audit.ts';
import { addressUrl, openDriver } from './drivers.ts';
import { withStore } from './served-store.ts';
import { withServingCatalog } from './serving-catalog.ts';
import type { CatalogAccess } from '../catalog/catalog-access.ts';
import type { FileCatalog } from '../catalog/file-catalog.ts';
import type { Config } from '../config/config.ts';
import type { RecordLoader } from '../files/record-loader.ts';
import type { Dependency } from '../telemetry/health-monitor.ts';
import type { OldSystem } from '../legacy/old-system.ts';
import { checkOldBucket, namingOldBucket } from '../legacy/check.ts';
import type { GonePocketBase } from '../legacy/gone-pocketbase.ts';
import type { LockableSystem } from '../legacy/lock-journal.ts';
import type { OldBucket } from '../legacy/locate.ts';
import type { ServedOldFiles, ServedOldFilesOptions } from '../legacy/old-files.ts';
import { openLog } from '../telemetry/log.ts';
import { SettingsError } from '../config/settings.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { ObjectCopier } from '../storage/object-copier.ts';

/** The configured old bucket, if any, not connected yet. */
export async function openOldBucket({ legacy }: Config): Promise<OldBucket | undefined> {
  if (legacy === undefined) return undefined;
  const { S3ObjectReader } = await import('../storage/s3/s3-object-reader.ts');
  return { reader: new S3ObjectReader(legacy.s3), layouts: legacy.layouts, linkField: legacy.linkField };
}

/** Serves the files of the old system, with the dependency that it creates; undefined if there is none. */
export async function openOldFiles(
  config: Config,
  parts: {
    readonly store: BlobStore;
    readonly catalog: FileCatalog;
    readonly records: RecordLoader;
    readonly log: Logger;
    readonly onUse?: ServedOldFilesOptions['onUse'];
  },
): Promise<{ readonly files: ServedOldFiles; readonly dependency: Dependency } | undefined> {
  const bucket = await openOldBucket(config);
  if (bucket === undefined) return undefined;
  const { ServedOldFiles } = await import('../legacy/old-files.ts');
  const { records, log, catalog, onUse } = parts;
  const own = hasSameName(config) ? parts.store : undefined;
  return {
    files: new ServedOldFiles({ bucket, records, legacy: catalog.legacy, log, onUse }),
    dependency: { name: 'old-bucket', check: (call) => checkOldBucket(bucket.reader, own, call) },
  };
}

/** Resolves if the old bucket is available or there is none. Changes nothing. */
export async function checkLegacy(config: Config): Promise<void> {
  const bucket = await openOldBucket(config);
  if (bucket === undefined) return;
  const store = hasSameName(config) ? (await openDriver(config, addressUrl(config, 0))).store : undefined;
  try {
    await checkOldBucket(bucket.reader, store);
  } finally {
    bucket.reader.close();
    await store?.close();
  }
}

/** True if the service's bucket and the old one have the same name: they may be one bucket under two addresses. */
function hasSameName({ legacy, store }: Config): boolean {
  return store.kind === 's3' && store.s3.bucket === legacy?.s3.bucket;
}

/**
 * Opens what a step of the move needs, runs it, and closes everything. Checks the old bucket first.
 *
 * @throws SettingsError if the settings name no old system
 */
export async function withOldSystem<T>(config: Config, work: (system: OldSystem) => Promise<T>): Promise<T> {
  const bucket = await openOldBucket(config);
  if (bucket === undefined) {
    throw new SettingsError(['ASSET_LEGACY_S3_BUCKET: is required: there is no old system to move from']);
  }
  try {
    return await withStoreAndCatalog(config, async ({ catalog, store }) => {
      await checkOldBucket(bucket.reader, hasSameName(config) ? store : undefined);
      const findings = await catalog.inspect({ relations: [], usages: [] });
      const mistakes = findings.filter(({ level }) => level === 'mistake');
      if (mistakes.length > 0) throw new SettingsError(mistakes.map(({ text }) => text));
      const copier = await openCopier(config);
      const reader = namingOldBucket(bucket.reader);
      try {
        return await work({ bucket: { ...bucket, reader }, catalog, store, copier });
      } finally {
        copier?.close();
      }
    });
  } finally {
    bucket.reader.close();
  }
}

/** Copies from the old bucket to that of the service, if both are on one server. */
async function openCopier({ legacy, store }: Config): Promise<ObjectCopier | undefined> {
  if (legacy === undefined || store.kind !== 's3' || !isSameServer(legacy.s3, store.s3)) return undefined;
  const { S3ObjectCopier } = await import('../storage/s3/s3-object-copier.ts');
  return new S3ObjectCopier(store.s3, legacy.s3.bucket);
}

/**
 * Like {@link withOldSystem}, for steps that change who can reach the old system.
 *
 * @param withoutPocketBase - URL of the PocketBase that was the catalog before a move, if it is switched off for good
 */
export async function withLockableSystem<T>(
  config: Config,
  work: (system: LockableSystem) => Promise<T>,
  withoutPocketBase?: string,
): Promise<T> {
  const gone = withoutPocketBase === undefined ? undefined : await gonePocketBase(config, withoutPocketBase);
  return withOldSystem(config, async (system) => {
    const { S3BucketAccess } = await import('../storage/s3/bucket-access.ts');
    const bucketAccess = new S3BucketAccess(config.legacy!.s3);
    const access = gone === undefined ? await openAccess(config) : undefined;
    try {
      return await work({
        ...system,
        access,
        bucketAccess: namingOldBucket(bucketAccess),
        ...(gone && { gone }),
      });
    } finally {
      bucketAccess.close();
      access?.close();
    }
  });
}

/** Throws SettingsError if the settings name another PocketBase, or one is the catalog. */
async function gonePocketBase({ catalog, settings }: Config, url: string): Promise<GonePocketBase> {
  const named = catalog.kind === 'pocketbase' ? catalog.pocketbase.url : settings.ASSET_POCKETBASE_URL;
  const isOther = named !== undefined && new URL(named).href !== new URL(url).href;
  if (isOther || catalog.kind === 'pocketbase') {
    const fault = isOther ? `is ${named}, and not ${url}` : 'that PocketBase is the catalog';
    throw new SettingsError([`ASSET_POCKETBASE_URL, --without-pocketbase: ${fault}`]);
  }
  const { answerAt } = await import('../catalog/pocketbase/probes.ts');
  return { url, answer: (signal) => answerAt(url, signal) };
}

/** The PocketBase of the old system, also after the catalog was moved from it to another one. */
async function openAccess({ catalog, settings }: Config): Promise<CatalogAccess | undefined> {
  const { ASSET_POCKETBASE_URL: url, ASSET_POCKETBASE_EMAIL: email } = settings;
  const { ASSET_POCKETBASE_PASSWORD: password, ASSET_POCKETBASE_COLLECTION: collection } = settings;
  const { openPocketBaseAccess } = await import('../catalog/pocketbase/access.ts');
  if (catalog.kind === 'pocketbase') return openPocketBaseAccess(catalog.pocketbase);
  if (url === undefined || email === undefined || password === undefined) return undefined;
  return openPocketBaseAccess({ url, email, password, ...(collection !== undefined && { collection }) });
}

/** Records a step of the move and its operator in the audit log, if that is a file or goes to OpenTelemetry. */
export async function recordStep(
  config: Config,
  action: string,
  facts: Readonly<Record<string, string | number>>,
): Promise<void> {
  const { destination, openTelemetry } = config.audit;
  // Standard output has the output of the command.
  const file = destination === 'stdout' ? 'off' : destination;
  if (file === 'off' && !openTelemetry) return;
  const audit = await openAudit({ destination: file, openTelemetry }, openLog('silent'));
  const principal = operator();
  audit.record({
    action,
    allowed: true,
    why: 'operator',
    requestId: '',
    principal,
    endUser: '',
    fileId: '',
    facts,
  });
  await audit.close();
}

/** The user who runs a command. */
export function operator(): string {
  return `${userInfo().username}@${hostname()}`;
}

/** Opens the store and the catalog of the service, runs `work`, and closes them. */
export async function withStoreAndCatalog<T>(
  config: Config,
  work: (parts: { readonly catalog: FileCatalog; readonly store: BlobStore }) => Promise<T>,
): Promise<T> {
  const log = openLog('silent');
  return withServingCatalog(config, log, (catalog) =>
    withStore(config, { log, catalog }, async (store) => {
      await catalog.check();
      return work({ catalog, store });
    }),
  );
}
