import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../support/install.ts';
import { freePort } from '../support/ports.ts';
import { makeDir, removeDir, programEnv } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { randomContent } from './support/calls.ts';

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a script of the repository to its end. */
function node(
  script: string,
  args: readonly string[],
  env: Record<string, string> = {},
  cwd = ROOT,
): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { cwd, env: { ...programEnv(), ...env }, timeout: 120_000 };
    execFile(process.execPath, [join(ROOT, script), ...args], options, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr });
    });
  });
}

const cli = (args: readonly string[], env?: Record<string, string>, cwd?: string) =>
  node('src/main.ts', args, env, cwd);

describe('the command line against a running service', () => {
  let dir: string;
  let service: Service;
  let env: Record<string, string>;
  const content = randomContent(300_000);

  beforeAll(async () => {
    dir = await makeDir('cli');
    await writeFile(join(dir, 'a file.bin'), content);
    service = await startService();
    env = { ASSET_URL: service.url };
  });

  afterAll(async () => {
    await service?.dispose();
    await removeDir(dir);
  });

  async function ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await cli(args, env, dir);
    expect([args[0], stderr, code]).toEqual([args[0], '', 0]);
    return stdout;
  }

  async function fails(...args: string[]): Promise<Ended> {
    const ended = await cli(args, env, dir);
    expect(ended.code).not.toBe(0);
    expect(ended.stdout).toBe('');
    expect(ended.stderr).not.toMatch(/\n\s+at /);
    return ended;
  }

  it('stores, shows, describes, lists, reads, deletes and brings back', async () => {
    expect((await ok('health')).trim()).toBe('SERVING');
    const file = JSON.parse(
      await ok(
        ...['upload', 'a file.bin', '--owner', 'ann', '--usage', 'demo', '--relation', 'project=p1'],
        ...['--attribute', 'title=A file', '--attribute', 'width=640'],
      ),
    ) as { id: string };
    expect(file).toMatchObject({
      ...{ name: 'a file.bin', owner: 'ann', usage: 'demo', sizeBytes: content.length },
      ...{ relations: { project: ['p1'] }, attributes: { title: 'A file', width: 640 } },
    });
    expect(JSON.parse(await ok('show', file.id))).toEqual(file);

    const url = (await ok('url', file.id, '--ttl', '60', '--name', 'other.bin')).trim();
    const got = await fetch(url);
    expect(got.headers.get('content-disposition')).toContain('other.bin');
    expect(Buffer.from(await got.arrayBuffer()).equals(content)).toBe(true);

    expect((await ok('download', file.id, '-o', 'copy.bin')).trim()).toBe('copy.bin');
    expect((await readFile(join(dir, 'copy.bin'))).equals(content)).toBe(true);

    const changed = await ok(
      'describe',
      file.id,
      '--set',
      'name=b.bin',
      '--set',
      'attributes.title=',
      '--set',
      'relations.project=p2,p3',
    );
    expect(JSON.parse(changed)).toMatchObject({
      ...{ name: 'b.bin', owner: 'ann', relations: { project: ['p2', 'p3'] } },
    });
    expect(JSON.parse(changed).attributes).toEqual({ width: 640 });

    const lines = (await ok('list', '--owner', 'ann', '--relation', 'project=p3', '--limit', '5'))
      .trim()
      .split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([JSON.parse(changed)]);

    await ok('delete', file.id);
    expect((await ok('list', '--owner', 'ann')).trim()).toBe('');
    expect(JSON.parse(await ok('list', '--owner', 'ann', '--deleted'))).toMatchObject({ id: file.id });
    expect((await fails('url', file.id)).stderr).toContain('deleted');
    await ok('undelete', file.id);
    expect((await ok('download', file.id)).trim()).toBe('b.bin');
  }, 120_000);

  it('makes one file of an upload that is repeated with its id', async () => {
    const first = JSON.parse(await ok('upload', 'a file.bin', '--request-id', 'cli-1')) as { id: string };
    expect(JSON.parse(await ok('upload', 'a file.bin', '--request-id', 'cli-1'))).toMatchObject({
      id: first.id,
    });
  });

  it('says what is wrong and ends with another code than 0', async () => {
    expect((await fails('show', 'missing00000000')).stderr).toContain('no file');
    expect((await fails('upload', 'no such file')).stderr).toContain('no such file');
    expect((await fails('describe', 'x', '--set', 'nonsense=1')).stderr).toContain('nonsense');
    expect((await fails('nonsense')).code).toBe(2);
    expect((await fails('url')).code).toBe(2);
    const nobody = `http://127.0.0.1:${await freePort()}`;
    expect((await fails('health', '--url', nobody)).stderr).toMatch(
      /UNAVAILABLE|ECONNREFUSED|refused|unavailable/i,
    );
  });
});

