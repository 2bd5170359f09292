import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../support/install.ts';
import { eventually } from '../support/eventually.ts';
import { makeDir, removeDir, programEnv } from '../support/process.ts';
import { healthOf, startService, type Service } from '../support/service.ts';
import { clientOf, download, randomContent, upload, type AssetClient } from './support/calls.ts';

/** The command line with these settings. */
function cli(env: Readonly<Record<string, string>>, ...args: string[]) {
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    const options = { env: { ...programEnv(), ...env }, timeout: 120_000 };
    execFile(process.execPath, [join(ROOT, 'src', 'main.ts'), ...args], options, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr });
    });
  });
}

describe('a sweeper that cannot remove something', () => {
  let dir: string;
  let env: Record<string, string>;
  let service: Service;
  let client: AssetClient;

  beforeAll(async () => {
    dir = await makeDir('sweep-failures');
    await writeFile(join(dir, 'policy.json'), JSON.stringify({ usages: { gone: { retentionSeconds: 0 } } }));
    env = {
      ASSET_DATA_DIR: join(dir, 'data'),
      ASSET_POLICY_FILE: join(dir, 'policy.json'),
      ASSET_SWEEP_INTERVAL: '0.5',
    };
    service = await startService(env);
    client = clientOf(service.url);
  });

  afterAll(async () => {
    await service?.dispose();
    await removeDir(dir);
  });

  it('says so in health, in its log and at the command line, and serves on', async () => {
    const file = await upload(client, randomContent(100), { file: { usage: 'gone' } });
    const path = join(dir, 'data', 'blobs', 'assets', file.id.slice(0, 2), `${file.id}~`);
    await rm(path);
    // Nobody deletes a directory as a file, not even root.
    await mkdir(path);
    await client.deleteFile({ fileId: file.id });
    await eventually(async () => expect(await healthOf(service.url, 'sweep')).toBe('NOT_SERVING'));
    expect(await healthOf(service.url)).toBe('SERVING');
    expect(service.logLines()).toContainEqual(
      expect.objectContaining({ kind: 'id', id: file.id, level: 40 }),
    );

    const other = await upload(client, randomContent(100), { file: { usage: 'gone' } });
    await client.deleteFile({ fileId: other.id });
    const otherPath = join(dir, 'data', 'blobs', 'assets', other.id.slice(0, 2));
    await eventually(async () => {
      expect(await readdir(otherPath)).not.toContain(`${other.id}~`);
    });

    const said = await eventually(async () => {
      const result = await cli(env, 'sweep');
      // The service may be sweeping at the moment.
      expect(result.stderr).not.toContain('another process is sweeping');
      return result;
    });
    expect(said.code).toBe(1);
    expect(said.stdout).toContain('could not be removed: 0 files, 0 uploads, 0 reservations, 1 ids');
    expect(said.stderr).toContain(`asset-service: id ${file.id}: `);
    expect(said.stderr).toContain('EISDIR');

    await rm(path, { recursive: true });
    await eventually(async () => expect(await healthOf(service.url, 'sweep')).toBe('SERVING'));
    expect(service.logLines().filter(({ id }) => id === file.id)).toHaveLength(1);
  });

  it('finds what the catalog does not know, when told to look at everything', async () => {
    const kept = await upload(client, randomContent(100), { file: { usage: 'gone' } });
    const orphan = 'abcdefghijklmno';
    const folder = join(dir, 'data', 'blobs', 'assets', 'ab');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `${orphan}~`), 'left');
    const deep = (...args: string[]) => cli(env, 'sweep', '--deep', '--grace', '1', ...args);
    const dry = await eventually(async () => {
      const result = await deep('--dry-run');
      expect(result.stdout).toContain(`would be removed: assets/ab/${orphan} (4 bytes`);
      return result;
    });
    expect(dry.code).toBe(0);
    expect(await readdir(folder)).toEqual([`${orphan}~`]);
    const real = await deep();
    expect(real).toMatchObject({ code: 0, stderr: '' });
    expect(real.stdout).toContain(`removed: assets/ab/${orphan}`);
    expect(real.stdout).toContain('1 removed, 0 could not be removed');
    expect(await readdir(folder)).toEqual([]);
    expect((await download(client, kept.id)).content).toHaveLength(100);
    // Another catalog: nothing is proven.
    const other = { ...env, ASSET_DATA_DIR: join(dir, 'other') };
    await cli(other, 'migrate');
    const wrong = await cli(other, 'sweep', '--deep');
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain('the catalog has no file of the service');
    expect((await cli(env, 'sweep', '--deep', '--rate', '0')).code).toBe(2);
  });
});
