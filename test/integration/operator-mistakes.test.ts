import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createServer, type Server as HttpServer } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server as TcpServer } from 'node:net';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openAuthenticator, openCatalog, openDriver, openScanning } from '../../src/app/drivers.ts';
import { explainFailure } from '../../src/config/explain.ts';
import { loadConfig } from '../../src/config/config.ts';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { freePort } from '../support/ports.ts';
import { query } from '../support/postgres.ts';
import { makeDir, removeDir } from '../support/process.ts';
import {
  createBucket,
  createDatabase,
  sharedS3,
  sharedVersityGW,
  type TestBucket,
} from '../support/shared-servers.ts';
import { openLog } from '../../src/telemetry/log.ts';
import { migrateCatalog } from '../../src/app/catalog.ts';
import { deepSweepOnce, sweepOnce } from '../../src/app/sweep.ts';

type Env = Readonly<Record<string, string>>;
const log = openLog('silent');

/** What the operator is told when a dependency is checked with these settings; `fine` where nothing is wrong. */
async function toldOf(
  dependency: 'store' | 'catalog' | 'identity' | 'scanner',
  env: Env,
  aws: Env = {},
): Promise<string> {
  const before = { ...process.env };
  Object.assign(process.env, aws);
  const config = loadConfig(env);
  const signal = AbortSignal.timeout(10_000);
  let close: () => unknown = () => undefined;
  try {
    if (dependency === 'store') {
      const { store } = await openDriver(config, 'http://127.0.0.1');
      close = () => store.close();
      await store.check({ signal });
    } else if (dependency === 'catalog') {
      const catalog = await openCatalog(config);
      close = () => catalog.close();
      if (config.settings.ASSET_MIGRATE) await catalog.migrate();
      await catalog.check({ signal });
    } else if (dependency === 'identity') {
      const authenticator = await openAuthenticator(config, log);
      close = () => authenticator.close();
      await authenticator.check();
    } else {
      await (await openScanning(config))!.scanner.check({ signal });
    }
    return 'fine';
  } catch (error) {
    return explainFailure(error, config);
  } finally {
    await close();
    for (const name of Object.keys(aws)) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  }
}

