import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { clientOf, type AssetClient } from '../../e2e/support/calls.ts';
import { POCKETBASE, POSTGRES, type Setup } from '../../e2e/support/setups.ts';
import { ROOT } from '../../support/install.ts';
import { startPocketBase, type PocketBaseServer } from '../../support/pocketbase.ts';
import { freePort } from '../../support/ports.ts';
import { startPostgres } from '../../support/postgres.ts';
import { makeDir, removeDir, type Server } from '../../support/process.ts';
import { startSeaweedFS, type SeaweedFS } from '../../support/seaweedfs.ts';
import { startService, type Service } from '../../support/service.ts';
import { createDatabase } from '../../support/shared-servers.ts';
import type { Point } from '../../../src/system/crash-points.ts';
import { postgresInspector, pocketbaseInspector, type CatalogInspector } from './catalog-inspector.ts';

/** The file catalog of a world. */
export type CatalogKind = 'postgres' | 'pocketbase';

/** How a replica fails at a point. */
export interface Plan {
  readonly point: Point;
  /** On which visit of the point it fails, from 1. */
  readonly nth: number;
  readonly signal: 'SIGKILL' | 'SIGSTOP';
}

/** One replica of the service. */
export interface Replica {
  readonly service: Service;
  readonly client: AssetClient;
  /** Sets its plan, from now on and after restarts; none if omitted. */
  arm(plan?: Plan): Promise<void>;
  /** The point at which it executed its last plan; empty if it did not reach one. */
  carriedOut(): Promise<string>;
}

/** Replicas of the service, and what they store in. */
export interface Deployment {
  readonly setup: Setup;
  readonly inspector: CatalogInspector;
  readonly replicas: readonly Replica[];
  /** Maximum time until leftovers are removed, in milliseconds. */
  readonly leftoversMs: number;
}

/** A blob store, a file catalog and replicas of the service, all real processes that a test may kill. */
export interface World extends Deployment {
  readonly catalogKind: CatalogKind;
  readonly store: SeaweedFS;
  readonly catalog: Server;
  /** Address of the catalog itself, without a proxy. */
  readonly catalogUrl: string;
  dispose(): Promise<void>;
}

/** Options of a world. */
export interface WorldOptions {
  readonly catalog: CatalogKind;
  /** Settings of every replica that differ from {@link QUICK}. */
  readonly env?: Readonly<Record<string, string>>;
  readonly replicas?: number;
  /** Lifetime of a reservation, in milliseconds: longer than a request to the store can take. */
  readonly reservationTtlMs?: number;
  /**
   * Puts proxies between the replicas and their dependencies: gets the real addresses as `host:port` and returns those
   * that the replicas use.
   */
  readonly between?: (
    addresses: Dependencies,
    world: { readonly setup: Setup },
  ) => Promise<Dependencies & { dispose(): Promise<void> }>;
}

/** Addresses, `host:port`. */
export interface Dependencies {
  readonly store: string;
  readonly catalog: string;
}

/** Lifetime of a session, in milliseconds: longer than any replica is down. */
export const SESSION_TTL_MS = 20_000;

/** Retention of the usage `short`, in seconds. */
const RETENTION_SECONDS = 1;

/** Settings that reduce times of minutes or days to seconds. */
const QUICK = {
  ASSET_UPLOAD_PART_SIZE: String(5 * 2 ** 20),
  ASSET_UPLOAD_SESSION_TTL: String(SESSION_TTL_MS / 1000),
  ASSET_SWEEP_INTERVAL: '0.5',
  ASSET_HEALTH_INTERVAL: '0.5',
  ASSET_LOG_LEVEL: 'warn',
};

/** Default lifetime of a reservation, in milliseconds. */
const RESERVATION_TTL_MS = 4_000;

