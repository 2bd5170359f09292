import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ROOT } from '../support/install.ts';
import { freePort } from '../support/ports.ts';
import { startService, type Service } from '../support/service.ts';

/** The packages that callers install, in the order in which they stand on each other. */
const PACKAGES = ['gen/ts', 'clients/core', 'clients/worker', 'clients/bff'];

const run = promisify(execFile);
const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');

let project: string;
let service: Service;

/** The first example of a client's README. */
async function exampleOf(client: string): Promise<string> {
  const readme = await readFile(join(ROOT, 'clients', client, 'README.md'), 'utf8');
  const code = /```ts\n(.*?)```/s.exec(readme)?.[1];
  if (code === undefined) throw new Error(`the README of ${client} has no example`);
  return code;
}

const environment = () => ({ ...process.env, ASSET_SERVICE_URL: service.url });
const runInProject = (file: string) =>
  run(process.execPath, [join('built', file)], { cwd: project, env: environment(), timeout: 30_000 });

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
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund'];
  await run('npm', ['install', ...quiet, ...tarballs, `@types/node@${devDependencies['@types/node']}`], {
    cwd: project,
  });
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
    }),
  );
  for (const client of ['core', 'worker', 'bff'])
    await writeFile(join(project, `${client}.ts`), await exampleOf(client));
  await writeFile(join(project, 'content.bin'), randomBytes(3_000_000));
  await writeFile(
    join(project, 'both.ts'),
    `import { createBffClient } from '@asset-service/bff';
import { createWorkerClient, type AssetFile } from '@asset-service/worker';
const baseUrl = process.env['ASSET_SERVICE_URL'] ?? '';
await using worker = createWorkerClient({ baseUrl });
await using bff = createBffClient({ baseUrl, transport: 'connect' });
const file: AssetFile = await worker.uploadFile('content.bin', { usage: 'packed' });
const { url } = await bff.fileUrl(file.id);
const size = (await (await fetch(url)).arrayBuffer()).byteLength;
await worker.downloadToFile(file.id, 'copy.bin');
console.log(JSON.stringify({ size, sizeBytes: file.sizeBytes, sha256: file.sha256 }));
`,
  );
}, 180_000);
afterAll(async () => {
  await service.dispose();
  await rm(project, { recursive: true });
});

describe('the packed clients in a project of their own', () => {
  it('have types that fit the examples of their READMEs', async () => {
    await run(process.execPath, [tsc, '-p', '.'], { cwd: project }).catch((error: { stdout: string }) => {
      throw new Error(error.stdout);
    });
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

  it('do what the README of the core shows', async () => {
    expect((await runInProject('core.js')).stdout).toContain('hello.txt');
  });

  it('do what the README of the BFF shows', async () => {
    const port = await freePort();
    const backEnd = spawn(process.execPath, [join('built', 'bff.js')], {
      cwd: project,
      env: { ...environment(), PORT: String(port) },
      stdio: 'inherit',
    });
    try {
      const url = `http://127.0.0.1:${port}/`;
      const upload = () =>
        fetch(url, { method: 'POST', body: 'a picture', headers: { 'x-file-name': 'a.txt' } });
      let answer: Response | undefined;
      for (let tries = 0; answer === undefined && tries < 100; tries++) {
        answer = await upload().catch(() => sleep(100, undefined));
      }
      const id = await answer!.text();
      expect(id).toMatch(/^[a-z0-9]{15}$/);
      const urls = (await (await fetch(`${url}${id},none`)).json()) as string[];
      expect(await (await fetch(urls[0]!)).text()).toBe('a picture');
      expect(urls[1]).toBe('NOT_FOUND');
    } finally {
      backEnd.kill();
    }
  });
});
