import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createBffClient } from '@asset-service/bff';
import { parse } from 'acorn';
import { build, transform } from 'esbuild';
import { eventually } from '../support/eventually.ts';
import { ROOT } from '../support/install.ts';
import { freePort } from '../support/ports.ts';
import { startService, type Service } from '../support/service.ts';

/** The packages that callers install, in the order in which they stand on each other. */
const PACKAGES = ['gen/ts', 'clients/core', 'clients/worker', 'clients/bff'];

const run = promisify(execFile);
const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');

/** The example with @tus/server. */
const TUS = 'bff3.ts';

const ID = /^[a-z0-9]{15}$/;
const refusal = { error: expect.stringContaining('AssetClientError') };

let project: string;
let service: Service;

/** The TypeScript programs on a page. */
async function examplesOf(page: string): Promise<string[]> {
  const text = await readFile(join(ROOT, page), 'utf8');
  return [...text.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code!);
}

const environment = () => ({ ...process.env, ASSET_SERVICE_URL: service.url });
const runInProject = (file: string) =>
  run(process.execPath, [join('built', file)], { cwd: project, env: environment(), timeout: 120_000 });

/** Packs what a caller would get from the registry and installs it into a project that has nothing else. */
beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'clients-packed-'));
  service = await startService();
  await run(process.execPath, [join(ROOT, 'scripts', 'build-clients.js')]);
  const tarballs: string[] = [];
  for (const folder of PACKAGES) {
    const args = ['pack', '--json', '--pack-destination', project];
    const { stdout } = await run('npm', args, { cwd: join(ROOT, folder) });
    tarballs.push(`./${(JSON.parse(stdout) as { filename: string }[])[0]!.filename}`);
  }
  await writeFile(join(project, 'package.json'), JSON.stringify({ type: 'module', private: true }));
  const { devDependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
    devDependencies: Record<string, string>;
  };
  const others = ['@types/node', '@types/express', '@types/busboy', '@fastify/multipart', '@tus/server'];
  const named = [...others, 'fastify', 'express', 'busboy'].map((name) => `${name}@${devDependencies[name]}`);
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund'];
  await run('npm', ['install', ...quiet, ...tarballs, ...named], { cwd: project });
  await writeFile(
    join(project, 'tsconfig.json'),
    JSON.stringify({
      // Strict, and with the declarations of the packages themselves checked.
      compilerOptions: {
        module: 'NodeNext',
        target: 'ES2024',
        lib: ['ES2024', 'ESNext.Disposable', 'DOM'],
        types: ['node'],
        strict: true,
        skipLibCheck: false,
        outDir: 'built',
        rootDir: '.',
      },
      include: ['*.ts'],
      exclude: [TUS],
    }),
  );
  // @tus/server stands on declarations that name other runtimes.
  const tus = {
    extends: './tsconfig.json',
    compilerOptions: { skipLibCheck: true },
    include: [TUS],
    exclude: [],
  };
  await writeFile(join(project, 'tsconfig.tus.json'), JSON.stringify(tus));
  const pages = [
    ...['core', 'worker', 'bff'].map((client) => [client, `clients/${client}/README.md`] as const),
    ['workers', 'docs/workers.md'] as const,
  ];
  for (const [name, page] of pages) {
    for (const [index, code] of (await examplesOf(page)).entries())
      await writeFile(join(project, `${name}${index || ''}.ts`), code);
  }
  await writeFile(join(project, 'content.bin'), randomBytes(3_000_000));
  await writeFile(
    join(project, 'both.ts'),
    `import { createBffClient } from '@asset-service/bff';
import { createWorkerClient, type AssetFile } from '@asset-service/worker';
const baseUrl = process.env['ASSET_SERVICE_URL'] ?? '';
const worker = createWorkerClient({ baseUrl });
const bff = createBffClient({ baseUrl, transport: 'connect' });
const file: AssetFile = await worker.uploadFile('content.bin', { usage: 'packed' });
const { url } = await bff.fileUrl(file.id);
const size = (await (await fetch(url)).arrayBuffer()).byteLength;
await worker.downloadToFile(file.id, 'copy.bin');
console.log(JSON.stringify({ size, sizeBytes: file.sizeBytes, sha256: file.sha256 }));
worker.close();
bff.close();
`,
  );
}, 400_000);
afterAll(async () => {
  await service.dispose();
  await rm(project, { recursive: true });
});

