import { existsSync } from 'node:fs';
import { startPostgres } from './postgres.ts';
import { S3_KEYS, startSeaweedFS } from './seaweedfs.ts';
import { SHARED } from './shared-servers.ts';
import { startVersityGW } from './versitygw.ts';
import { serverProgram } from './install.ts';

declare global {
  /** The servers of the run, for `global-teardown.ts`. */

  var startedServers: { dispose(): Promise<void> }[] | undefined;
}

/**
 * Starts the servers that all test files share and stores their addresses in the environment: a SeaweedFS, a
 * VersityGW and a PostgreSQL. A server is taken from the environment if set there; otherwise it runs in a container
 * if an engine answers, otherwise as a program that is installed on first use.
 */
export default async function globalSetup(): Promise<void> {
  const started: { dispose(): Promise<void> }[] = [];
  globalThis.startedServers = started;
  const containers = await containerStarters();
  const start = async <T extends { dispose(): Promise<void> }>(starting: Promise<T>): Promise<T> => {
    const server = await starting;
    started.push(server);
    return server;
  };

  const env = process.env;
  if (!env[SHARED.s3Endpoint] && !env[SHARED.versitygwEndpoint]) {
    env[SHARED.accessKeyId] = S3_KEYS.accessKeyId;
    env[SHARED.secretAccessKey] = S3_KEYS.secretAccessKey;
  }
  const results = await Promise.allSettled([
    (async () => {
      if (env[SHARED.s3Endpoint]) return;
      const server = await start(containers?.containSeaweedFS() ?? startSeaweedFS());
      env[SHARED.s3Endpoint] = server.endpoint;
    })(),
    (async () => {
      if (env[SHARED.postgresUrl]) return;
      const server = await start(containers?.containPostgres() ?? startPostgres());
      env[SHARED.postgresUrl] = server.url;
    })(),
    (async () => {
      if (env[SHARED.versitygwEndpoint]) return;
      try {
        const server = await start(containers?.containVersityGW() ?? startVersityGW());
        env[SHARED.versitygwEndpoint] = server.endpoint;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
        env[SHARED.versitygwMissing] =
          'no Go to build VersityGW with; install Go, or set ' +
          `${SHARED.versitygwEndpoint} or ASSET_TEST_VERSITYGW_BIN`;
        console.warn(`\nTests on VersityGW are skipped: ${env[SHARED.versitygwMissing]}.`);
      }
    })(),
    // Test files start their own PocketBase; installing it here keeps that out of their time limits.
    serverProgram('pocketbase'),
  ]);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) {
    await Promise.all(started.map((server) => server.dispose()));
    throw failed.reason;
  }
}

async function containerStarters(): Promise<typeof import('./containers.ts') | undefined> {
  // The check takes a second and a library, so it runs only if there may be an engine.
  if (!process.env.DOCKER_HOST && !existsSync('/var/run/docker.sock')) return undefined;
  const containers = await import('./containers.ts');
  return (await containers.hasContainerEngine()) ? containers : undefined;
}
