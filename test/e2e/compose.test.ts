import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Code, createClient, type Interceptor } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { composeText, fillIn, parseCompose, type ComposeService } from '../support/compose.ts';
import { startIssuer } from '../support/issuer.ts';
import { ROOT, serverProgram } from '../support/install.ts';
import { freePorts } from '../support/ports.ts';
import { makeDir, removeDir, startServer, type Server } from '../support/process.ts';

const exec = promisify(execFile);

/** A service of the compose file, which must be there. */
function service(name: string): ComposeService {
  const found = compose.services[name];
  if (!found) throw new Error(`no service ${name}`);
  return found;
}

const issuer = await startIssuer();
const [assetPort, s3Port, pocketbasePort, ...more] = (await freePorts(10)).map(String);
const compose = parseCompose(
  fillIn(composeText(), {
    S3_ACCESS_KEY_ID: 'compose-key',
    S3_SECRET_ACCESS_KEY: 'compose-secret',
    POCKETBASE_EMAIL: 'service@example.com',
    POCKETBASE_PASSWORD: 'compose-password',
    ASSET_PORT: assetPort ?? '',
    S3_PORT: s3Port ?? '',
    POCKETBASE_PORT: pocketbasePort ?? '',
    KEYCLOAK_ADMIN_PASSWORD: 'compose-admin-password',
    KEYCLOAK_BFF_SECRET: 'compose-bff-secret',
    KEYCLOAK_WORKER_SECRET: 'compose-worker-secret',
    KEYCLOAK_USER_PASSWORD: 'compose-user-password',
  }),
);

/**
 * What the network of compose does: gives what is written for a container the addresses that it has here. In Keycloak's place
 * stands an issuer that starts at once; a suite of its own has the real one.
 */
function here(text: string): string {
  return text
    .replaceAll('seaweedfs:8333', `127.0.0.1:${s3Port}`)
    .replaceAll('pocketbase:8090', `127.0.0.1:${pocketbasePort}`)
    .replace(/^http:\/\/keycloak:8080\/realms\/assets\/.*$/, issuer.jwksUrl)
    .replace(/^http:\/\/127\.0\.0\.1:8180\/realms\/assets$/, issuer.url)
    .replaceAll('-s3.port=8333', `-s3.port=${s3Port}`)
    .replaceAll('127.0.0.1:9333', `127.0.0.1:${more[0]}.${more[1]}`)
    .replace(/^0\.0\.0\.0:8080$/, `0.0.0.0:${assetPort}`);
}

