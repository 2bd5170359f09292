import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  createWorkerClient,
  type EventContext,
  type FileChange,
  type WorkerClient,
} from '@asset-service/worker';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../support/eventually.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { runCli } from './support/cli.ts';

let dir: string;
let service: Service;
let client: WorkerClient;

beforeAll(async () => {
  dir = await makeDir('consume');
  service = await startService();
  client = createWorkerClient({
    ...{ baseUrl: service.url, timeouts: { callMs: 0 } },
    retry: { retries: Infinity, baseDelayMs: 50, maxDelayMs: 500 },
  });
});

afterAll(async () => {
  client?.close();
  await service?.dispose();
  await removeDir(dir);
});

const make = (usage: string, name: string) =>
  client.uploadFile(Buffer.from('some text'), { usage, name, requestId: `${usage}-${name}` });

describe('consume', () => {
  it('shares events among workers, over a kill of the service, and ends with its signal', async () => {
    const usage = 'shared';
    const stop = new AbortController();
    const done: string[] = [];
    const handler = async ({ file }: FileChange) => {
      await sleep(20);
      done.push(file.name);
    };
    const options = {
      filter: { usage },
      from: 'existing',
      concurrency: 3,
      leaseMs: 2_000,
      signal: stop.signal,
    } as const;
    await make(usage, '0');
    const workers = [1, 2].map(() => client.consume(usage, handler, options));
    for (let i = 1; i < 20; i++) {
      await make(usage, `${i}`);
      if (i === 10) {
        await service.kill();
        await service.start();
      }
    }
    const all = Array.from({ length: 20 }, (_, i) => `${i}`).sort();
    await eventually(() => expect([...new Set(done)].sort()).toEqual(all), 40_000);
    await eventually(async () => {
      const [subscription] = await client.listSubscriptions();
      expect(subscription).toMatchObject({ name: usage, unacknowledgedEvents: 0, parkedEvents: 0 });
    });
    stop.abort();
    await Promise.all(workers);
  });

  it('delivers what failed again, parks it, and the command line shows and replays it', async () => {
    const usage = 'failing';
    const stop = new AbortController();
    const attempts: [string, number][] = [];
    const errors: unknown[] = [];
    let isMended = false;
    const worker = client.consume(
      usage,
      ({ file }, { attempt }: EventContext) => {
        attempts.push([file.name, attempt]);
        if (file.name === 'bad' && !isMended) throw new Error(`no luck with ${file.name}`);
      },
      {
        ...{ filter: { usage }, from: 'existing', maxAttempts: 2, concurrency: 2, signal: stop.signal },
        onError: (error) => errors.push(error),
      },
    );
    const bad = await make(usage, 'bad');
    await make(usage, 'good');
    const cli = (...args: string[]) =>
      runCli(['subscriptions', ...args], { cwd: dir, env: { ASSET_URL: service.url } });
    const parked = await eventually(async () => {
      const events = await client.listParkedEvents(usage);
      expect(events).toHaveLength(1);
      return events[0]!;
    });
    expect(parked).toMatchObject({
      ...{ type: 'created', fileId: bad.id, reason: 'no luck with bad', attempts: 2 },
      parkTime: expect.any(Date),
    });
    expect(attempts.filter(([name]) => name === 'bad')).toEqual([
      ['bad', 1],
      ['bad', 2],
    ]);
    expect(errors).toHaveLength(2);
    expect(JSON.parse((await cli('parked', usage)).stdout)).toMatchObject({
      id: parked.id,
      reason: parked.reason,
    });
    const listed = (await cli('list')).stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(listed).toContainEqual(expect.objectContaining({ name: usage, parkedEvents: 1 }));
    isMended = true;
    expect(JSON.parse((await cli('replay', usage, parked.id)).stdout)).toEqual({ replayed: 1 });
    await eventually(async () => {
      expect(attempts.filter(([name]) => name === 'bad')).toHaveLength(3);
      expect(await client.listSubscriptions()).toContainEqual(
        expect.objectContaining({ name: usage, parkedEvents: 0, unacknowledgedEvents: 0 }),
      );
    });
    stop.abort();
    await worker;
    expect(await cli('delete', usage)).toMatchObject({ code: 0, stdout: '' });
    const again = await cli('delete', usage);
    expect(again).toMatchObject({ code: 1 });
    expect(again.stderr).toContain('NOT_FOUND: SUBSCRIPTION_NOT_FOUND');
  });

  it('keeps an event for as long as its handler works', async () => {
    const usage = 'slow';
    const stop = new AbortController();
    await make(usage, 'one');
    const seen: number[] = [];
    let isDone = false;
    const handler = async (_event: FileChange, { attempt }: EventContext) => {
      seen.push(attempt);
      await sleep(7_000);
      isDone = true;
    };
    const options = { filter: { usage }, from: 'existing', leaseMs: 3_000, signal: stop.signal } as const;
    const workers = [1, 2].map(() => client.consume(usage, handler, options));
    await eventually(() => expect(isDone).toBe(true));
    stop.abort();
    await Promise.all(workers);
    expect(seen).toEqual([1]);
  });

  it('refuses options that mean nothing, and ends with what does not pass', async () => {
    for (const options of [{ concurrency: 0 }, { leaseMs: -1 }, { maxAttempts: 0.5 }, { from: 'never' }]) {
      await expect(client.consume('x', () => undefined, options as never)).rejects.toMatchObject({
        reason: 'OPTION_INVALID',
      });
    }
    await expect(client.consume('not a name', () => undefined)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });
});
