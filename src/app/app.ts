import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { openAudit } from '../audit/open-audit.ts';
import { holdDataDir } from './data-dir.ts';
import type { Config } from '../config/config.ts';
import { allowedHosts } from '../config/loopback.ts';
import { ChangeFeed } from '../events/change-feed.ts';
import { Watches } from '../events/watches.ts';
import { explainFailure } from '../config/explain.ts';
import { Admission } from '../files/upload/admission.ts';
import type { FilesContext } from '../files/context.ts';
import { Quotas } from '../files/quota.ts';
import { reloadPolicies } from '../files/policy/usage-policies.ts';
import { RecordLoader } from '../files/record-loader.ts';
import { ReservationPool } from '../files/upload/reservations.ts';
import { Sweeper } from '../files/sweep/sweeper.ts';
import { Verifier } from '../move/verifier.ts';
import { sha256Name } from '../files/upload/checksums.ts';
import { isTuned } from '../system/garbage-collection.ts';
import { HealthMonitor } from '../telemetry/health-monitor.ts';
import { isText, readable } from '../telemetry/log.ts';
import { InboundBudget } from '../rpc/gate/inbound-budget.ts';
import { RPC_SERVICES, rpcHandlers } from '../rpc/rpc-handlers.ts';
import { Senders } from '../rpc/listener/stream-windows.ts';
import { MemoryBudget } from '../storage/memory-budget.ts';
import { driverCallLog, observedCatalog, observedStore, observers } from '../telemetry/observed.ts';
import { dependenciesOf } from './dependencies.ts';
import { openOldFiles } from './legacy.ts';
import { openListener } from './listening.ts';
import { openAppMetrics } from './metrics/app-metrics.ts';
import { ReplicaSettings } from './replica-settings.ts';
import { openServedStore } from './served-store.ts';
import { openServingCatalog } from './serving-catalog.ts';
import { warmDrivers } from './warm-drivers.ts';
import { assertVariantsCanBeMade, checkVariants, openVariants } from './variants.ts';
import {
  openAuthenticator,
  openScanning,
  addressUrl,
  openCallLimits,
  openRoute,
  memoryShare,
  createLogger,
} from './drivers.ts';

/** Ids of one reservation: one write to the catalog for this many uploads. */
const RESERVATION_SIZE = 64;

/** A running service. */
export interface App {
  /** Its address, such as `http://127.0.0.1:8080`. */
  readonly url: string;
  /**
   * Stops in order: accepts no new calls, lets running ones finish within the drain timeout, then closes
   * everything.
   */
  close(): Promise<void>;
}

/**
 * The composition root: opens the configured drivers, passes them to the use cases, and these to the RPC room.
 *
 * @throws the error that prevents the start, such as a port in use
 */
export async function startApp(config: Config, log: Logger = createLogger(config)): Promise<App> {
  for (const doubt of config.doubts) log.warn(doubt);
  await checkVariants(config);
  const releaseDataDir = holdDataDir(config, log);
  const opened: (() => unknown)[] = [releaseDataDir];
  try {
    const app = await open(config, log, opened);
    return { ...app, close: () => app.close().finally(releaseDataDir) };
  } catch (error) {
    for (const close of opened.toReversed()) {
      try {
        await close();
      } catch (reason) {
        log.warn({ err: reason }, 'a part of a service that does not start could not be closed');
      }
    }
    throw error;
  }
}

