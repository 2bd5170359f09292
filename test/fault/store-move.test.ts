import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  clientOf,
  download,
  randomContent,
  upload,
  type AssetClient,
  type Bytes,
} from '../e2e/support/calls.ts';
import { runCli, startCli } from '../e2e/support/cli.ts';
import { POCKETBASE, type Setup } from '../e2e/support/setups.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { createBucket } from '../support/shared-servers.ts';
import { FULL } from './support/report.ts';

/** Two replicas on a PocketBase; files go from one bucket to another and back under load, with kills. */
describe('a store move under load', () => {
  let dir: string;
  let setup: Setup;
  let env: Record<string, string>;
  const replicas: Service[] = [];
  let clients: AssetClient[];
  const model = new Map<string, Bytes>();
  const failures: unknown[] = [];

  beforeAll(async () => {
    if (!FULL) return;
    dir = await makeDir('store-move-load');
    setup = await POCKETBASE.open();
    const bucket = await createBucket();
    env = {
      ...setup.env,
      ...{ ASSET_NEXT_STORE: 's3', ASSET_NEXT_S3_BUCKET: bucket.bucket, ASSET_SWEEP_INTERVAL: '1' },
      ...{ ASSET_NEXT_S3_ENDPOINT: bucket.endpoint, ASSET_AUDIT_LOG: 'off' },
    };
    replicas.push(await startService(env), await startService(env));
    clients = replicas.map(({ url }) => clientOf(url));
  });
  afterAll(async () => {
    if (!FULL) return;
    for (const one of replicas) await one.dispose();
    await setup?.dispose();
    await removeDir(dir);
  });

  const move = (...args: string[]) => runCli(['store', 'move', ...args], { cwd: dir, env });

  (FULL ? it : it.skip)(
    'loses and changes nothing (a minute: in `npm run test:fault` only)',
    async () => {
      let running = true;
      const work = async (client: AssetClient, other: AssetClient) => {
        while (running) {
          try {
            const content = randomContent(1 + Math.floor(Math.random() * 60_000));
            const { id } = await upload(client, content, { file: { name: 'x.bin' } });
            model.set(id, content);
            const ids = [...model.keys()];
            const one = ids[Math.floor(Math.random() * ids.length)]!;
            const got = await download(Math.random() < 0.5 ? client : other, one);
            if (!got.content.equals(model.get(one)!)) throw new Error('other bytes');
            const { url } = await other.getFileUrl({ source: { case: 'fileId', value: one } });
            const answer = await fetch(url);
            if (answer.status !== 200) throw new Error(`URL ${answer.status}`);
            await answer.arrayBuffer();
            await new Promise((resolve) => setTimeout(resolve, 200));
          } catch (error) {
            failures.push(error);
          }
        }
      };
      const works = [0, 1].map((n) => work(clients[n % 2]!, clients[(n + 1) % 2]!));
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      const killed = startCli(['store', 'move', 'start', '--yes', '--rate', '20'], { cwd: dir, env });
      setTimeout(() => killed.kill('SIGKILL'), 3_000);
      await new Promise((resolve) => killed.once('close', resolve));
      const told: string[] = [];
      for (const args of [
        ['start', '--yes', '--rate', '0'],
        ['verify'],
        ['switch', '--yes'],
        ['reverse', '--yes'],
        ['switch', '--yes'],
        ['verify', '--json'],
        ['complete', '--yes'],
        ['status', '--json'],
        ['retire', '--yes', '--json', '--force'],
        ['status', '--json'],
      ]) {
        const ended = await move(...args);
        if (ended.code !== 0) told.push(`${args.join(' ')}: ${ended.code} ${ended.stderr}`);
      }
      running = false;
      await Promise.all(works);
      expect(told).toEqual([]);
      expect(failures).toEqual([]);
      expect(model.size).toBeGreaterThan(20);
      for (const [id, content] of model)
        expect((await download(clients[0]!, id)).content.equals(content)).toBe(true);
    },
    400_000,
  );
});
