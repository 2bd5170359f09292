import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serverProgram } from './install.ts';
import { freePort } from './ports.ts';
import { makeDir, startServer, type Server } from './process.ts';

/** A registry for npm packages that holds nothing at first. */
export type NpmRegistry = Server & {
  /** Its address, with a slash at its end. */
  readonly url: string;
  /** A file with the access token of a user who may publish; in the server's own directory. */
  readonly npmrc: string;
};

/** Starts a Verdaccio that keeps everything in its own directory and asks no other registry. */
export async function startNpmRegistry(): Promise<NpmRegistry> {
  const program = await serverProgram('verdaccio');
  const dir = await makeDir('verdaccio');
  const address = `127.0.0.1:${await freePort()}`;
  const url = `http://${address}/`;
  const config = {
    storage: join(dir, 'storage'),
    auth: { htpasswd: { file: join(dir, 'htpasswd'), max_users: 1 } },
    uplinks: {},
    packages: { '**': { access: '$all', publish: '$authenticated' } },
    web: { enable: false },
    log: { type: 'stdout', format: 'json', level: 'warn' },
  };
  const configFile = join(dir, 'config.yaml');
  // JSON is YAML.
  await writeFile(configFile, JSON.stringify(config));
  const server = await startServer({
    name: 'Verdaccio',
    command: process.execPath,
    args: [program, '--config', configFile, '--listen', address],
    env: { HOME: dir, XDG_CONFIG_HOME: dir, XDG_DATA_HOME: dir },
    dir,
    ownsDir: true,
    ready: async () => (await fetch(new URL('-/ping', url))).ok,
  });
  const user = { name: 'publisher', password: 'for-this-test-alone' };
  const answer = await fetch(new URL('-/user/org.couchdb.user:publisher', url), {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(user),
  });
  const { token } = (await answer.json()) as { readonly token: string };
  const npmrc = join(dir, 'npmrc');
  await writeFile(npmrc, `@asset-service:registry=${url}\n//${address}/:_authToken=${token}\n`);
  return Object.assign(server, { url, npmrc });
}

/** An index for Python packages that holds nothing at first. */
export type PythonIndex = Server & {
  /** Its address; uploads go there, `simple/` is for pip. */
  readonly url: string;
};

/** Starts a pypiserver with a Python that has it. It asks no other index. */
export async function startPythonIndex(python: string): Promise<PythonIndex> {
  const dir = await makeDir('pypi');
  const packages = join(dir, 'packages');
  await mkdir(packages);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/`;
  const server = await startServer({
    name: 'pypiserver',
    command: python,
    args: [
      ...['-m', 'pypiserver', 'run', '--interface', '127.0.0.1', '--port', String(port)],
      ...['--passwords', '.', '--authenticate', '.', '--disable-fallback', packages],
    ],
    env: { HOME: dir },
    dir,
    ownsDir: true,
    ready: async () => (await fetch(new URL('simple/', url))).ok,
  });
  return Object.assign(server, { url });
}

/** A registry for charts that holds nothing at first. */
export type ChartRegistry = Server & {
  /** Its address, `oci://...`. */
  readonly url: string;
};

/** Starts an OCI registry that keeps everything in memory. */
export async function startChartRegistry(): Promise<ChartRegistry> {
  const dir = await makeDir('oci');
  const port = await freePort();
  const server = await startServer({
    name: 'OCI registry',
    command: await serverProgram('oci-registry'),
    args: ['-port', String(port)],
    env: { HOME: dir },
    dir,
    ownsDir: true,
    ready: async () => (await fetch(`http://127.0.0.1:${port}/v2/`)).ok,
  });
  return Object.assign(server, { url: `oci://127.0.0.1:${port}/charts` });
}