/** A web server that is neither an S3 nor a PocketBase. */
async function webServer(status: number): Promise<{ readonly url: string; readonly server: HttpServer }> {
  const server = createServer((_, response) => {
    response
      .writeHead(status, { 'content-type': 'text/html; charset=utf-8' })
      .end('<html><body>hello</body></html>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

let dir: string;
let nobody: string;
let web: Awaited<ReturnType<typeof webServer>>;
let missing: Awaited<ReturnType<typeof webServer>>;
let silent: TcpServer;

beforeAll(async () => {
  dir = await makeDir('mistakes');
  nobody = `127.0.0.1:${await freePort()}`;
  [web, missing] = await Promise.all([webServer(200), webServer(404)]);
  silent = createTcpServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
});

afterAll(async () => {
  for (const server of [web.server, missing.server, silent]) server.close();
  await removeDir(dir);
});

describe('an operator who names the wrong S3', () => {
  let bucket: TestBucket;
  let env: Env;

  beforeAll(async () => {
    bucket = await createBucket();
    env = { ASSET_STORE: 's3', ASSET_S3_ENDPOINT: bucket.endpoint, ASSET_S3_BUCKET: bucket.bucket };
  });

  const store = (changes: Env, aws?: Env) => toldOf('store', { ...env, ...changes }, aws);

  it('is told nothing where all is right', async () => {
    expect(await store({})).toBe('fine');
  });

  it('is told the setting and what the server says', async () => {
    expect(await store({ ASSET_S3_BUCKET: 'no-such-bucket' })).toBe(
      'ASSET_S3_BUCKET: the bucket does not exist (HTTP 404 NoSuchBucket) (it is "no-such-bucket")',
    );
    expect(await store({}, { AWS_SECRET_ACCESS_KEY: 'hunter2' })).toBe(
      'AWS_SECRET_ACCESS_KEY: the secret key does not belong to the access key (HTTP 403 SignatureDoesNotMatch)',
    );
    expect(await store({}, { AWS_ACCESS_KEY_ID: 'stranger' })).toBe(
      'AWS_ACCESS_KEY_ID: the store does not know this access key (HTTP 403 InvalidAccessKeyId)',
    );
    const none = {
      AWS_ACCESS_KEY_ID: '',
      AWS_SECRET_ACCESS_KEY: '',
      AWS_EC2_METADATA_DISABLED: 'true',
      HOME: dir,
    };
    expect(await store({}, none)).toMatch(
      /^AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: no credentials were found/,
    );
  });

  const versitygw = sharedVersityGW();
  ('missing' in versitygw ? it.skip : it)('is told the region that the server expects', async () => {
    const { endpoint } = versitygw as { endpoint: string };
    expect(await store({ ASSET_S3_ENDPOINT: endpoint, ASSET_S3_REGION: 'eu-west-9' })).toMatch(
      /^ASSET_S3_REGION: .*it expects us-east-1 \(HTTP 400 AuthorizationHeaderMalformed\) \(it is "eu-west-9"\)$/,
    );
  });

  it('is told what is at the address instead', async () => {
    const at = (url: string) => store({ ASSET_S3_ENDPOINT: url });
    expect(await at(`http://${nobody}`)).toBe(
      `ASSET_S3_ENDPOINT: nothing listens there (ECONNREFUSED ${nobody}) (it is "http://${nobody}")`,
    );
    expect(await at('http://host.invalid')).toMatch(
      /^ASSET_S3_ENDPOINT: the name of the host is not known \((ENOTFOUND|EAI_AGAIN)/,
    );
    expect(await at(sharedS3().endpoint.replace('http:', 'https:'))).toMatch(
      /^ASSET_S3_ENDPOINT: TLS is not spoken there/,
    );
    expect(await at(web.url)).toMatch(/^ASSET_S3_ENDPOINT: what answers there is no S3 \(HTTP 200\)/);
    expect(await at(missing.url)).toMatch(/^ASSET_S3_ENDPOINT: what answers there is no S3 \(HTTP 404\)/);
    const { port } = silent.address() as AddressInfo;
    expect(await at(`http://127.0.0.1:${port}`)).toMatch(
      /^ASSET_S3_ENDPOINT: the connection was closed .*ECONNRESET/,
    );
  });
});

describe('an operator who names the wrong PocketBase', () => {
  let pocketbase: PocketBaseServer;
  let env: Env;

  beforeAll(async () => {
    pocketbase = await startPocketBase();
    env = {
      ...{ ASSET_CATALOG: 'pocketbase', ASSET_POCKETBASE_URL: pocketbase.url },
      ...{ ASSET_POCKETBASE_EMAIL: pocketbase.email, ASSET_POCKETBASE_PASSWORD: pocketbase.password },
    };
  });

  afterAll(() => pocketbase?.dispose());

  const catalog = (changes: Env) => toldOf('catalog', { ...env, ...changes });

  it('is told the settings of the login', async () => {
    for (const changes of [
      { ASSET_POCKETBASE_PASSWORD: 'hunter2' },
      { ASSET_POCKETBASE_EMAIL: 'x@example.com' },
    ]) {
      const told = await catalog(changes);
      expect(told).toMatch(
        /^ASSET_POCKETBASE_EMAIL, ASSET_POCKETBASE_PASSWORD: PocketBase refuses the login of the superuser \(HTTP 400/,
      );
      expect(told).not.toContain('hunter2');
    }
  });

  it('is told what is at the address instead', async () => {
    const at = (url: string) => catalog({ ASSET_POCKETBASE_URL: url });
    expect(await at(`http://${nobody}`)).toBe(
      `ASSET_POCKETBASE_URL: nothing listens there (ECONNREFUSED ${nobody}) (it is "http://${nobody}")`,
    );
    expect(await at(web.url)).toMatch(
      /^ASSET_POCKETBASE_URL: what answers there is no PocketBase \(HTTP 200 text\/html/,
    );
    expect(await at(missing.url)).toMatch(
      /^ASSET_POCKETBASE_URL: what answers there is no PocketBase \(HTTP 404/,
    );
    expect(await at(pocketbase.url.replace('http:', 'https:'))).toMatch(
      /^ASSET_POCKETBASE_URL: TLS is not spoken there/,
    );
  });

  it('is told that the collection is not there', async () => {
    expect(await catalog({ ASSET_MIGRATE: 'false', ASSET_POCKETBASE_COLLECTION: 'nonsense' })).toMatch(
      /^ASSET_POCKETBASE_COLLECTION: PocketBase has no collection "nonsense".* \(it is "nonsense"\)$/,
    );
  });

  it('is told to migrate where collections of the service are not there', async () => {
    const config = loadConfig({ ...env, ASSET_DATA_DIR: dir, ASSET_MIGRATE: 'false' });
    const failure: unknown = await sweepOnce(config, { dryRun: false }, log).catch((error: unknown) => error);
    expect(explainFailure(failure, config)).toMatch(
      /^ASSET_MIGRATE: PocketBase has no collection "asset_\w+" \(HTTP 404\): run "asset-service migrate"/,
    );
  });

  it('is told nothing where all is right', async () => {
    expect(await catalog({})).toBe('fine');
  });

  it('is told of a misspelt field before anything is swept', async () => {
    const fields = JSON.stringify({ name: 'nmae' });
    const config = loadConfig({ ...env, ASSET_DATA_DIR: dir, ASSET_POCKETBASE_FIELDS: fields });
    await migrateCatalog(loadConfig({ ...env, ASSET_DATA_DIR: dir }));
    const deep = { dryRun: true, graceMs: 0, ratePerSecond: 1_000 };
    const told = { onFound: () => undefined, onRemoved: () => undefined, onDone: () => undefined };
    for (const work of [
      () => sweepOnce(config, { dryRun: false }, log),
      () => sweepOnce(config, { dryRun: true }, log),
      () => deepSweepOnce(config, { ...deep, ...told }, new AbortController().signal, log),
    ]) {
      await expect(work()).rejects.toMatchObject({
        name: 'SettingsError',
        message: expect.stringMatching(/ASSET_POCKETBASE_FIELDS: "name".*"nmae"/) as unknown,
      });
    }
  });
});

describe('an operator who names the wrong database', () => {
  const catalog = (url: string, changes: Env = {}) =>
    toldOf('catalog', { ASSET_CATALOG: 'postgres', ASSET_POSTGRES_URL: url, ...changes });

  it('is told what PostgreSQL says, without the password', async () => {
    const database = await createDatabase();
    const withPart = (part: 'pathname' | 'username' | 'host', value: string) => {
      const url = new URL(database);
      url.password = 'hunter2';
      url[part] = value;
      return url.href;
    };
    expect(await catalog(withPart('pathname', '/nonsense'))).toBe(
      'ASSET_POSTGRES_URL: PostgreSQL answers: database "nonsense" does not exist (3D000)',
    );
    expect(await catalog(withPart('username', 'stranger'))).toMatch(
      /^ASSET_POSTGRES_URL: PostgreSQL answers: .*"stranger".* \(28\w+\)$/,
    );
    expect(await catalog(withPart('host', nobody))).toBe(
      `ASSET_POSTGRES_URL: nothing listens there (ECONNREFUSED ${nobody})`,
    );
    expect(await catalog(withPart('host', 'host.invalid'))).toMatch(
      /^ASSET_POSTGRES_URL: the name of the host is not known/,
    );
    expect(await catalog(`${database}?sslmode=require`)).toMatch(/^ASSET_POSTGRES_URL: .*SSL/);
    const { port } = silent.address() as AddressInfo;
    expect(await catalog(withPart('host', `127.0.0.1:${port}`))).toMatch(
      /^ASSET_POSTGRES_URL: the connection was closed/,
    );

    expect(await catalog(database, { ASSET_MIGRATE: 'false' })).toMatch(
      /^ASSET_MIGRATE: .*\(42P01\): run "asset-service migrate"/,
    );
    const role = `poor_${Date.now()}`;
    await query(database, `create role ${role} login`);
    expect(await catalog(withPart('username', role))).toMatch(
      /^ASSET_POSTGRES_URL: the role "poor_\d+" may not create tables in the schema "public"\. Run: grant create/,
    );
    await query(database, `drop role ${role}`);
    expect(await catalog(database)).toBe('fine');
  });
});

describe('an operator whose data directory cannot be used', () => {
  it('is told the path and why', async () => {
    const file = join(dir, 'a-file');
    await writeFile(file, 'this is no database, and longer than the header of one is'.repeat(10));
    for (const dependency of ['store', 'catalog'] as const) {
      expect(await toldOf(dependency, { ASSET_DATA_DIR: file })).toMatch(
        /^ASSET_DATA_DIR: .*a-file: it is no directory \(EEXIST\)/,
      );
      expect(await toldOf(dependency, { ASSET_DATA_DIR: join(file, 'x') })).toMatch(
        /^ASSET_DATA_DIR: .*no directory \(ENOTDIR\)/,
      );
    }
    await writeFile(
      join(dir, 'catalog.sqlite'),
      'this is no database, and longer than the header of one is'.repeat(10),
    );
    expect(await toldOf('catalog', { ASSET_DATA_DIR: dir })).toMatch(
      /^ASSET_DATA_DIR: .*catalog.sqlite: the file is no SQLite database/,
    );
    const empty = await makeDir('mistakes-empty');
    expect(await toldOf('catalog', { ASSET_DATA_DIR: empty, ASSET_MIGRATE: 'false' })).toMatch(
      /^ASSET_MIGRATE: SQLite: no such table/,
    );
    await removeDir(empty);
  });
});

describe('an operator who names the wrong issuer or scanner', () => {
  const oidc = { ASSET_AUTH: 'oidc', ASSET_OIDC_AUDIENCE: 'files' };

  it('is told what is there instead, without a password', async () => {
    const issuer = (url: string) => toldOf('identity', { ...oidc, ASSET_OIDC_ISSUER: url });
    expect(await issuer(`http://${nobody}`)).toMatch(
      /^ASSET_OIDC_ISSUER: nothing listens there \(ECONNREFUSED/,
    );
    expect(await issuer(missing.url)).toMatch(/^ASSET_OIDC_ISSUER: .*answers with HTTP 404/);
    expect(await issuer(web.url)).toMatch(/^ASSET_OIDC_ISSUER: .*something else than JSON/);
    const keys = {
      ...oidc,
      ASSET_OIDC_ISSUER: 'https://issuer.example',
      ASSET_OIDC_JWKS: `${missing.url}/keys`,
    };
    expect(await toldOf('identity', keys)).toMatch(/^ASSET_OIDC_JWKS: http:.*\/keys answers with HTTP 404/);
    const secret = `${missing.url.replace('//', '//ann:hunter2@')}/keys?token=hunter2`;
    for (const settings of [
      { ...keys, ASSET_OIDC_JWKS: secret },
      { ...oidc, ASSET_OIDC_ISSUER: secret },
    ]) {
      const told = await toldOf('identity', settings);
      expect(told).toMatch(/ HTTP 404 \(it is "http:\/\/\*\*\*@127.0.0.1:\d+\/keys\?token=\*\*\*"\)$/);
    }
  });

  it('is told where no clamd listens', async () => {
    expect(await toldOf('scanner', { ASSET_CLAMD_ADDRESS: nobody })).toMatch(
      /^ASSET_CLAMD_ADDRESS: nothing listens there/,
    );
    expect(await toldOf('scanner', { ASSET_CLAMD_ADDRESS: join(dir, 'no.sock') })).toMatch(
      /^ASSET_CLAMD_ADDRESS: .*nothing at this path|^ASSET_CLAMD_ADDRESS: .*ENOENT/,
    );
  });
});
