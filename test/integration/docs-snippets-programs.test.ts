import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { execFile } from 'node:child_process';
import { appendFile, mkdtemp, realpath, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { parseAllDocuments } from 'yaml';
import { loadConfig } from '../../src/config/config.ts';
import { readManifest } from '../../src/files/datasets/manifest.ts';
import { CertificatePrincipals } from '../../src/identity/client-certificates.ts';
import { clientOf, upload } from '../e2e/support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { FLAGS, isInstalled, ROOT, serverProgram } from '../support/install.ts';
import { AUDIENCE, startIssuer } from '../support/issuer.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { createBucket } from '../support/shared-servers.ts';
import { startMachines } from './docs-snippets/cluster.ts';
import { PROGRAMS } from './docs-snippets/programs.ts';
import { codeOf, find, textOf } from './docs-snippets/snippets.ts';

const run = promisify(execFile);

let dir: string;
let service: Service;
beforeAll(async () => {
  dir = await makeDir('snippet-programs');
  await symlink(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  await writeFile(join(dir, 'package.json'), '{ "type": "module" }');
  service = await startService();
});
afterAll(async () => {
  await service?.dispose();
  await removeDir(dir);
});

/** What surrounds the code of a page in a program. `CODE` stands for the code. */
const SURROUNDED: Readonly<Record<string, string>> = {
  'clients.md': `
    import { writeFile } from 'node:fs/promises';
    import { createBffClient } from '@asset-service/bff';
    import { createWorkerClient } from '@asset-service/worker';
    await writeFile('report.txt', 'numbers');
    async function bff() {
      BLOCK0
      return assets;
    }
    async function worker(assets: ReturnType<typeof createWorkerClient>) {
      BLOCK1
      return file;
    }
    const client = createWorkerClient({ baseUrl: process.env['ASSET_SERVICE_URL']! });
    const { id } = await worker(client);
    const seen = await (await bff()).getFile(id);
    console.log(seen.usage, seen.owner, JSON.stringify([seen.relations, seen.attributes]));
    process.exit();`,
  'events.md': `
    import { createWorkerClient } from '@asset-service/worker';
    const client = createWorkerClient({ baseUrl: process.env['ASSET_SERVICE_URL']! });
    await client.uploadFile(Buffer.from('a scan'), { name: 'a.txt', usage: 'scan' });
    const print = console.log;
    console.log = (...words: unknown[]) => {
      print(...words);
      process.exit();
    };
    CODE`,
  'migration.md': `
    import express, { type Request } from 'express';
    import type { AddressInfo } from 'node:net';
    const app = express();
    const token = () => process.env['BFF_TOKEN']!;
    const tokenOf = (request: { headers: Request['headers'] }) => request.headers.authorization!.replace('Bearer ', '');
    CODE
    const server = app.listen(0, '127.0.0.1', async () => {
      const { port } = server.address() as AddressInfo;
      for (const authorization of [process.env['USER_TOKEN']!, 'of nobody']) {
        const url = \`http://127.0.0.1:\${port}/files/k1v2w3x4y5z6a7b/secret.pdf\`;
        const response = await fetch(url, { headers: { authorization: \`Bearer \${authorization}\` } });
        console.log(response.status);
      }
      process.exit();
    });`,
};

/** The program that a page shows. */
function programOf(page: string, url = service.url): string {
  const blocks = find({ page, language: 'ts' }).map(({ code }) => code);
  let program = SURROUNDED[page]!.replace('CODE', () => blocks.join('\n'));
  for (const [index, code] of blocks.entries()) program = program.replace(`BLOCK${index}`, () => code);
  return program.replace("'https://assets.internal'", `'${url}'`);
}

const fileOf = (page: string) => join(dir, page.replace('.md', '.ts'));

/** Runs the program of a page with a service and what else is in its environment; returns what it prints. */
async function outputOf(page: string, url = service.url, variables: object = {}): Promise<string> {
  await writeFile(fileOf(page), programOf(page, url));
  const env = { ...process.env, ASSET_SERVICE_URL: url, NODE_OPTIONS: '', ...variables };
  const options = { cwd: dir, env, timeout: 60_000 };
  return (await run(process.execPath, [...FLAGS, fileOf(page)], options)).stdout;
}

/** One test for each name. */
const RUNS: Readonly<Record<keyof typeof PROGRAMS, () => Promise<void>>> = {
  'a BFF and a worker call the service': async () =>
    expect(await outputOf('clients.md')).toMatch(
      /7 of 7, try 1\nstored as \w{15}\nreport ann \[\{"project":\["p1"\]\},\{"title":"Numbers"\}\]\n$/,
    ),

  async 'a cluster of databases and stores starts'() {
    const [patroni, filer] = [{ language: 'yaml' }, { language: 'toml' }].map((which) =>
      codeOf({ page: 'clusters.md', ...which }),
    );
    const [haproxy, weed] = ['listen postgres', 'weed master'].map((has) =>
      codeOf({ page: 'clusters.md', has }),
    );
    const own = await mkdtemp(join(dir, 'cluster-'));
    await writeFile(join(own, 'postgres.cfg'), haproxy!);
    await run(await serverProgram('haproxy'), ['-c', '-f', join(own, 'postgres.cfg')]);
    const machines = await startMachines(
      { patroni: patroni!, haproxy: haproxy!, weed: weed!, filer: filer! },
      own,
    );
    try {
      // What the page leaves out.
      const bin = dirname(await realpath(await serverProgram('postgres')));
      const users = ['superuser', 'replication'].map((name) => [name, { username: name, password: 'x' }]);
      const postgresql = {
        ...{
          listen: '127.0.0.1:1',
          connect_address: 'node1:5432',
          data_dir: join(own, 'none'),
          bin_dir: bin,
        },
        authentication: Object.fromEntries(users) as object,
      };
      await appendFile(machines.patroni, `postgresql: ${JSON.stringify(postgresql)}\n`);
      await run(await serverProgram('patroni'), ['--validate-config', machines.patroni]);
      const { bucket, ...address } = await eventually(() => createBucket(machines.s3), 60_000);
      const client = new S3Client({ ...address, forcePathStyle: true, credentials: address });
      const object = { Bucket: bucket, Key: 'a.txt' };
      await eventually(() => client.send(new PutObjectCommand({ ...object, Body: 'two copies' })), 60_000);
      const { Body } = await client.send(new GetObjectCommand(object));
      expect(await Body!.transformToString()).toBe('two copies');
      client.destroy();
    } finally {
      await machines.dispose();
    }
  },

  async 'a manifest names the files of a dataset'() {
    let head: object = {};
    const paths: string[] = [];
    const content = Buffer.from(codeOf({ page: 'datasets.md', language: 'json' }));
    async function* bytes() {
      yield content;
    }
    for await (const { path } of readManifest(bytes(), (found) => (head = found))) paths.push(path);
    expect(head).toMatchObject({ dataset: 'cats', version: '1' });
    expect(paths).toEqual(['train/1.jpg', 'train/2.jpg']);
  },

  'a program watches files': async () =>
    expect(await outputOf('events.md')).toMatch(/^created \w{15} \S{20,}\n$/),

  async 'a chart makes an installation'() {
    const [command] = /`helm upgrade --install [^`]+`/.exec(textOf('kubernetes.md'))!;
    const values = join(dir, 'values.yaml');
    await writeFile(values, codeOf({ page: 'kubernetes.md', language: 'yaml' }));
    const words = command.slice(1, -1).split(' ').slice(3);
    const args = words.map((word) => word.replace('deploy/helm', join(ROOT, 'deploy', 'helm')));
    const { stdout } = await run(
      await serverProgram('helm'),
      ['template', ...args, '--kube-version', '1.34.0'],
      { cwd: dir },
    );
    type KubeObject = { kind: string; metadata: { name: string }; data: Record<string, string> };
    const objects = parseAllDocuments(stdout).map((document) => document.toJS() as KubeObject);
    expect(objects.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['Deployment', 'ServiceMonitor']));
    expect(stdout).toContain('image: registry.example/asset-service:');
    const { data } = objects.find(
      ({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === 'assets',
    )!;
    const secret = join(dir, 'url');
    await writeFile(secret, 'postgres://files@db.example/files');
    expect(data['ASSET_POSTGRES_URL_FILE']).toBe('/run/secrets/settings/ASSET_POSTGRES_URL');
    const config = loadConfig({ ...data, ASSET_POSTGRES_URL_FILE: secret });
    expect(config).toMatchObject({ store: { kind: 's3' }, catalog: { kind: 'postgres' } });
    expect(config.settings).toMatchObject({ ASSET_AUTH: 'oidc', ASSET_MIGRATE: false });
  },

  async 'a back end answers at old URLs'() {
    const issuer = await startIssuer();
    const { bucket, endpoint, region, accessKeyId, secretAccessKey } = await createBucket();
    const own = await startService({
      ...{ ASSET_AUTH: 'oidc', ASSET_OIDC_ISSUER: issuer.url, ASSET_OIDC_AUDIENCE: AUDIENCE },
      ...{
        ASSET_LEGACY_S3_BUCKET: bucket,
        ASSET_LEGACY_S3_ENDPOINT: endpoint,
        ASSET_LEGACY_S3_REGION: region,
      },
      ...{ ASSET_LEGACY_S3_FORCE_PATH_STYLE: 'true', ASSET_LEGACY_S3_ACCESS_KEY_ID: accessKeyId },
      ...{ ASSET_LEGACY_S3_SECRET_ACCESS_KEY: secretAccessKey, ASSET_LEGACY_LAYOUTS: '{id}/{secure_name}' },
    });
    try {
      const BFF_TOKEN = await issuer.token({ sub: 'bff', azp: 'bff', scope: 'asset:act-for-user' });
      const USER_TOKEN = await issuer.token({ sub: 'ann', scope: 'asset:read' });
      // There is no such file; a token that is none is refused.
      expect(await outputOf('migration.md', own.url, { BFF_TOKEN, USER_TOKEN })).toBe('404\n401\n');
    } finally {
      await own.dispose();
      await issuer.dispose();
    }
  },

  'certificates name services': () => {
    const principals = new CertificatePrincipals(
      JSON.parse(codeOf({ page: 'security.md', language: 'json' })),
    );
    expect(principals.principalOf(['CN:worker'])).toMatchObject({ id: 'worker', isService: true });
    expect(principals.principalOf(['URI:spiffe://example.org/bff'])?.roles).toEqual(
      new Set(['act-for-user']),
    );
    return Promise.resolve();
  },

  async 'images have variants'() {
    const policies = join(dir, 'policies.json');
    await writeFile(policies, codeOf({ page: 'variants.md', language: 'json' }));
    const own = await startService({ ASSET_POLICY_FILE: policies });
    try {
      const create = { width: 400, height: 300, channels: 3, background: 'green' } as const;
      const image = await sharp({ create }).png().toBuffer();
      const client = clientOf(own.url);
      const { id } = await upload(client, new Uint8Array(image), { file: { usage: 'avatar' } });
      const sizes = await Promise.all(
        ['thumb', 'page'].map(async (variant) => {
          const { url } = await client.getFileUrl({
            source: { case: 'fileId', value: id },
            ...{ variant, accept: 'image/webp' },
          });
          const response = await fetch(url);
          const { width, height } = await sharp(Buffer.from(await response.arrayBuffer())).metadata();
          return [response.headers.get('content-type'), width, height];
        }),
      );
      // `page` never enlarges.
      expect(sizes).toEqual([
        ['image/webp', 320, 320],
        ['image/webp', 400, 300],
      ]);
    } finally {
      await own.dispose();
    }
  },
};

/** Programs of tests that are installed on some machines alone. */
const NEEDS: Partial<Record<keyof typeof PROGRAMS, readonly Parameters<typeof isInstalled>[0][]>> = {
  'a chart makes an installation': ['helm'],
  'a cluster of databases and stores starts': ['etcd', 'haproxy', 'patroni', 'postgres'],
};

describe('the code on the pages', () => {
  for (const name of Object.keys(PROGRAMS) as (keyof typeof PROGRAMS)[]) {
    const missing = NEEDS[name]?.find((program) => !isInstalled(program));
    // Only Linux has an address of its own for each machine on the loopback interface.
    const isElsewhere = NEEDS[name]?.includes('etcd') && process.platform !== 'linux';
    if (missing !== undefined) it.skip(`${name}: ${missing} is not installed`, () => {});
    else if (isElsewhere) it.skip(`${name}: needs Linux`, () => {});
    else it(name, () => RUNS[name](), 150_000);
  }

  it('has the right types', async () => {
    const pages = Object.keys(SURROUNDED);
    for (const page of pages) await writeFile(fileOf(page), programOf(page));
    const config = {
      extends: join(ROOT, 'tsconfig.json'),
      compilerOptions: { types: ['node'] },
      ...{ include: [], files: pages.map(fileOf) },
    };
    await writeFile(join(dir, 'tsconfig.json'), JSON.stringify(config));
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    const { stdout } = await run(process.execPath, [tsc, '-p', dir], { cwd: dir }).catch(
      (error: unknown) => error as { stdout: string },
    );
    expect(stdout).toBe('');
  });
});
