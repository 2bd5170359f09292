import { setTimeout as sleep } from 'node:timers/promises';
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

/** What no kill excuses. */
class Broken extends Error {}

/** Two replicas on a PocketBase; files go from one bucket to another and back under load, with kills. */
describe('a store move under load', () => {
  let dir: string;
  let setup: Setup;
  let env: Record<string, string>;
  const replicas: Service[] = [];
  let clients: AssetClient[];
  const model = new Map<string, Bytes>();
  const failures: unknown[] = [];
  /** That of the first store, and the other one. */
  let buckets: readonly string[];
  let kills = 0;
  let replaced = 0;
  /** Index of the replica that is being replaced. */
  let away: number | undefined;

  beforeAll(async () => {
    if (!FULL) return;
    dir = await makeDir('store-move-load');
    setup = await POCKETBASE.open();
    const bucket = await createBucket();
    buckets = [setup.bucket!.bucket, bucket.bucket];
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

  /** Ends the next replica, or kills it, and starts it anew on its port. Callers go on with the other one. */
  async function replaceReplica(isKilled: boolean): Promise<void> {
    const index = (replaced += 1) % replicas.length;
    const old = replicas[index]!;
    away = index;
    // What it had begun may fail for its callers, who repeat it.
    if (isKilled) await old.kill();
    await old.dispose();
    replicas[index] = await startService(env, { port: old.port });
    away = undefined;
  }

  const move = (...args: string[]) => runCli(['store', 'move', ...args], { cwd: dir, env });

  (FULL ? it : it.skip)(
    'loses and changes nothing (minutes: in `npm run test:fault` only)',
    async () => {
      let running = true;
      const work = async (client: AssetClient, other: AssetClient) => {
        while (running) {
          const before = replaced;
          try {
            const content = randomContent(1 + Math.floor(Math.random() * 60_000));
            const { id } = await upload(client, content, { file: { name: 'x.bin' } });
            model.set(id, content);
            const ids = [...model.keys()];
            const one = ids[Math.floor(Math.random() * ids.length)]!;
            const got = await download(Math.random() < 0.5 ? client : other, one);
            if (!got.content.equals(model.get(one)!)) throw new Broken('other bytes');
            const { url } = await other.getFileUrl({ source: { case: 'fileId', value: one } });
            const answer = await fetch(url);
            if (answer.status !== 200) throw new Broken(`URL ${answer.status}`);
            await answer.arrayBuffer();
            await sleep(200);
          } catch (error) {
            // A call of a replica that was killed meanwhile fails, and nothing else may.
            const isAway = away !== undefined || replaced !== before;
            if (!isAway || error instanceof Broken) failures.push(error);
            await sleep(200);
          }
        }
      };
      const works = [0, 1].map((n) => work(clients[n % 2]!, clients[(n + 1) % 2]!));
      await sleep(2_000);
      const told: string[] = [];
      const run = async (...args: string[]) => {
        const ended = await move(...args);
        if (ended.code !== 0) told.push(`${args.join(' ')}: ${ended.code} ${ended.stderr}`);
      };
      /** Runs a step that is killed after a while, perhaps kills a replica too, and runs the step again. */
      const killed = async (hasReplica: boolean, args: readonly string[], again = args) => {
        const child = startCli(['store', 'move', ...args], { cwd: dir, env });
        const closed = new Promise((resolve) => child.once('close', resolve));
        await sleep(1_000 + Math.random() * 2_000);
        child.kill('SIGKILL');
        await closed;
        kills += 1;
        if (hasReplica) await replaceReplica(true);
        await run(...again);
      };
      for (const way of ['there', 'back'] as const) {
        if (way === 'back') {
          // The other way round: each replica gets the new settings while the other one works.
          env = { ...env, ASSET_S3_BUCKET: buckets[1]!, ASSET_NEXT_S3_BUCKET: buckets[0]! };
          for (let n = 0; n < replicas.length; n++) await replaceReplica(false);
        }
        // Slowly at first, so that the kill comes in the middle.
        await killed(true, ['start', '--yes', '--rate', '20'], ['start', '--yes', '--rate', '0']);
        await killed(false, ['verify']);
        await killed(true, ['switch', '--yes']);
        await run('reverse', '--yes');
        await run('switch', '--yes');
        await killed(false, ['complete', '--yes']);
        await killed(false, ['retire', '--yes', '--json']);
        const { stdout } = await move('status', '--json');
        expect(JSON.parse(stdout)).toMatchObject({ state: 'retired', retire: { unproven: [] } });
      }
      running = false;
      await Promise.all(works);
      expect(told).toEqual([]);
      expect(failures).toEqual([]);
      expect([model.size, kills]).toEqual([expect.any(Number), 10]);
      expect(model.size).toBeGreaterThan(50);
      for (const [id, content] of model)
        expect((await download(clients[0]!, id)).content.equals(content)).toBe(true);
    },
    900_000,
  );
});