describe('the command line by itself', () => {
  it('prints every setting', async () => {
    const { code, stdout } = await cli(['config']);
    expect(code).toBe(0);
    for (const name of ['ASSET_LISTEN=127.0.0.1:8080', 'ASSET_STORE=filesystem', 'ASSET_S3_BUCKET']) {
      expect(stdout).toContain(name);
    }
  });

  it('migrates the catalog, and again', async () => {
    const dir = await makeDir('migrate');
    const env = { ASSET_DATA_DIR: join(dir, 'data') };
    const preview = await cli(['migrate', '--dry-run'], env);
    expect(preview).toMatchObject({ code: 0, stderr: '' });
    expect(preview.stdout).toMatch(/^would apply 0001_files$/m);
    expect(await cli(['config', '--check'], env)).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(existsSync(env.ASSET_DATA_DIR)).toBe(false);
    expect(await cli(['migrate'], env)).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringContaining('applied') as unknown,
    });
    for (const again of [['migrate'], ['migrate', '--dry-run']]) {
      expect(await cli(again, env)).toMatchObject({ code: 0, stdout: 'the catalog is up to date\n' });
    }
    await removeDir(dir);
  });

  it('reports every mistake of the settings at once, by name, and does not start', async () => {
    const mistakes = {
      ASSET_LISTEN: 'nonsense',
      ASSET_STORE: 'floppy',
      ASSET_CATALOG: 'pocketbase',
      ASSET_MAX_UPLOADS: '-1',
      ASSET_URL_SIGNING_KEY: 'much-too-short',
    };
    for (const command of [['serve'], ['config', '--check']]) {
      const { code, stderr } = await cli(command, mistakes);
      expect(code).toBe(1);
      for (const name of ['ASSET_LISTEN', 'ASSET_STORE', 'ASSET_MAX_UPLOADS', 'ASSET_URL_SIGNING_KEY']) {
        expect(stderr).toContain(name);
      }
      expect(stderr).not.toContain('much-too-short');
      expect(stderr).not.toMatch(/\n\s+at /);
    }
  });

  it('names what is missing beside what is given', async () => {
    const { code, stderr } = await cli(['serve'], {
      ...{ ASSET_STORE: 's3', ASSET_CATALOG: 'pocketbase', ASSET_LISTEN: '0.0.0.0:0', ASSET_AUTH: 'oidc' },
      ...{ ASSET_TLS_CERT: '/nonexistent', ASSET_POLICY_FILE: '/nonexistent' },
    });
    expect(code).toBe(1);
    for (const name of [
      ...['ASSET_S3_BUCKET', 'ASSET_POCKETBASE_URL', 'ASSET_POCKETBASE_EMAIL', 'ASSET_POCKETBASE_PASSWORD'],
      ...['ASSET_OIDC_ISSUER', 'ASSET_TLS_CERT', 'ASSET_TLS_KEY', 'ASSET_POLICY_FILE'],
    ]) {
      expect(stderr).toContain(name);
    }
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  it('runs without identities only on loopback', async () => {
    const { code, stderr } = await cli(['serve'], { ASSET_LISTEN: '0.0.0.0:0', ASSET_AUTH: 'none' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/ASSET_LISTEN: .*loopback/);
  });

  it('says so where the port is taken', async () => {
    const service = await startService();
    const dir = await makeDir('taken');
    const { code, stderr } = await cli(['serve'], {
      ASSET_LISTEN: `127.0.0.1:${service.port}`,
      ASSET_DATA_DIR: dir,
      ASSET_LOG_LEVEL: 'silent',
    });
    expect(code).toBe(1);
    expect(stderr).toContain('EADDRINUSE');
    expect(stderr).not.toMatch(/\n\s+at /);
    await service.dispose();
    await removeDir(dir);
  });
});

describe('the demo', () => {
  it('does the main job and ends with 0', async () => {
    const { code, stdout } = await node('examples/demo.ts', []);
    expect(code).toBe(0);
    expect(stdout).toContain('everything above was checked');
  });
});