describe('the packed clients in a project of their own', () => {
  it('have types that fit the examples of their READMEs', async () => {
    for (const config of ['tsconfig.json', 'tsconfig.tus.json']) {
      await run(process.execPath, [tsc, '-p', config], { cwd: project }).catch(
        (error: { stdout: string }) => {
          throw new Error(error.stdout);
        },
      );
    }
    await writeFile(
      join(project, 'wrong.ts'),
      `import { createBffClient } from '@asset-service/bff';\ncreateBffClient({ baseUrl: 5 });\n`,
    );
    const wrong = run(process.execPath, [tsc, '-p', '.', '--noEmit'], { cwd: project });
    await expect(wrong).rejects.toMatchObject({ stdout: expect.stringContaining('wrong.ts(2') });
    await rm(join(project, 'wrong.ts'));
  });

  it('work together against a running service', async () => {
    const { stdout } = await runInProject('both.js');
    expect(JSON.parse(stdout)).toMatchObject({ size: 3_000_000, sizeBytes: 3_000_000 });
    expect(
      (await readFile(join(project, 'copy.bin'))).equals(await readFile(join(project, 'content.bin'))),
    ).toBe(true);
  });

  it('do what the README of the worker shows', async () => {
    const { stdout } = await runInProject('worker.js');
    expect(stdout).toContain('8 of 8, try 1');
    expect(stdout).toContain('begins with num');
    expect(stdout).toContain('report.txt');
    expect(stdout).toContain('ABORTED ETAG_MISMATCH');
    expect(await readFile(join(project, 'copy.txt'), 'utf8')).toBe('numbers\n');
  });

  it('do what docs/workers.md shows', async () => {
    expect((await runInProject('workers.js')).stdout).toContain('counted once');
    expect((await runInProject('workers1.js')).stdout).toContain('counting three.txt');
  });

  it('do what the README of the core shows', async () => {
    expect((await runInProject('core.js')).stdout).toContain('hello.txt');
  });

  it('do what the README of the BFF shows', async () => {
    await withBackEnd('bff.js', async (url) => {
      const headers = { 'x-file-name': 'a.txt' };
      const id = await (await fetch(url, { method: 'POST', body: 'a picture', headers })).text();
      expect(id).toMatch(ID);
      const urls = (await (await fetch(`${url}${id},none`)).json()) as string[];
      expect(await (await fetch(urls[0]!)).text()).toBe('a picture');
      expect(urls[1]).toBe('NOT_FOUND');
    });
  });

  it('take uploads of tus clients', async () => {
    await withBackEnd('bff3.js', async (url) => {
      const protocol = { 'tus-resumable': '1.0.0' };
      const metadata = `filename ${btoa('a.txt')},owner ${btoa('bob')},usage ${btoa('avatar')}`;
      const headers = { ...protocol, 'upload-length': '5', 'upload-metadata': metadata };
      const created = await fetch(`${url}uploads`, { method: 'POST', headers });
      const path = created.headers.get('location')!;
      const sent = { ...protocol, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' };
      const patched = await fetch(new URL(path, url), { method: 'PATCH', headers: sent, body: 'bytes' });
      expect([patched.status, patched.headers.get('upload-offset')]).toEqual([204, '5']);
      const [file] = await storedFiles([path.split('/').at(-1)!]);
      expect(file).toMatchObject({ name: 'a.txt', owner: 'ann', usage: 'avatar', sizeBytes: 5 });
    });
  });

  it('serve the calls of direct uploads', async () => {
    await withBackEnd('bff4.js', async (url) => {
      const call = async (method: string, message: object) => {
        const headers = { 'content-type': 'application/json' };
        const body = JSON.stringify(message);
        const target = `${url}api/asset.v1.AssetService/${method}`;
        const answer = await fetch(target, { method: 'POST', headers, body });
        return [answer.status, await answer.json()] as const;
      };
      const file = { name: 'a.txt', owner: 'bob', usage: 'avatar' };
      const [, begun] = await call('StartUpload', { uploadSpec: { file, sizeBytes: '5' } });
      const { uploadId } = begun as { uploadId: string };
      const [, signed] = await call('SignUploadParts', { uploadId, partNumbers: [1] });
      const [part] = (signed as { parts: { url: string }[] }).parts;
      expect((await fetch(part!.url, { method: 'PUT', body: 'bytes' })).status).toBe(200);
      expect(await call('GetUpload', { uploadId })).toEqual([
        200,
        expect.objectContaining({ storedPartNumbers: [1] }),
      ]);
      expect((await call('CompleteUpload', { uploadId }))[0]).toBe(200);
      const [stored] = await storedFiles([uploadId]);
      expect(stored).toMatchObject({ name: 'a.txt', owner: 'ann', usage: 'attachment', sizeBytes: 5 });
      expect((await call('CancelUpload', { uploadId }))[1]).toMatchObject({ code: 'already_exists' });
      expect((await call('DeleteFile', { fileId: uploadId }).catch(() => [404]))[0]).toBe(404);
    });
  });

  describe.each([
    ['Fastify', 'bff1.js'],
    ['Express', 'bff2.js'],
  ])('with %s', (_name, program) => {
    it('take bytes and forms, and tell what is refused', async () => {
      await withBackEnd(program, async (url) => {
        const post = async (path: string, body: string | FormData, headers: Record<string, string> = {}) => {
          const answer = await fetch(`${url}${path}`, { method: 'POST', body, headers });
          return [answer.status, await answer.json()] as [
            number,
            { id: string; ids: string[]; error: string },
          ];
        };
        // A type that both frameworks would parse.
        const json = { 'content-type': 'application/json', 'x-file-name': encodeURIComponent('ä 1.json') };
        const [created, { id }] = await post('files', '{"a": 1}', json);
        expect([created, id]).toEqual([201, expect.stringMatching(ID)]);

        const large = randomBytes(3_000_000);
        const form = new FormData();
        form.set('title', 'not a file');
        form.append('files', new Blob([large], { type: 'image/x-none' }), 'grün.bin');
        form.append('files', new Blob(['second'], { type: 'text/plain' }), 'second.txt');
        const [formed, { ids }] = await post('forms', form);
        expect([formed, ids]).toEqual([201, [expect.stringMatching(ID), expect.stringMatching(ID)]]);
        const stored = await storedFiles([id, ...ids]);
        expect(stored.map(({ name, owner }) => `${owner} ${name}`)).toEqual([
          'ann ä 1.json',
          'ann grün.bin',
          'ann second.txt',
        ]);
        expect(stored[1]!.sha256).toBe(createHash('sha256').update(large).digest('hex'));

        const tooLong = 'x'.repeat(300);
        expect(await post('files', 'a', { 'x-file-name': tooLong })).toEqual([400, refusal]);
        const wrong = new FormData();
        wrong.append('files', new Blob([large]), tooLong);
        wrong.append('files', new Blob(['fine']), 'fine.txt');
        expect(await post('forms', wrong)).toEqual([400, refusal]);
      });
    });
  });
});

describe('the packed clients in other kinds of projects', () => {
  const program = `import { createBffClient, AssetClientError, type AssetFile } from '@asset-service/bff';
import { createWorkerClient } from '@asset-service/worker';
import { FileSchema } from '@asset-service/contract/asset/v1/file_pb.js';
async function main(): Promise<void> {
  const worker = createWorkerClient({ baseUrl: process.env['ASSET_SERVICE_URL'] ?? '' });
  const bff = createBffClient({ baseUrl: process.env['ASSET_SERVICE_URL'] ?? '' });
  const file: AssetFile = await worker.uploadFile(Buffer.alloc(9_000_000, 7), { name: 'a.bin' });
  const read = await worker.openRead(file.id);
  let size = 0;
  for await (const chunk of read.stream) size += (chunk as Uint8Array).length;
  const refused: unknown = await bff.getFile('none').catch((error: unknown) => error);
  console.log(size, refused instanceof AssetClientError && refused.reason, FileSchema.typeName);
  worker.close();
  bff.close();
}
void main();
`;
  const expected = '9000000 FILE_NOT_FOUND asset.v1.File\n';
  const compiler = { strict: true, skipLibCheck: false, target: 'ES2022', types: ['node'] };

  it.each([
    ['commonjs', 'commonjs', { module: 'commonjs' }],
    [
      'commonjs with node10',
      'commonjs',
      { module: 'commonjs', moduleResolution: 'node10', ignoreDeprecations: '6.0' },
    ],
    ['node16, CommonJS', 'commonjs', { module: 'node16' }],
    ['node16, ES modules', 'module', { module: 'node16' }],
    ['nodenext, CommonJS', 'commonjs', { module: 'nodenext' }],
    ['bundler', 'module', { module: 'esnext', moduleResolution: 'bundler' }],
  ])('compile and run with module %s', async (name, type, options) => {
    const folder = join(project, `as-${name.replaceAll(/\W+/g, '-')}`);
    await mkdir(folder);
    await writeFile(join(folder, 'package.json'), JSON.stringify({ type }));
    await writeFile(join(folder, 'main.ts'), program);
    const compilerOptions = {
      lib: ['ES2022', 'DOM', 'ESNext.Disposable'],
      ...compiler,
      ...options,
      outDir: 'out',
      rootDir: '.',
    };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['main.ts'] }));
    await run(process.execPath, [tsc, '-p', '.'], { cwd: folder }).catch((error: { stdout: string }) => {
      throw new Error(error.stdout);
    });
    const { stdout } = await run(process.execPath, [join('out', 'main.js')], {
      cwd: folder,
      env: environment(),
    });
    expect(stdout).toBe(expected);
  });

  it.each(['esm', 'cjs'] as const)('work as one bundle (%s), without the native addon', async (format) => {
    const folder = await mkdtemp(join(tmpdir(), 'clients-bundled-'));
    try {
      await writeFile(join(project, 'bundled.ts'), program);
      const outfile = join(folder, format === 'esm' ? 'main.mjs' : 'main.cjs');
      await build({
        entryPoints: [join(project, 'bundled.ts')],
        ...{ bundle: true, platform: 'node', format, outfile, logLevel: 'silent' },
      });
      const { stdout } = await run(process.execPath, [outfile], { cwd: folder, env: environment() });
      expect(stdout).toBe(expected);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('export no internals', async () => {
    const { stdout } = await run(
      process.execPath,
      ['-p', `JSON.stringify(Object.keys(require('@asset-service/bff')).sort())`],
      { cwd: project },
    );
    expect(JSON.parse(stdout)).toEqual([
      'AssetClient',
      'AssetClientError',
      'BffClient',
      'cachedToken',
      'clientCredentials',
      'createAssetClient',
      'createBffClient',
      'directUploadHandler',
      'httpStatus',
      'legacyFileHandler',
      'toClientError',
    ]);
  });
});

describe('the examples of the READMEs', () => {
  it('contain only what Node.js 22 can parse', async () => {
    for (const readme of [
      'README.md',
      ...['core', 'worker', 'bff'].map((name) => `clients/${name}/README.md`),
    ]) {
      const text = await readFile(join(ROOT, readme), 'utf8');
      for (const [, code] of text.matchAll(/```ts\n(.*?)```/gs)) {
        const { code: javascript } = await transform(code!, { loader: 'ts', target: 'esnext' });
        // What Node.js 22 knows; later syntax is an error.
        expect(() => parse(javascript, { ecmaVersion: 2024, sourceType: 'module' })).not.toThrow();
      }
    }
  });
});

/** Starts an example of the BFF and hands over its address, with a slash at its end. */
async function withBackEnd(program: string, use: (url: string) => Promise<void>): Promise<void> {
  const port = await freePort();
  const backEnd = spawn(process.execPath, [join('built', program)], {
    cwd: project,
    env: { ...environment(), PORT: String(port) },
    stdio: 'inherit',
  });
  const url = `http://127.0.0.1:${port}/`;
  try {
    await eventually(async () => {
      await fetch(url);
    });
    await use(url);
  } finally {
    backEnd.kill();
  }
}

async function storedFiles(ids: readonly string[]) {
  const client = createBffClient({ baseUrl: service.url });
  try {
    return await Promise.all(ids.map((id) => client.getFile(id)));
  } finally {
    client.close();
  }
}