describe('the set of docker-compose.yml, started from programs', () => {
  const servers: Server[] = [];
  const dirs: string[] = [];
  let programs: string;

  beforeAll(async () => {
    const dir = await makeDir('compose');
    dirs.push(dir);
    programs = join(dir, 'bin');
    await mkdir(programs);
    for (const name of ['weed', 'pocketbase'] as const) {
      await symlink(await serverProgram(name), join(programs, name));
    }
    const env = { PATH: `${programs}:${dirname(process.execPath)}:/usr/bin:/bin`, HOME: dir };

    const seaweedfs = join(dir, 'seaweedfs');
    const s3Json = join(seaweedfs, 's3.json');
    await mkdir(seaweedfs);
    await writeFile(s3Json, compose.configs['s3.json']?.content ?? '');
    servers.push(
      await startServer({
        name: 'SeaweedFS',
        command: join(programs, 'weed'),
        args: [
          ...(service('seaweedfs').command ?? []).map((argument) =>
            here(argument.replace('/etc/seaweedfs/s3.json', s3Json)),
          ),
          // What the image adds, and ports that nobody else on this machine has.
          ...[`-dir=${seaweedfs}`, '-volume.max=0', '-master.volumeSizeLimitMB=1024'],
          ...[`-master.port=${more[0]}`, `-master.port.grpc=${more[1]}`],
          ...[`-volume.port=${more[2]}`, `-volume.port.grpc=${more[3]}`],
          ...[`-filer.port=${more[4]}`, `-filer.port.grpc=${more[5]}`, `-s3.port.grpc=${more[6]}`],
        ],
        env,
        dir: seaweedfs,
        ownsDir: false,
        ready: async () => (await fetch(`http://127.0.0.1:${s3Port}/healthz`)).ok,
      }),
    );

    const [shell = '', ...words] = (service('bucket').entrypoint ?? []).map(here);
    // Twice, as at every later start.
    await exec(shell, words, { env });
    await exec(shell, words, { env });

    const pocketbase = join(dir, 'pocketbase');
    await mkdir(pocketbase);
    servers.push(
      await startServer({
        name: 'PocketBase',
        command: '/bin/sh',
        args: [join(ROOT, 'deploy', 'compose', 'pocketbase-start.sh')],
        env: {
          ...env,
          ...service('pocketbase').environment,
          POCKETBASE_DATA: join(pocketbase, 'pb_data'),
          POCKETBASE_LISTEN: `127.0.0.1:${pocketbasePort}`,
        },
        dir: pocketbase,
        ownsDir: false,
        ready: async () => (await fetch(`http://127.0.0.1:${pocketbasePort}/api/health`)).ok,
      }),
    );

    const asset = join(dir, 'asset-service');
    await mkdir(asset);
    servers.push(
      await startServer({
        name: 'Asset Service',
        command: process.execPath,
        args: [join(ROOT, 'src', 'main.ts'), 'serve'],
        env: {
          ...env,
          ...Object.fromEntries(
            Object.entries(service('asset-service').environment ?? {}).map(([name, value]) => [
              name,
              here(value),
            ]),
          ),
        },
        dir: asset,
        ownsDir: false,
        ready: () => isHealthy(),
      }),
    );
  });

  afterAll(async () => {
    await Promise.all(servers.map((server) => server.dispose()));
    await issuer.dispose();
    await Promise.all(dirs.map(removeDir));
  });

  /** The health check of the compose file, with the address that the service has here. */
  async function isHealthy(): Promise<boolean> {
    const [, , , command = ''] = service('asset-service').healthcheck?.test ?? [];
    const options = ['--url', `http://127.0.0.1:${assetPort}`];
    return exec(process.execPath, [join(ROOT, 'src', 'main.ts'), command, ...options]).then(
      () => true,
      () => false,
    );
  }

  it('stores a file, serves it by URL, and shows the bucket to nobody else', async () => {
    const token = await issuer.token({ scope: 'asset:read asset:write' });
    const clientWith = (headers: Record<string, string>) => {
      const identify: Interceptor = (next) => (request) => {
        for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
        return next(request);
      };
      const options = { baseUrl: `http://127.0.0.1:${assetPort}`, interceptors: [identify] };
      return createClient(AssetService, createGrpcTransport(options));
    };
    await expect(clientWith({}).listFiles({})).rejects.toMatchObject({ code: Code.Unauthenticated });
    const client = clientWith({ authorization: `Bearer ${token}` });
    const content = randomBytes(300_000);
    const { writeStatus } = await client.upload(
      (async function* () {
        yield {
          firstMessage: {
            case: 'uploadSpec' as const,
            value: { file: { name: 'a file.bin', owner: 'u1' }, sizeBytes: BigInt(content.length) },
          },
          data: { content },
          finishWrite: true,
        };
      })(),
    );
    if (writeStatus.case !== 'file') throw new Error('no file');
    const file = writeStatus.value;

    const { url } = await client.getFileUrl({ source: { case: 'fileId', value: file.id } });
    expect(url).toContain(`http://127.0.0.1:${s3Port}/files/`);
    const answer = await fetch(url);
    expect(answer.status).toBe(200);
    expect(Buffer.from(await answer.arrayBuffer()).equals(content)).toBe(true);

    const { origin, pathname } = new URL(url);
    expect((await fetch(`${origin}${pathname}`)).status).toBe(403);
    expect((await fetch(`${origin}/files/`)).status).toBe(403);
    expect((await fetch(origin)).status).toBe(403);
    expect((await client.listFiles({ filter: { owner: 'u1' } })).files.map(({ id }) => id)).toEqual([
      file.id,
    ]);
  });

  it('tells by the health check when a dependency is gone', async () => {
    expect(await isHealthy()).toBe(true);
    await servers[1]?.kill();
    const deadline = Date.now() + 30_000;
    while ((await isHealthy()) && Date.now() < deadline);
    expect(await isHealthy()).toBe(false);
  });
});