/** Starts a world. About ten seconds. */
export async function startWorld(options: WorldOptions): Promise<World> {
  const dir = await makeDir('fault');
  const store = await startSeaweedFS();
  const { server: catalog, setup, url: catalogUrl, inspector } = await startCatalog(options.catalog, store);

  const direct = { store: new URL(store.endpoint).host, catalog: new URL(catalogUrl).host };
  const between = await options.between?.(direct, { setup });
  const rewritten = between
    ? {
        ASSET_S3_ENDPOINT: `http://${between.store}`,
        ASSET_S3_PUBLIC_ENDPOINT: store.endpoint,
        ...catalogEnv(options.catalog, catalogUrl.replace(direct.catalog, between.catalog)),
      }
    : catalogEnv(options.catalog, catalogUrl);
  const reservationTtlMs = options.reservationTtlMs ?? RESERVATION_TTL_MS;
  const env = { ...setup.env, ...rewritten, ...options.env };
  const { replicas, leftoversMs } = await startReplicas(env, dir, {
    reservationTtlMs,
    count: options.replicas ?? 2,
  });
  return {
    catalogKind: options.catalog,
    ...{ leftoversMs, setup, store, catalog, catalogUrl, inspector, replicas },
    async dispose() {
      await Promise.all(replicas.map(({ service }) => service.dispose()));
      await between?.dispose();
      await Promise.all([setup.dispose(), inspector.close()]);
      await Promise.all([store.dispose(), catalog.dispose()]);
      await removeDir(dir);
    },
  };
}

/** Starts replicas with these settings and short times. Their files are in `dir`. */
export async function startReplicas(
  env: Readonly<Record<string, string>>,
  dir: string,
  options: { readonly count: number; readonly reservationTtlMs: number },
): Promise<Pick<Deployment, 'replicas' | 'leftoversMs'>> {
  const { count, reservationTtlMs } = options;
  const policies = { usages: { short: { retentionSeconds: RETENTION_SECONDS } }, default: {} };
  const policyFile = join(dir, 'policies.json');
  await writeFile(policyFile, JSON.stringify(policies));
  const all = {
    ...QUICK,
    ASSET_RESERVATION_TTL: String(reservationTtlMs / 1000),
    ASSET_POLICY_FILE: policyFile,
    NODE_OPTIONS: `--import=${pathToFileURL(join(ROOT, 'test', 'fault', 'kill-at.mjs')).href}`,
    ...env,
  };
  const replicas: Replica[] = [];
  // One after the other: the first one migrates the schema of the catalog.
  for (let i = 0; i < count; i++) replicas.push(await startReplica(all, join(dir, `plan-${i}.json`)));
  return { replicas, leftoversMs: SESSION_TTL_MS + reservationTtlMs };
}

/** Restarts all killed replicas and returns their number. */
export async function revive({ replicas }: World): Promise<number> {
  const killed = replicas.filter(({ service }) => service.pid === undefined);
  await Promise.all(killed.map(({ service }) => service.start()));
  return killed.length;
}

async function startReplica(env: Readonly<Record<string, string>>, planFile: string): Promise<Replica> {
  const doneFile = `${planFile}.done`;
  await writeFile(planFile, '');
  const port = await freePort();
  const service = await startService({ ...env, ASSET_TEST_FAULT_PLAN: planFile }, { port });
  return {
    service,
    client: clientOf(service.url),
    async arm(plan) {
      if (plan) await writeFile(doneFile, '');
      await writeFile(planFile, plan ? JSON.stringify(plan) : '');
      try {
        service.signal('SIGUSR2');
      } catch {
        // It has just crashed; after its restart it reads the file.
      }
    },
    carriedOut: () => readFile(doneFile, 'utf8'),
  };
}

async function startCatalog(
  kind: CatalogKind,
  s3: SeaweedFS,
): Promise<{ server: Server; setup: Setup; url: string; inspector: CatalogInspector }> {
  if (kind === 'pocketbase') {
    const server: PocketBaseServer = await startPocketBase();
    const setup = await POCKETBASE.open({ s3, pocketbase: server });
    return { server, setup, url: server.url, inspector: await pocketbaseInspector(server) };
  }
  const server = await startPostgres();
  const url = await createDatabase(server.url);
  return { server, setup: await POSTGRES.open({ s3 }), url, inspector: postgresInspector(url) };
}

function catalogEnv(kind: CatalogKind, url: string): Record<string, string> {
  return kind === 'postgres' ? { ASSET_POSTGRES_URL: url } : { ASSET_POCKETBASE_URL: url };
}
