import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { VARIANT_POINTS } from '../../src/system/crash-points.ts';
import { eventually } from '../support/eventually.ts';
import { ROOT } from '../support/install.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { clientOf, upload, type AssetClient } from './support/calls.ts';
import { runCli } from './support/cli.ts';
import { failureOf } from './support/failures.ts';
import { EMBEDDED, POCKETBASE, type Setup } from './support/setups.ts';

/** An image of noise, which takes a while. */
function noise(width: number): Promise<Buffer> {
  const noise = { type: 'gaussian', mean: 128, sigma: 60 } as const;
  return sharp({ create: { width, height: width, channels: 3, background: 'grey', noise } })
    .jpeg()
    .toBuffer();
}

/** Processes that decode images for this service; those of a killed service too. */
function decoders(pids: readonly number[]): number[] {
  return pids.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('variants/child');
    } catch {
      return false;
    }
  });
}

function childrenOf(parent: number | undefined): number[] {
  const all = readdirSync('/proc').flatMap((name) => {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
  return decoders(all);
}

describe.each([EMBEDDED, POCKETBASE])('variants on $name', (kind) => {
  let dir: string;
  let setup: Setup;
  let service: Service;
  let client: AssetClient;

  const variants = {
    thumb: { width: 48, height: 48, format: 'webp' },
    slow: { width: 600, height: 600, format: 'avif', quality: 80 },
  };
  const setPolicy = (usage: object) =>
    writeFile(
      join(dir, 'policies.json'),
      JSON.stringify({ usages: { photo: { retentionSeconds: 0, ...usage } }, default: {} }),
    );
  const env = () => ({
    ...setup.env,
    ASSET_POLICY_FILE: join(dir, 'policies.json'),
    ASSET_RESERVATION_TTL: '1',
    ASSET_SWEEP_INTERVAL: '0.5',
  });

  beforeAll(async () => {
    [dir, setup] = await Promise.all([makeDir('variants'), kind.open()]);
    await setPolicy({ variants });
    service = await startService(env());
    client = clientOf(service.url);
  });

  afterAll(async () => {
    await service?.dispose();
    await setup?.dispose();
    await removeDir(dir);
  });

  const photo = async (bytes: Buffer) =>
    (await upload(client, Buffer.from(bytes), { file: { usage: 'photo' } })).id;
  const ask = (id: string, variant: string, caller = client) =>
    caller.getFileUrl({ source: { case: 'fileId', value: id }, variant });
  const storedOf = async (id: string) => (await setup.blobs()).filter((key) => key.includes(id));

  it('are made once by replicas, served by the store, and removed with their file', async () => {
    const id = await photo(await noise(300));
    const replica = kind.shared ? await startService(env()) : undefined;
    try {
      const callers = [client, ...(replica ? [clientOf(replica.url)] : [])];
      const urls = await Promise.all([...callers, ...callers].map((caller) => ask(id, 'thumb', caller)));
      const response = await fetch(urls[0]!.url);
      expect(response.headers.get('content-type')).toBe('image/webp');
      const bytes = Buffer.from(await response.arrayBuffer());
      expect(await sharp(bytes).metadata()).toMatchObject({ format: 'webp', width: 48 });
      expect(new Set(urls.map(({ sizeBytes }) => Number(sizeBytes)))).toEqual(new Set([bytes.length]));
      // The file, its thumbhash and the variant.
      expect(await storedOf(id)).toHaveLength(3);
      expect((await callers.at(-1)!.getFile({ fileId: id })).thumbhash.length).toBeGreaterThan(0);
    } finally {
      await replica?.dispose();
    }
    await client.deleteFile({ fileId: id });
    await eventually(async () => expect(await storedOf(id)).toEqual([]));
  });

  it('survive kill -9: nothing is half stored, and one repetition makes them', async () => {
    const id = await photo(await noise(2_000));
    const first = ask(id, 'slow').catch(() => 'killed');
    let pids: number[] = [];
    await eventually(() => {
      pids = childrenOf(service.pid);
      expect(pids.length).toBeGreaterThan(0);
    });
    await service.kill();
    expect(await first).toBe('killed');
    // The process that decodes does not outlive the service.
    await eventually(() => expect(decoders(pids)).toEqual([]));
    await service.start();
    client = clientOf(service.url);
    const { url, sizeBytes } = await ask(id, 'slow');
    const bytes = Buffer.from(await (await fetch(url)).arrayBuffer());
    expect(bytes).toHaveLength(Number(sizeBytes));
    expect(await sharp(bytes).metadata()).toMatchObject({ format: 'heif', width: 600 });
    await client.deleteFile({ fileId: id });
    await eventually(async () => expect(await setup.blobs()).toEqual([]));
  });

  const itOfReplicas = kind.shared ? it : it.skip;
  itOfReplicas(
    `are made by another replica after kill -9 at every step${kind.shared ? '' : ' (needs replicas)'}`,
    async () => {
      const plan = join(dir, 'plan.json');
      await writeFile(plan, '');
      const killed = await startService({
        ...env(),
        NODE_OPTIONS: `--import=${join(ROOT, 'test', 'fault', 'kill-at.mjs')}`,
        ASSET_TEST_FAULT_PLAN: plan,
      });
      const ids: string[] = [];
      try {
        for (const point of VARIANT_POINTS) {
          await writeFile(plan, JSON.stringify({ point, nth: 1, signal: 'SIGKILL' }));
          if (killed.pid === undefined) await killed.start();
          else killed.signal('SIGUSR2');
          const id = await photo(await noise(200 + ids.length));
          const asked = ask(id, 'thumb', clientOf(killed.url)).catch(() => 'killed');
          expect(await asked).toBe('killed');
          await eventually(() => expect(killed.pid).toBeUndefined());
          expect(readFileSync(`${plan}.done`, 'utf8')).toBe(point);
          ids.push(id);
        }
      } finally {
        await killed.dispose();
      }
      // The lease of the killed one ends.
      const urls = await Promise.all(ids.map((id) => ask(id, 'thumb')));
      for (const { url } of urls) expect((await fetch(url)).headers.get('content-type')).toBe('image/webp');
      await Promise.all(ids.map((fileId) => client.deleteFile({ fileId })));
      for (const id of ids) await eventually(async () => expect(await storedOf(id)).toEqual([]));
    },
  );

  it('that failed are listed, and tried again on demand', async () => {
    const id = await photo((await noise(400)).subarray(0, 5_000));
    expect(await failureOf(ask(id, 'thumb'))).toMatchObject({ metadata: { problem: 'damaged' } });
    const cli = (...args: string[]) => runCli(['variants', ...args], { cwd: dir, env: env() });
    const { stdout, stderr, code } = await cli('failures', '--json');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual([
      expect.objectContaining({
        ...{
          fileId: id,
          problem: 'damaged',
          format: 'webp',
          definition: expect.objectContaining(variants.thumb),
        },
        time: expect.stringMatching(/^\d{4}-.*Z$/),
      }),
    ]);
    expect(await cli('retry', id)).toMatchObject({ code: 0, stderr: expect.stringContaining('1 failures') });
    expect(await cli('failures')).toMatchObject({ code: 0, stdout: '' });
    expect(await cli('retry')).toMatchObject({ code: 2 });
    await client.deleteFile({ fileId: id });
  });

  it('are removed when no policy defines them any more', async () => {
    const id = await photo(await noise(200));
    await ask(id, 'thumb');
    const before = await storedOf(id);
    await setPolicy({ variants: { thumb: { ...variants.thumb, width: 24 } } });
    await eventually(async () => {
      const { url } = await ask(id, 'thumb');
      const { width } = await sharp(Buffer.from(await (await fetch(url)).arrayBuffer())).metadata();
      expect(width).toBe(24);
    });
    await eventually(async () => {
      const now = await storedOf(id);
      expect(now).toHaveLength(3);
      expect(now).not.toEqual(before);
    });
    await setPolicy({});
    await eventually(async () => expect(await storedOf(id)).toHaveLength(1));
    expect(await failureOf(ask(id, 'thumb'))).toMatchObject({ reason: 'FIELD_INVALID' });
  });
});
