import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { chmod, mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../support/install.ts';
import { freePort } from '../support/ports.ts';
import { makeDir, removeDir, programEnv } from '../support/process.ts';
import { healthOf, startService, type Service } from '../support/service.ts';
import { clientOf, download, randomContent, upload } from './support/calls.ts';
import { failureOf } from './support/failures.ts';

/** The command line with these settings. */
function cli(env: Readonly<Record<string, string>>, ...args: string[]) {
  return new Promise<{ code: number; output: string }>((resolve) => {
    const options = { env: { ...programEnv(), ...env }, timeout: 120_000 };
    execFile(process.execPath, [join(ROOT, 'src', 'main.ts'), ...args], options, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, output: stdout + stderr });
    });
  });
}

describe('the data directory of a running service', () => {
  let parent: string;
  let dir: string;
  let service: Service;

  beforeAll(async () => {
    parent = await makeDir('data-dir');
    dir = join(parent, 'data');
    await mkdir(dir);
    await chmod(dir, 0o755);
    service = await startService({ ASSET_DATA_DIR: dir });
  });

  afterAll(async () => {
    await service?.dispose();
    await removeDir(parent);
  });

  it('is closed to other users, unless it holds something else', async () => {
    expect((await stat(dir)).mode & 0o777).toBe(0o700);
    const shared = join(parent, 'shared');
    await mkdir(shared);
    await chmod(shared, 0o755);
    await writeFile(join(shared, 'of-somebody-else'), '');
    const other = await startService({ ASSET_DATA_DIR: shared });
    expect((await stat(shared)).mode & 0o777).toBe(0o755);
    expect(other.logLines()).toContainEqual(
      expect.objectContaining({ level: 40, msg: expect.stringContaining('ASSET_DATA_DIR') }),
    );
    await other.dispose();
  });

  it('is refused to a second process, which is told who uses it', async () => {
    const choices: Record<string, string>[] = [
      {},
      { ASSET_STORE: 's3', ASSET_S3_BUCKET: 'some' },
      { ASSET_CATALOG: 'postgres', ASSET_POSTGRES_URL: 'postgres://127.0.0.1:1/x' },
    ];
    const refused = choices.map(async (choice) => {
      const env = { ASSET_DATA_DIR: dir, ASSET_LISTEN: `127.0.0.1:${await freePort()}`, ...choice };
      const { code, output } = await cli(env, 'serve');
      expect(code).toBe(1);
      expect(output).toContain(`ASSET_DATA_DIR: another process (pid ${service.pid}`);
      expect(output).toContain(dir);
    });
    await Promise.all(refused);
    expect(await healthOf(service.url)).toBe('SERVING');
  });

  it('can be swept and migrated while the service runs', async () => {
    const ends = ['sweep', 'migrate'].map((command) => cli({ ASSET_DATA_DIR: dir }, command));
    expect((await Promise.all(ends)).map(({ code }) => code)).toEqual([0, 0]);
    expect(await healthOf(service.url)).toBe('SERVING');
  });

  it('is free again when its process was killed', async () => {
    await service.kill();
    await service.start();
    expect(await healthOf(service.url)).toBe('SERVING');
  });

  it('takes no uploads when its disk is about to run full, and gives out what it has', async () => {
    const content = randomContent(1_000);
    const file = await upload(clientOf(service.url), content);
    await service.stop();
    const full = await startService(
      { ASSET_DATA_DIR: dir, ASSET_MIN_FREE_SPACE: '1000000GiB' },
      { until: 'answering' },
    );
    const client = clientOf(full.url);
    for (const name of ['', 'store', 'catalog']) expect(await healthOf(full.url, name)).toBe('NOT_SERVING');
    const failure = await failureOf(upload(client, content));
    expect(failure.code).toBe('UNAVAILABLE');
    expect(failure.message).toContain('no room for new files');
    expect(failure.message).not.toContain(dir);
    expect((await download(client, file.id)).content.equals(content)).toBe(true);
    const line = full.logLines().find(({ dependency }) => dependency === 'store');
    expect(JSON.stringify(line)).toContain('ASSET_MIN_FREE_SPACE');
    await full.dispose();
    await service.start();
  });
});