/** @param opened - gets what must be closed if a later step fails, in the order of opening */
async function open(config: Config, log: Logger, opened: (() => unknown)[]): Promise<App> {
  const { settings } = config;

  const metrics = await openAppMetrics(config, log);
  // Loaded only if needed. Before the drivers, which ask whether their requests are watched.
  const tracing = config.tracing ? (await import('../telemetry/tracing.ts')).openTracing(log) : undefined;
  opened.push(
    () => metrics?.close(),
    () => tracing?.close(),
  );
  const audit = await openAudit(
    config.audit,
    log,
    isText(settings.ASSET_LOG_FORMAT, process.stdout) ? readable : undefined,
  );
  const authenticator = await openAuthenticator(config, log);
  opened.push(
    () => audit.close(),
    () => authenticator.close(),
  );
  const observer = observers(driverCallLog(log), metrics?.drivers);
  const openedCatalog = await openServingCatalog(config, log, {
    ...{ follows: true, watchPool: metrics?.watchPool },
  });
  const catalog = observedCatalog(openedCatalog, observer, tracing?.traceDriver);
  opened.push(() => catalog.close());
  const { listener, stopWatching } = await openListener(config, log);
  opened.push(() => listener.close(0), stopWatching);
  const url = addressUrl(config, listener.port);
  const inbound = new InboundBudget();
  const senders = new Senders((count) => listener.divideAmong(count));
  const served = await openServedStore(config, { url, log, catalog });
  const { store: openedStore, urls, follow } = served;
  const store = observedStore(openedStore, observer, tracing?.traceDriver);
  opened.push(() => store.close());
  const parts = { inbound, onChange: senders.addParts, content: metrics?.calls };
  const route = urls && (await openRoute(store, urls, config, log, parts));
  const endFollowing = await follow();
  opened.push(endFollowing);

  const scanning = await openScanning(config);
  const records = new RecordLoader(catalog);
  const old = await openOldFiles(config, { store, catalog, records, log, onUse: metrics?.onLegacyUse });
  const variants = openVariants(config, { store, catalog, log, onMade: metrics?.onVariantMade });
  opened.push(
    () => old?.files.close(),
    () => variants.close(),
  );
  const files: FilesContext = {
    store,
    catalog,
    records,
    oldFiles: old?.files,
    policies: config.policies,
    audit,
    reservations: new ReservationPool(catalog.uploads, log, {
      size: RESERVATION_SIZE,
      ttlMs: settings.ASSET_RESERVATION_TTL,
    }),
    admission: new Admission(settings.ASSET_MAX_UPLOADS, senders.setUploads),
    quotas: new Quotas(),
    budget: new MemoryBudget(settings.ASSET_UPLOAD_MEMORY, memoryShare(config)),
    scanning,
    variants,
    log,
    uploads: {
      partSizeBytes: settings.ASSET_UPLOAD_PART_SIZE,
      concurrency: settings.ASSET_UPLOAD_CONCURRENCY,
      stallTimeoutMs: settings.ASSET_UPLOAD_STALL_TIMEOUT,
      sessionTtlMs: settings.ASSET_UPLOAD_SESSION_TTL,
      maxOpenPerCaller: settings.ASSET_LIMIT_OPEN_UPLOADS,
      graceMs: settings.ASSET_RESERVATION_TTL,
    },
  };
  const dependencies = dependenciesOf(config, {
    ...{ files, authenticator, oldBucket: old?.dependency, nextStore: served.next, log },
  });
  const health = new HealthMonitor(dependencies, RPC_SERVICES, settings.ASSET_HEALTH_INTERVAL, log, (error) =>
    explainFailure(error, config),
  );
  const sweeping = { ...files, graceMs: settings.ASSET_RESERVATION_TTL };
  const sweeper = new Sweeper(sweeping, {
    intervalMs: settings.ASSET_SWEEP_INTERVAL,
    deletionsPerSecond: settings.ASSET_SWEEP_RATE,
    changesRetentionMs: settings.ASSET_CHANGES_RETENTION,
    // The first sweep adds its status to health, whether it succeeds or not.
    onSweep: metrics?.onSweep,
    onFirstSweep: () => health.add({ name: 'sweep', optional: true, check: () => sweeper.check() }),
  });
  const policyFile = settings.ASSET_POLICY_FILE;
  const endReload =
    policyFile === undefined
      ? undefined
      : reloadPolicies(policyFile, files.policies, log, assertVariantsCanBeMade);
  const gate = {
    authenticator,
    limits: openCallLimits(config),
    allowedHosts: allowedHosts(settings),
    inbound,
  };
  const watching = {
    ...{ catalog, records, policies: files.policies, audit },
    feed: new ChangeFeed(catalog.changes),
    watches: new Watches(settings.ASSET_MAX_WATCHES),
    observer: metrics?.events,
  };
  listener.serve(
    rpcHandlers(files, watching, health, gate, route, {
      ...{ log, observer: metrics?.calls, requests: metrics?.requests, tracing },
    }),
  );
  // Callers come with the first check, which also migrates the catalog.
  const warmUpMs = settings.ASSET_WARM_UP * 1_000;
  if (warmUpMs > 0) await warmDrivers({ store: openedStore, catalog: openedCatalog }, warmUpMs, log);
  await health.check();
  // An embedded catalog has one process.
  const replicaSettings = catalog.kind === 'sqlite' ? undefined : new ReplicaSettings(config, catalog, log);
  if (replicaSettings)
    health.add({ name: 'settings', optional: true, check: (call) => replicaSettings.check(call) });
  const { admission, budget } = files;
  const { watches } = watching;
  const maxWatches = settings.ASSET_MAX_WATCHES;
  const { renderer } = variants;
  metrics?.observe({ admission, budget, senders, watches, maxWatches, health, catalog, renderer });
  const verifyEveryMs = settings.ASSET_VERIFY_EVERY;
  const verifier = verifyEveryMs > 0 ? new Verifier(files, verifyEveryMs) : undefined;
  if (verifier) health.add({ name: 'verify', optional: true, check: (call) => verifier.check(call) });
  if (!isTuned)
    log.warn('V8 was started without the flags of bin/flags.json: uploads take more CPU time and memory');
  log.info({ url, store: store.kind, catalog: catalog.kind, sha256: await sha256Name() }, 'listening');

  return {
    url,
    async close() {
      log.info('draining');
      health.drain();
      listener.drain();
      await sleep(settings.ASSET_DRAIN_DELAY);
      stopWatching();
      // Callers must know that their connection ends before they are told to try again.
      await listener.stop();
      health.close();
      files.admission.close();
      watching.watches.close();
      await replicaSettings?.close();
      await Promise.all([sweeper.close(), verifier?.close(), listener.close(settings.ASSET_DRAIN_TIMEOUT)]);
      endReload?.();
      authenticator.close();
      await Promise.all([files.reservations.close(), old?.files.close(), variants.close()]);
      await endFollowing();
      // It takes back what it shows in the catalog.
      await store.close();
      await Promise.all([catalog.close(), audit.close()]);
      await Promise.all([metrics?.close(), tracing?.close()]);
      log.info('stopped');
    },
  };
}
