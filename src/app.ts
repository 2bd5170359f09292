import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { openAudit } from './audit/open-audit.ts';
import type { FileCatalog } from './catalog/file-catalog.ts';
import { openPocketBaseCatalog } from './catalog/pocketbase.ts';
import { openPostgresCatalog } from './catalog/sql-postgres.ts';
import { openSqliteCatalog } from './catalog/sql-sqlite.ts';
import type { Config } from './config.ts';
import { reloadTls, TLS_FILES } from './config-tls.ts';
import { Admission } from './files/admission.ts';
import type { FilesContext } from './files/context.ts';
import { Quotas } from './files/quota.ts';
import { reloadPolicies } from './files/policy/policy-reload.ts';
import { RecordLoader } from './files/record-loader.ts';
import { ReservationPool } from './files/reservations.ts';
import type { SweepReport } from './files/sweep.ts';
import { previewSweep } from './files/sweep-preview.ts';
import { Sweeper } from './files/sweeper.ts';
import { HealthMonitor } from './health.ts';
import { openLog } from './log.ts';
import type { Authenticator } from './identity/authenticator.ts';
import { NO_IDENTITY } from './identity/none.ts';
import { openMtls } from './identity/mtls.ts';
import { openOidc } from './identity/oidc.ts';
import { CallLimits } from './rpc/call-limits.ts';
import { blobRoute } from './rpc/blob-route.ts';
import { RPC_SERVICES, rpcHandlers } from './rpc/handler.ts';
import { listen, type Listener, type RequestHandler } from './rpc/listener.ts';
import { isStreamingCall } from './rpc/streaming-calls.ts';
import type { BlobStore } from './storage/blob-store.ts';
import { ClamdScanner } from './scanning/clamd.ts';
import { FilesystemBlobStore } from './storage/filesystem.ts';
import { loadSigningKey } from './storage/filesystem-signing-key.ts';
import { MemoryBudget } from './storage/memory-budget.ts';
import { S3BlobStore } from './storage/s3.ts';
import { SignedUrls } from './storage/signed-url.ts';
import { watchFiles } from './watch-files.ts';

/** Ids that one reservation holds: one write to the catalog for so many uploads. */
const RESERVATION_SIZE = 64;

/** A running service. */
export interface App {
  /** Where it answers, such as `http://127.0.0.1:8080`. */
  readonly url: string;
  /** Stops in order: no new calls, those in hand finish within the drain timeout, then all is let go. */
  close(): Promise<void>;
}

/**
 * The composition root: opens the drivers that the configuration names, gives them to the use cases,
 * and these to the RPC room.
 *
 * @throws whatever keeps the service from starting, such as a port in use or a catalog that cannot be reached
 */
