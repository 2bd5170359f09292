import { afterAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { cp, readlink, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../support/install.ts';
import { freePort } from '../support/ports.ts';
import { makeDir, removeDir, startServer } from '../support/process.ts';
import { healthOf } from '../support/service.ts';

const COMMAND = join(ROOT, 'bin', 'asset-service.js');

/** What makes this Node.js look like an older one to the file it runs. */
const AS_OLD = [
  '--import',
  'data:text/javascript,delete process.execve;' +
    'Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.1.0"}})',
];

const dirs: string[] = [];
afterAll(() => Promise.all(dirs.map(removeDir)));

async function tempDir(): Promise<string> {
  const dir = await makeDir('command');
  dirs.push(dir);
  return dir;
}

describe('the command asset-service', () => {
  it('is what npm links for npx, without a build', async () => {
    const link = join(ROOT, 'node_modules', '.bin', 'asset-service');
    expect(await readlink(link)).toContain('command/asset-service.js');
    const { status, stdout } = spawnSync('npx', ['--no-install', 'asset-service', 'config'], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    expect([status, stdout]).toEqual([0, expect.stringContaining('ASSET_LISTEN=')]);
  });

  it('needs a Node.js that is new enough, and tells where to get one', async () => {
    const dir = await tempDir();
    await cp(join(ROOT, 'bin'), join(dir, 'bin'), { recursive: true });
    await symlink(join(ROOT, 'src'), join(dir, 'src'));
    const args = [...AS_OLD, join(dir, 'bin', 'asset-service.js'), 'config'];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/needs Node.js 24, this is 20\.1\.0.*npm ci/),
    ]);
  });

  it.each([
    ['a Node.js that is new enough', []],
    ['an older one', AS_OLD],
  ])('ends as the program ends, started with %s', async (_name, flags) => {
    const ended = (...args: string[]) =>
      spawnSync(process.execPath, [...flags, COMMAND, ...args], { encoding: 'utf8' });
    expect(ended('config').status).toBe(0);
    expect(ended('no-such-command').status).toBe(2);
    expect(ended('upload', join(await tempDir(), 'missing')).status).toBe(1);

    const dir = await tempDir();
    const url = `http://127.0.0.1:${await freePort()}`;
    const server = await startServer({
      name: 'asset-service serve',
      command: process.execPath,
      args: [...flags, COMMAND, 'serve'],
      env: { ASSET_DATA_DIR: join(dir, 'data'), ASSET_LISTEN: url.slice('http://'.length) },
      dir,
      ownsDir: false,
      ready: async () => (await healthOf(url)) === 'SERVING',
    });
    try {
      process.kill(server.pid!, 'SIGTERM');
      expect(await server.exit()).toBe(0);
      expect(server.log()).toContain('stopped');
    } finally {
      await server.dispose();
    }
  });
});
