import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { startService, type Service } from '../support/service.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import {
  clientOf,
  messagesOf,
  randomContent,
  send,
  spec,
  upload,
  type AssetClient,
} from './support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from './support/failures.ts';
import { EMBEDDED, POCKETBASE, type Setup } from './support/setups.ts';

const MiB = 2 ** 20;
const PART = 5 * MiB;

describe.each([EMBEDDED, POCKETBASE])('interrupted uploads on $name', (kind) => {
  let setup: Setup;
  let service: Service;
  let client: AssetClient;
  let before: string[];

  beforeAll(async () => {
    setup = await kind.open();
    service = await startService({
      ...setup.env,
      ASSET_UPLOAD_PART_SIZE: String(PART),
      ASSET_UPLOAD_STALL_TIMEOUT: '4',
      ASSET_MAX_UPLOADS: '4',
      ASSET_RESERVATION_TTL: '2',
      ASSET_SWEEP_INTERVAL: '0.5',
    });
    client = clientOf(service.url);
  });

  beforeEach(async () => {
    before = (await setup.blobs()).sort();
  });

  afterAll(async () => {
    await service?.dispose();
    await setup?.dispose();
  });

  /** Nothing is visible of the upload, and what it left in the store goes by itself. */
  async function expectNothingLeft(owner: string): Promise<void> {
    const { files } = await client.listFiles({ filter: { owner }, showDeleted: true });
    expect(files).toEqual([]);
    await eventually(async () => expect((await setup.blobs()).sort()).toEqual(before));
  }

  /**
   * The first messages of an upload, which then waits until `until` resolves, and ends; `onWait` is called when they are on
   * their way.
   */
  async function* stuck(owner: string, size: number, until: Promise<void>, onWait?: () => void) {
    const messages = [...messagesOf(randomContent(size), { file: { owner }, withSize: false })];
    yield* messages.slice(0, -1);
    onWait?.();
    await until;
    yield messages.at(-1)!;
  }

  it.each([
    ['before any byte', 0],
    ['in the middle of a small file', 3 * MiB],
    ['in the middle of a large file', 2 * PART + MiB],
  ])('stores nothing of an upload that its caller cancels %s', async (where, size) => {
    const owner = `give up ${where}`;
    const abort = new AbortController();
    const call = send(client, stuck(owner, size, sleep(50_000, undefined, { ref: false })), {
      signal: abort.signal,
    });
    await Promise.all([
      expect(call).rejects.toMatchObject({ code: 1 }),
      sleep(400).then(() => abort.abort()),
    ]);
    await expectNothingLeft(owner);
    // A caller that goes away is no fault that anybody has to look at.
    const faults = service.logLines().filter(({ level, rpc }) => Number(level) >= 50 && rpc !== undefined);
    expect(faults).toEqual([]);
  });

  it('stores nothing of an upload whose deadline passes', async () => {
    const owner = 'deadline';
    const call = send(client, stuck(owner, PART + MiB, sleep(50_000, undefined, { ref: false })), {
      timeoutMs: 500,
    });
    await expect(call).rejects.toMatchObject({ code: 4 });
    await expectNothingLeft(owner);
  });

  it('ends an upload whose caller sends nothing for too long', async () => {
    const owner = 'stall';
    const started = Date.now();
    const call = send(client, stuck(owner, PART + MiB, sleep(50_000, undefined, { ref: false })));
    expect(await failureOf(call)).toMatchObject({ code: 'DEADLINE_EXCEEDED', reason: 'UPLOAD_STALLED' });
    expect(Date.now() - started).toBeLessThan(30_000);
    await expectNothingLeft(owner);
  });

  it('ends an upload that does not even send its first message', async () => {
    const nothing = async function* () {
      await sleep(50_000, undefined, { ref: false });
      yield spec();
    };
    const started = Date.now();
    expect(await failureOf(send(client, nothing()))).toMatchObject({ reason: 'UPLOAD_STALLED' });
    expect(Date.now() - started).toBeLessThan(30_000);
  });

  it('goes on with an upload that is slow but does not stall, past the life of its reservation', async () => {
    const content = randomContent(PART + 10);
    const slow = async function* () {
      for (const message of messagesOf(content, { chunkBytes: MiB })) {
        yield message;
        await sleep(700);
      }
    };
    const file = await send(client, slow());
    expect(file.sizeBytes).toBe(BigInt(content.length));
    await sleep(3_000);
    expect((await setup.blobs()).length).toBe(before.length + 1);
  });

  it('refuses uploads over the limit at once', async () => {
    const { promise: until, resolve: go } = Promise.withResolvers<void>();
    const calls: Promise<unknown>[] = [];
    for (let i = 0; i < 4; i++) {
      await new Promise<void>((resolve) => calls.push(send(client, stuck('crowd', 10, until, resolve))));
    }
    // Answered on the same connection, behind what the uploads have sent.
    await client.listFiles({});
    // The places are taken until `go`: an upload that waited for one would not end.
    const failure = await failureOf(upload(client, randomContent(MiB)));
    expect(failure).toMatchObject({ code: 'RESOURCE_EXHAUSTED', reason: 'TOO_MANY_UPLOADS' });
    expect(failure.retryMs).toBeGreaterThan(0);
    go();
    expect(await Promise.all(calls)).toHaveLength(4);
    await upload(client, randomContent(10));
  });

  it('frees the place of an upload, however it ends', async () => {
    for (let i = 0; i < 6; i++) {
      await failureOf(send(client, [spec()]));
      const abort = new AbortController();
      const call = send(client, stuck('gone', 10, sleep(50_000, undefined, { ref: false })), {
        signal: abort.signal,
      });
      setTimeout(() => abort.abort(), 50);
      await expect(call).rejects.toMatchObject({ code: 1 });
    }
    await eventually(() => upload(client, randomContent(10)));
  });
});

describe('interrupted uploads while the store does not answer', () => {
  it('end at once when their caller cancels', async () => {
    const setup = await POCKETBASE.open();
    const proxy = await startTcpProxy(setup.bucket!.endpoint);
    const service = await startService({ ...setup.env, ASSET_S3_ENDPOINT: `http://${proxy.address}` });
    try {
      const client = clientOf(service.url);
      await upload(client, randomContent(10));
      proxy.stall();
      const started = Date.now();
      await expect(upload(client, randomContent(MiB), { timeoutMs: 1_000 })).rejects.toMatchObject({
        code: 4,
      });
      await eventually(() => {
        const line = service.logLines().findLast(({ rpc }) => rpc === 'Upload');
        // Both ends keep the deadline: the caller's reset may come just before the service's own clock strikes.
        expect(['DEADLINE_EXCEEDED', 'CANCELED']).toContain(line?.['code']);
      });
      expect(Date.now() - started).toBeLessThan(9_000);
      await proxy.restore();
      await upload(client, randomContent(10));
    } finally {
      await service.dispose();
      await proxy.close();
      await setup.dispose();
    }
  });
});