export async function startApp(config: Config, log: Logger = createLogger(config)): Promise<App> {
  const { settings } = config;
  for (const name of config.unknownNames) log.warn({ name }, 'this variable is no setting of the service');

  const audit = await openAudit(config.audit, log);
  const authenticator = openAuthenticator(config, log);
  const catalog = openCatalog(config);
  const listener = await listen({
    ...settings.ASSET_LISTEN,
    reusePort: settings.ASSET_REUSE_PORT,
    tls: config.tls,
    connections: {
      total: settings.ASSET_LIMIT_CONNECTIONS,
      perAddress: settings.ASSET_LIMIT_CONNECTIONS_PER_ADDRESS,
    },
    times: {
      bodyMs: settings.ASSET_LIMIT_BODY_TIME,
      idleMs: settings.ASSET_LIMIT_IDLE_TIME,
      isStream: isStreamingCall,
    },
  });
  const stopWatching = renewCertificates(config, listener, log);
  const url = addressUrl(config, listener.port);
  const { store, route } = openStore(config, url, log);

  const scanning = openScanning(config);
  const files: FilesContext = {
    store,
    catalog,
    records: new RecordLoader(catalog),
    policies: config.policies,
    audit,
    reservations: new ReservationPool(catalog, log, {
      size: RESERVATION_SIZE,
      ttlMs: settings.ASSET_RESERVATION_TTL,
    }),
    admission: new Admission(settings.ASSET_MAX_UPLOADS, (inHand) => listener.divideAmong(inHand)),
    quotas: new Quotas(),
    budget: new MemoryBudget(settings.ASSET_UPLOAD_MEMORY, memoryShare(config)),
    scanning,
    log,
    uploads: {
      partSizeBytes: settings.ASSET_UPLOAD_PART_SIZE,
      concurrency: settings.ASSET_UPLOAD_CONCURRENCY,
      stallTimeoutMs: settings.ASSET_UPLOAD_STALL_TIMEOUT,
      sessionTtlMs: settings.ASSET_UPLOAD_SESSION_TTL,
      graceMs: settings.ASSET_RESERVATION_TTL,
    },
  };
  let migrated = !settings.ASSET_MIGRATE;
  const dependencies = [
    { name: 'store', check: store.check.bind(store) },
    {
      name: 'catalog',
      // A catalog that is down when the service starts is migrated when it comes up.
      async check(call: { signal: AbortSignal }) {
        if (!migrated) await migrate(catalog, log);
        migrated = true;
        await catalog.check(call);
      },
    },
    ...(config.identity.kind === 'none' ? [] : [{ name: 'identity', check: () => authenticator.check() }]),
    ...(scanning
      ? [
          {
            name: 'scanner',
            optional: scanning.failOpen,
            check: scanning.scanner.check.bind(scanning.scanner),
          },
        ]
      : []),
  ];
  const health = new HealthMonitor(dependencies, RPC_SERVICES, settings.ASSET_HEALTH_INTERVAL, log);
  const sweeper = new Sweeper(files, {
    intervalMs: settings.ASSET_SWEEP_INTERVAL,
    deletionsPerSecond: settings.ASSET_SWEEP_RATE,
  });
  const policyFile = settings.ASSET_POLICY_FILE;
  const endReload = policyFile === undefined ? undefined : reloadPolicies(policyFile, files.policies, log);
  listener.serve(rpcHandlers(files, health, { authenticator, limits: callLimits(config) }, route, log));
  await health.check();
  log.info({ url, store: store.kind, catalog: catalog.kind }, 'listening');

  return {
    url,
    async close() {
      log.info('draining');
      health.drain();
      stopWatching();
      files.admission.close();
      await Promise.all([sweeper.close(), listener.close(settings.ASSET_DRAIN_TIMEOUT)]);
      health.close();
      endReload?.();
      authenticator.close();
      await files.reservations.close();
      await Promise.all([store.close(), catalog.close(), audit.close()]);
      log.info('stopped');
    },
  };
}

/** Without identities all callers are one, and the bounds of all uploads together are what there is. */
function callLimits({ identity, settings }: Config): CallLimits {
  const bound = (count: number) => (identity.kind === 'none' ? 0 : count);
  return new CallLimits({
    readsPerSecond: bound(settings.ASSET_LIMIT_READS),
    writesPerSecond: bound(settings.ASSET_LIMIT_WRITES),
    refusalsPerSecond: bound(settings.ASSET_LIMIT_REFUSALS),
    uploads: bound(settings.ASSET_LIMIT_UPLOADS),
    downloads: bound(settings.ASSET_LIMIT_DOWNLOADS),
  });
}

/** What the uploads of one caller may hold, in bytes. Without identities all callers are one. */
function memoryShare({ identity, settings }: Config): number {
  const percent = identity.kind === 'none' ? 100 : settings.ASSET_LIMIT_MEMORY_SHARE;
  return Math.floor((settings.ASSET_UPLOAD_MEMORY * percent) / 100);
}

/** Brings the schema of the configured catalog up to date and returns what it did, a line each. */
export async function migrateCatalog(
  config: Config,
  log: Logger = createLogger(config),
): Promise<readonly string[]> {
  const catalog = openCatalog(config);
  try {
    return await migrate(catalog, log);
  } finally {
    await catalog.close();
  }
}

