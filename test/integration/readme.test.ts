import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { execFile, execFileSync } from 'node:child_process';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { isInstalled, ROOT, serverProgram } from '../support/install.ts';
import { freePort } from '../support/ports.ts';
import { makeDir, removeDir, startServer, type Server } from '../support/process.ts';
import { healthOf } from '../support/service.ts';

const run = promisify(execFile);

const README = await readFile(join(ROOT, 'README.md'), 'utf8');

/** The command lines of the README, without their comments. */
const LINES = [...README.matchAll(/```sh\n(.*?)```/gs)]
  .flatMap(([, block]) => block!.split('\n'))
  .map((line) => line.replace(/\s#.*/, '').trim())
  .filter((line) => line !== '');

/** What `.ci/run` does from a clean checkout. */
const BY_CI = 'npm ci && npm test';

const hasGo = (() => {
  try {
    execFileSync('go', ['version']);
    return true;
  } catch {
    return isInstalled('grpcurl');
  }
})();

/** A fresh clone that has never been built, with the changes that are not committed yet. */
let clone: string;
let address: string;
let service: Server | undefined;
/** What the shell of a person has: the Node.js and npm of the machine, and nothing that `npm test` adds. */
let environment: Record<string, string>;

beforeAll(async () => {
  clone = await makeDir('readme');
  const names = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  for (const name of names.split('\0').filter(Boolean)) {
    await mkdir(dirname(join(clone, name)), { recursive: true });
    // A file that was deleted and not committed yet is not there.
    await cp(join(ROOT, name), join(clone, name)).catch(() => undefined);
  }
  address = `127.0.0.1:${await freePort()}`;
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((dir) => !dir.startsWith(ROOT));
  if (hasGo) {
    const program = await serverProgram('grpcurl');
    path.push(dirname(program));
  }
  environment = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(?:npm_|ASSET_|AWS_|NODE_OPTIONS$|INIT_CWD$)/i.test(name),
    ),
  ) as Record<string, string>;
  Object.assign(environment, {
    PATH: path.join(delimiter),
    ...{ npm_config_prefer_offline: 'true', npm_config_audit: 'false', npm_config_fund: 'false' },
    ASSET_LISTEN: address,
    ASSET_URL: `http://${address}`,
  });
}, 180_000);

afterAll(async () => {
  await service?.dispose();
  await removeDir(clone);
});

/** Runs a line of the README, at the address of this test. */
async function shell(line: string): Promise<string> {
  const here = line.replaceAll('127.0.0.1:8080', address);
  const options = { cwd: clone, env: environment, timeout: 540_000, maxBuffer: 2 ** 26 };
  return (await run('/bin/sh', ['-c', here], options)).stdout;
}

it('the README begins with the demo', async () => {
  expect(LINES[0]).toBe('npm ci && npm run demo');
  expect(await shell(LINES[0]!)).toContain('done          everything above was checked');
}, 600_000);

it('`npm start` starts the service that the README says', async () => {
  expect(README).toContain('`npm start` leaves the service running on http://127.0.0.1:8080');
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  service = await startServer({
    name: 'npm start',
    command: '/usr/bin/env',
    args: ['-i', ...variables, 'npm', 'start'],
    dir: clone,
    ownsDir: false,
    ready: async () => (await healthOf(`http://${address}`)) === 'SERVING',
  });
});

it('every other line of the README does what it says', async () => {
  const done: string[] = [];
  let id = 'ID';
  for (const line of LINES.slice(1)) {
    if (line === BY_CI || (line.startsWith('grpcurl') && !hasGo)) continue;
    const output = await shell(line.replace(/\bID\b/, id));
    if (/asset-service upload /.test(line)) id = /\b[a-z0-9]{15}\b/.exec(output)?.[0] ?? 'no id';
    expect([line, output]).toEqual([line, expect.stringMatching(shownBy(line, id))]);
    done.push(line);
  }
  expect(id).toMatch(/^[a-z0-9]{15}$/);
  expect(done.length).toBeGreaterThanOrEqual(3);
}, 120_000);

/** What a line of the README prints. */
function shownBy(line: string, id: string): RegExp {
  if (line.startsWith('grpcurl')) return new RegExp(`"id": "${id}"`);
  if (line.includes('asset-service url')) return /^http:\/\/\S+\n$/;
  if (line.includes('asset-service')) return new RegExp(id);
  throw new Error(`say here what this line of the README prints: ${line}`);
}

it('`npx asset-service config` prints the settings in a fresh copy', async () => {
  expect(await shell('npx asset-service config')).toContain('ASSET_LISTEN=');
});

it('the program of the README runs', async () => {
  const program = /```ts\n(.*?)```/s.exec(README)![1]!;
  const shown = `${program.replaceAll('127.0.0.1:8080', address)}\nconsole.log(url);\n`;
  await writeFile(join(clone, 'readme.ts'), shown);
  expect(await shell('node_modules/.bin/node readme.ts')).toMatch(/^http:\/\//);
});

if (!hasGo) it.skip('grpcurl, as the README shows it: needs Go', () => {});
