import { expect } from '@jest/globals';
import { s3Env, type Setup } from '../../e2e/support/setups.ts';
import { postgresInspector } from '../../fault/support/catalog-inspector.ts';
import { checkEverything } from '../../fault/support/check.ts';
import { report } from '../../fault/support/report.ts';
import { startReplicas, type Deployment } from '../../fault/support/world.ts';
import { makeDir, removeDir } from '../../support/process.ts';
import type { S3Address } from '../../support/seaweedfs.ts';
import { createBucket } from '../../support/shared-servers.ts';
import { startCallers, TimedLedger, type Callers } from './callers.ts';
import { SESSION_TTL_MS } from './figures.ts';

/** What {@link startUnderLoad} starts. */
export interface UnderLoadOptions {
  /** Name of the row of docs/reliability.md. */
  readonly title: string;
  readonly store: S3Address;
  readonly postgresUrl: string;
  /** Lifetime of a reservation, in milliseconds: longer than a request to the store can take. */
  readonly reservationTtlMs: number;
  readonly callers: number;
}

/** Two replicas of the service, and callers that upload, change and read all the time. */
export interface UnderLoad {
  readonly deployment: Deployment;
  readonly ledger: TimedLedger;
  readonly callers: Callers;
  /** Ends the callers. Passes if nothing is lost, partial, duplicate or left behind, and enough was uploaded. */
  checkEverything(): Promise<void>;
  /** Stops callers and replicas, and writes the row. */
  dispose(): Promise<void>;
}

/** Starts replicas on a store and a PostgreSQL, and callers. */
export async function startUnderLoad(options: UnderLoadOptions): Promise<UnderLoad> {
  const { title, store, postgresUrl, reservationTtlMs } = options;
  const ledger = new TimedLedger();
  const dir = await makeDir('cluster');
  const inspector = postgresInspector(postgresUrl);
  const bucket = await createBucket(store);
  const env = {
    ...s3Env(bucket),
    ...{ ASSET_CATALOG: 'postgres', ASSET_POSTGRES_URL: postgresUrl },
    ASSET_UPLOAD_SESSION_TTL: String(SESSION_TTL_MS / 1000),
  };
  const setup: Setup = {
    ...{ env, projects: [], bucket, blobs: () => Promise.resolve([]), dispose: () => Promise.resolve() },
  };
  const replicas = await startReplicas(env, dir, { count: 2, reservationTtlMs });
  const leftoversMs = replicas.leftoversMs + SESSION_TTL_MS;
  const deployment = { setup, inspector, ...replicas, leftoversMs };
  const callers = startCallers(deployment, ledger, options.callers);
  return {
    ...{ deployment, ledger, callers },
    async checkEverything() {
      await callers.finish();
      await checkEverything(deployment, ledger);
      expect(ledger.broken).toEqual([]);
      expect(ledger.counts.acknowledged).toBeGreaterThan(100);
    },
    async dispose() {
      await callers.finish();
      await Promise.all(deployment.replicas.map(({ service }) => service.dispose()));
      await inspector.close();
      await removeDir(dir);
      report(title, ledger);
    },
  };
}