/**
 * Sweeps once, or says what a sweep would do.
 *
 * @returns undefined if another process is sweeping
 */
export async function sweepOnce(
  config: Config,
  options: { readonly dryRun: boolean },
  log: Logger = createLogger(config),
): Promise<SweepReport | undefined> {
  const catalog = openCatalog(config);
  try {
    if (options.dryRun) return await previewSweep({ catalog });
    // No URL is asked for, so it does not matter what they would start with.
    const { store } = openStore(config, addressUrl(config, 0), log);
    const deletionsPerSecond = config.settings.ASSET_SWEEP_RATE;
    const sweeper = new Sweeper({ store, catalog, log }, { intervalMs: 0, deletionsPerSecond });
    try {
      return await sweeper.sweepNow();
    } finally {
      await sweeper.close();
      await store.close();
    }
  } finally {
    await catalog.close();
  }
}

async function migrate(catalog: FileCatalog, log: Logger): Promise<readonly string[]> {
  const done = await catalog.migrate();
  for (const line of done) log.info({ catalog: catalog.kind }, line);
  return done;
}

function createLogger(config: Config): Logger {
  return openLog(config.settings.ASSET_LOG_LEVEL);
}

function openAuthenticator({ identity }: Config, log: Logger): Authenticator {
  switch (identity.kind) {
    case 'none':
      return NO_IDENTITY;
    case 'oidc':
      return openOidc(identity.oidc, log);
    case 'mtls':
      return openMtls(identity.mtls, log);
  }
}

/** Has the listener take the files of TLS anew when they change; returns how to stop. */
function renewCertificates({ settings }: Config, listener: Listener, log: Logger): () => void {
  const paths = TLS_FILES.flatMap((name) => settings[name] ?? []);
  return watchFiles(paths, () => {
    try {
      const tls = reloadTls(settings);
      if (tls === undefined) return;
      listener.renew(tls);
      log.info('the certificate was read anew');
    } catch (error) {
      // Half of a replacement: the other file is about to change as well.
      log.warn({ err: error }, 'the certificate cannot be read anew: the last one goes on being used');
    }
  });
}

function openCatalog({ catalog, settings }: Config): FileCatalog {
  switch (catalog.kind) {
    case 'sqlite':
      mkdirSync(settings.ASSET_DATA_DIR, { recursive: true });
      return openSqliteCatalog({ path: join(settings.ASSET_DATA_DIR, 'catalog.sqlite') });
    case 'postgres':
      return openPostgresCatalog({ url: catalog.url });
    case 'pocketbase':
      return openPocketBaseCatalog(catalog.pocketbase);
  }
}

function openScanning({ settings }: Config): FilesContext['scanning'] {
  const address = settings.ASSET_CLAMD_ADDRESS;
  if (address === undefined) return undefined;
  return {
    scanner: new ClamdScanner(address, settings.ASSET_CLAMD_TIMEOUT),
    maxSizeBytes: settings.ASSET_CLAMD_MAX_SIZE,
    failOpen: settings.ASSET_CLAMD_ON_FAILURE === 'fail-open',
  };
}

/** The store, and the route that serves its URLs if the store itself cannot. */
function openStore(config: Config, url: string, log: Logger): { store: BlobStore; route?: RequestHandler } {
  const { store: choice, settings } = config;
  if (choice.kind === 's3') return { store: new S3BlobStore(choice.s3) };
  mkdirSync(settings.ASSET_DATA_DIR, { recursive: true });
  const given = settings.ASSET_URL_SIGNING_KEY;
  const key = given ? Buffer.from(given) : loadSigningKey(join(settings.ASSET_DATA_DIR, 'url-signing.key'));
  const urls = new SignedUrls(settings.ASSET_PUBLIC_URL ?? url, key);
  const store = new FilesystemBlobStore(settings.ASSET_DATA_DIR, urls);
  return { store, route: blobRoute({ store, urls, log, origins: settings.ASSET_URL_ORIGINS }) };
}

function addressUrl({ tls, settings }: Config, port: number): string {
  const { host } = settings.ASSET_LISTEN;
  return `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
