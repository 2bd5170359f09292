import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createWorkerClient } from '@asset-service/worker';
import type { File } from '@asset-service/contract/asset/v1/file_pb.js';
import { FileEventType, WatchStart } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MOVE_POINTS } from '../../src/system/crash-points.ts';
import {
  clientOf,
  crc32c,
  download,
  randomContent,
  sha256,
  upload,
  type Bytes,
} from '../e2e/support/calls.ts';
import { endOf, runCli, startCli } from '../e2e/support/cli.ts';
import { POCKETBASE, type Setup } from '../e2e/support/setups.ts';
import { eventually } from '../support/eventually.ts';
import { ROOT } from '../support/install.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { createDatabase } from '../support/shared-servers.ts';
import { watch } from '../support/watching.ts';
import { FULL } from './support/report.ts';

/** Points at which the mover is killed; a short run has the two that matter most: in the pause, and after the decision. */
const POINTS = FULL ? MOVE_POINTS : (['move.paused', 'move.decided'] as const);

/** A file as it was acknowledged last. */
interface Known {
  readonly file: File;
  readonly content: Bytes;
}

describe('a move from PocketBase to PostgreSQL under load', () => {
  let dir: string;
  let setup: Setup;
  let env: Record<string, string>;
  const replicas: Service[] = [];
  const known = new Map<string, Known>();
  const failures: unknown[] = [];
  const stopped = new AbortController();
  let writers: readonly Promise<void>[] = [];

  beforeAll(async () => {
    [dir, setup] = [await makeDir('catalog-move-load'), await POCKETBASE.open()];
    const next = { ASSET_NEXT_CATALOG: 'postgres', ASSET_NEXT_POSTGRES_URL: await createDatabase() };
    env = { ...setup.env, ...next, ASSET_LOG_FORMAT: 'json', ASSET_SWEEP_INTERVAL: '1' };
    replicas.push(...(await Promise.all([startService(env), startService(env)])));
  });

  afterAll(async () => {
    stopped.abort();
    await Promise.all(writers);
    await Promise.all(replicas.map((one) => one.dispose()));
    await setup?.dispose();
    await removeDir(dir);
  });

  /** One client, and so one connection, for each replica. */
  const clients = new Map<string, ReturnType<typeof clientOf>>();
  const client = (at: number) => {
    const { url } = replicas[at % replicas.length]!;
    if (!clients.has(url)) clients.set(url, clientOf(url));
    return clients.get(url)!;
  };
  const move = (...args: string[]) => runCli(['catalog', 'move', ...args], { cwd: dir, env });
  const done = async (...args: string[]) => {
    const { code, stdout, stderr } = await move(...args, '--json');
    expect([args[0], code, stderr]).toEqual([args[0], 0, expect.any(String)]);
    return JSON.parse(stdout) as Record<string, unknown>;
  };

  /** Uploads and changes files; every call must succeed. */
  async function write(at: number): Promise<void> {
    const mine: Known[] = [];
    for (let i = 0; !stopped.signal.aborted; i++) {
      try {
        const content = randomContent(2_000);
        const file = { name: `${at}-${i}.bin`, owner: `owner-${at}` };
        const made = {
          file: await upload(client(at + i), content, { file, requestId: `w-${at}-${i}` }),
          content,
        };
        const old = mine[Math.floor(i / 2)] ?? made;
        const changed = await client(at + i + 1).updateMetadata({
          file: { id: old.file.id, name: `changed ${i}`, etag: old.file.etag },
          updateMask: { paths: ['name'] },
        });
        for (const one of [made, { ...old, file: changed.file! }]) {
          known.set(one.file.id, one);
          const index = mine.findIndex(({ file: { id } }) => id === one.file.id);
          if (index < 0) mine.push(one);
          else mine[index] = one;
        }
      } catch (error) {
        failures.push(error);
      }
      await sleep(150);
    }
  }

  async function allAreThere(): Promise<void> {
    for (const [at, { file, content }] of [...known.values()].entries()) {
      const got = await client(at).getFile({ fileId: file.id });
      expect(got.file).toEqual(file);
      if (at % 10 !== 0) continue;
      expect(sha256((await download(client(at), file.id)).content)).toEqual(sha256(content));
    }
  }

  it('is noticed by nobody, there, back and there again, also if the mover is killed', async () => {
    writers = [0, 1, 2].map((at) => write(at));
    await eventually(() => expect(known.size).toBeGreaterThan(5));
    await using watching = await watch(client(0), { start: { case: 'from', value: WatchStart.NOW } });
    const seen: string[] = [];
    const consuming = new AbortController();
    const worker = createWorkerClient({ baseUrl: replicas[1]!.url, timeouts: { callMs: 0 } });
    const consumed = worker.consume('all', ({ file }) => Promise.resolve(void seen.push(file.id)), {
      ...{ from: 'existing', leaseMs: 5_000, concurrency: 20, signal: consuming.signal },
    });
    // Things begun before the switch, which are ended after it.
    const content = randomContent(600_000);
    const spec = { file: { name: 'session.bin' }, sizeBytes: BigInt(content.length), requestId: 'session' };
    const { uploadId } = await client(0).startUpload({ uploadSpec: spec });
    const head = content.subarray(0, 300_000);
    await client(0).uploadChunk({ uploadId, writeOffset: 0n, data: { content: head } });
    const repeated = await upload(client(0), content, { requestId: 'repeated' });
    const page = await client(0).listFiles({ pageSize: 2 });

    expect(await done('start', '--yes')).toMatchObject({ refused: [] });
    expect(await done('verify')).toMatchObject({ damaged: [] });
    for (const [i, point] of POINTS.entries()) {
      if (i > 0) await done('reverse', '--yes', '--max-pause', '20');
      await killedAt(point, 'switch', '--yes', '--max-pause', '5');
      const before = known.size;
      // Writers go on by themselves: the replicas end the pause.
      await eventually(() => expect(known.size).toBeGreaterThan(before + 3), 60_000);
      const switched = await done('switch', '--yes', '--max-pause', '20');
      expect(switched).toMatchObject({ state: 'switched', active: 'postgres' });
    }
    expect(failures).toEqual([]);
    const ended = await client(1).upload(finish(uploadId, content, head.length));
    expect(ended.writeStatus.case).toBe('file');
    expect((await upload(client(1), content, { requestId: 'repeated' })).id).toBe(repeated.id);
    const more = await client(1).listFiles({ pageSize: 2, pageToken: page.nextPageToken });
    expect(more.files).toHaveLength(2);

    stopped.abort();
    await Promise.all(writers);
    await eventually(() => expect(new Set(seen).size).toBeGreaterThanOrEqual(known.size), 120_000);
    consuming.abort();
    await consumed.catch(() => undefined);
    await allAreThere();
    // Each file once as created, in the watch that lasted, and in one that goes on from its start.
    const ids = () =>
      watching.events.filter(({ type }) => type === FileEventType.CREATED).map(({ file }) => file!.id);
    await eventually(() => expect(new Set(ids()).size).toBe(ids().length));
    const resumed = await watch(client(1), {
      start: { case: 'cursor', value: watching.messages[0]!.cursor },
    });
    await resumed.until(({ events }) => events.length >= watching.events.length);
    expect(resumed.events.map(({ eventId }) => eventId)).toEqual(
      watching.events.map(({ eventId }) => eventId),
    );
    await resumed.stop();
    worker.close();
  }, 550_000);

  it('is completed: replicas restart one by one, and the cursor of the end goes on', async () => {
    await done('complete', '--yes');
    const last = await clientOf(replicas[0]!.url).listFiles({ pageSize: 1 });
    const { ASSET_NEXT_CATALOG: _, ASSET_NEXT_POSTGRES_URL: url, ...others } = env;
    const settings = { ...others, ASSET_CATALOG: 'postgres', ASSET_POSTGRES_URL: url! };
    const fresh = await startService(settings);
    // Old and new side by side.
    const made = await upload(clientOf(fresh.url), randomContent(100));
    expect((await client(0).getFile({ fileId: made.id })).file).toEqual(made);
    await replicas[0]!.dispose();
    replicas[0] = fresh;
    expect((await client(0).getFile({ fileId: last.files[0]!.id })).file).toEqual(last.files[0]);
    await allAreThere();
    // Settings of before the move are an operator's mistake.
    const old = await startService({ ...setup.env }, { until: 'answering' });
    await eventually(() => expect(JSON.stringify(old.logLines())).toContain('set ASSET_CATALOG=postgres'));
    await old.dispose();
  });

  async function killedAt(point: string, ...args: string[]): Promise<void> {
    const plan = join(dir, 'plan.json');
    await writeFile(plan, JSON.stringify({ point, nth: 1, signal: 'SIGKILL' }));
    const more = {
      NODE_OPTIONS: `--import=${join(ROOT, 'test/fault/kill-at.mjs')}`,
      ASSET_TEST_FAULT_PLAN: plan,
    };
    const child = startCli(['catalog', 'move', ...args], { cwd: dir, env: { ...env, ...more } });
    const { code, stderr } = await endOf(child);
    expect([point, code, stderr]).toEqual([point, 'SIGKILL', expect.any(String)]);
  }
});

async function* finish(uploadId: string, content: Bytes, from: number) {
  const rest = content.subarray(from);
  yield { firstMessage: { case: 'uploadId' as const, value: uploadId }, writeOffset: BigInt(from) };
  yield { writeOffset: BigInt(from), data: { content: rest, crc32c: crc32c(rest) } };
  const checksums = { sha256: sha256(content), crc32c: crc32c(content) };
  yield { writeOffset: BigInt(content.length), checksums, finishWrite: true };
}
