import { createBffClient } from '@asset-service/bff';
import { createWorkerClient, type AssetClient } from '@asset-service/worker';
import { createClient, type Transport } from '@connectrpc/connect';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Balancer, startBalancer } from '../support/balancer.ts';
import { eventually } from '../support/eventually.ts';
import { startService, type Service } from '../support/service.ts';
import { randomContent, TRANSPORTS, upload, type Bytes } from './support/calls.ts';
import { POCKETBASE, type Setup } from './support/setups.ts';

let setup: Setup;
let replicas: Service[];
let balancer: Balancer;

beforeAll(async () => {
  setup = await POCKETBASE.open();
  const env = {
    ...setup.env,
    ASSET_DRAIN_DELAY: '0.5',
    ASSET_HEALTH_INTERVAL: '0.5',
    ASSET_UPLOAD_PART_SIZE: String(5 * 2 ** 20),
  };
  // One after the other: the first one migrates the schema of the catalog.
  replicas = [await startService(env), await startService(env)];
  balancer = await startBalancer(replicas.map(({ port }) => port));
  await eventually(() => expect(balancer.healthy.size).toBe(2));
});

afterAll(async () => {
  await balancer?.close();
  await Promise.all((replicas ?? []).map((replica) => replica.dispose()));
  await setup?.dispose();
});

/** A caller that works until it is told to stop. */
class Caller {
  readonly failures: string[] = [];
  /** Contents of acknowledged uploads by id. */
  readonly stored = new Map<string, Bytes>();
  /** Number of successful calls. */
  done = 0;
  readonly #ended: Promise<void>;
  #stopped = false;

  /** @param turn - the calls of one round; gets whom it is made for */
  constructor(name: string, turn: (caller: Caller) => Promise<unknown>) {
    this.#ended = (async () => {
      while (!this.#stopped) {
        try {
          await turn(this);
          this.done += 1;
        } catch (error) {
          this.failures.push(`${name}: ${String(error)}`);
        }
        await sleep(5);
      }
    })();
  }

  /** Lets it finish its round. */
  stop(): Promise<void> {
    this.#stopped = true;
    return this.#ended;
  }
}

const OWNER = 'rolling';

/** Calls of a published client that take some milliseconds. */
const shortCalls = (name: string, client: AssetClient) =>
  new Caller(name, async ({ stored }) => {
    const content = randomContent(1_000);
    const { id } = await client.uploadFile(content, { owner: OWNER });
    stored.set(id, content);
    await client.fileUrl(id);
    await client.listFilesPage({ owner: OWNER, pageSize: 5 });
    await client.updateMetadata(id, { name: 'changed' });
  });

/** Bytes that take about `ms` milliseconds to come. */
async function* slowly(bytes: Bytes, ms: number): AsyncGenerator<Uint8Array> {
  const pieces = 20;
  for (let at = 0; at < bytes.length; at += Math.ceil(bytes.length / pieces)) {
    yield bytes.subarray(at, at + Math.ceil(bytes.length / pieces));
    await sleep(ms / pieces);
  }
}

/** Uploads of a published client that last long enough to meet every restart. */
const longUploads = (name: string, client: AssetClient) =>
  new Caller(name, async ({ stored }) => {
    const content = randomContent(300_000);
    const source = () => slowly(content, 1_500);
    const options = { owner: OWNER, sizeBytes: content.length, singleCallBytes: 100_000 };
    const { id } = await client.uploadFile(source, options);
    stored.set(id, content);
  });

/** An upload that its caller continues later. */
const resumedUploads = (name: string, client: AssetClient) =>
  new Caller(name, async ({ stored }) => {
    const content = randomContent(200_000);
    const { uploadId } = await client.startUpload({ owner: OWNER, sizeBytes: content.length });
    await client.resumeUpload(uploadId, () => slowly(content, 500));
    stored.set(uploadId, content);
  });

/** Calls of a generated client, which retries nothing. */
function bareCalls(name: string, transport: Transport): Caller {
  const client = createClient(AssetService, transport);
  return new Caller(name, async ({ stored }) => {
    const content = randomContent(500);
    const { id } = await upload(client, content, { file: { owner: OWNER } });
    stored.set(id, content);
    await client.getFileUrl({ source: { case: 'fileId', value: id } });
    await client.listFiles({ pageSize: 5 });
  });
}

describe('replicas behind a balancer of connections', () => {
  let worker: AssetClient;
  let bff: AssetClient;

  beforeAll(() => {
    worker = createWorkerClient({ baseUrl: balancer.url, retry: { baseDelayMs: 50 } });
    bff = createBffClient({ baseUrl: balancer.url, transport: 'connect', retry: { baseDelayMs: 50 } });
  });

  afterAll(() => {
    worker?.close();
    bff?.close();
  });

  /** Every acknowledged upload is there with its bytes. */
  async function expectStored(callers: readonly Caller[]): Promise<void> {
    for (const { stored } of callers)
      for (const [id, content] of stored) {
        const { bytes } = await worker.downloadBytes(id);
        expect(Buffer.from(bytes).equals(content)).toBe(true);
      }
  }

  it('are restarted one after the other under load without a failed call', async () => {
    const stop = new AbortController();
    const seen: string[] = [];
    let isWatching = false;
    const watching = (async () => {
      const onCheckpoint = () => (isWatching = true);
      for await (const { type, file } of worker.watchFiles({
        ...{ filter: { owner: OWNER }, signal: stop.signal, onCheckpoint },
      }))
        if (type === 'created') seen.push(file.id);
    })().catch((error: unknown) => error);
    await eventually(() => expect(isWatching).toBe(true));
    const patient = [
      shortCalls('worker', worker),
      shortCalls('bff', bff),
      longUploads('worker, long', worker),
      longUploads('bff, long', bff),
      resumedUploads('worker, resumed', worker),
    ];
    const bare = Object.entries(TRANSPORTS).map(([name, transport]) =>
      bareCalls(name, transport(balancer.url)),
    );
    const callers = [...patient, ...bare];
    /** Every caller has made some calls. */
    const progress = async () => {
      const before = callers.map(({ done }) => done);
      await eventually(() =>
        callers.forEach(({ done }, at) => expect(done).toBeGreaterThan(before[at]! + 1)),
      );
    };
    for (const replica of replicas) {
      await progress();
      replica.signal('SIGTERM');
      expect(await replica.exit()).toBe(0);
      await replica.start();
      await eventually(() => expect(balancer.healthy.size).toBe(2));
    }
    await progress();
    await Promise.all(callers.map((caller) => caller.stop()));

    expect(patient.flatMap(({ failures }) => failures)).toEqual([]);
    const hasty = bare.flatMap(({ failures }) => failures);
    // Printed in full if there are too many.
    expect(hasty.length > replicas.length ? hasty : []).toEqual([]);
    await expectStored(callers);
    const stored = callers.flatMap((caller) => [...caller.stored.keys()]);
    await eventually(() => expect(seen.toSorted()).toEqual(stored.toSorted()));
    stop.abort();
    expect(await watching).toMatchObject({ code: 'CANCELLED' });
  });

  it('lose no acknowledged upload and make no second file when one is killed under load', async () => {
    /** Uploads with request ids by a client that retries nothing; the id of each that was acknowledged. */
    const wishes = new Map<string, { readonly content: Bytes; acknowledged?: string }>();
    const owner = 'killed';
    const bare = createClient(AssetService, TRANSPORTS['gRPC']!(balancer.url));
    const repeated = Array.from(
      { length: 4 },
      (_none, index) =>
        new Caller(`bare ${index}`, async () => {
          const requestId = randomUUID();
          const wish: { readonly content: Bytes; acknowledged?: string } = { content: randomContent(50_000) };
          wishes.set(requestId, wish);
          const { id } = await upload(bare, wish.content, { requestId, file: { owner } });
          wish.acknowledged = id;
        }),
    );
    const patient = [
      shortCalls('worker', worker),
      shortCalls('bff', bff),
      longUploads('worker, long', worker),
      resumedUploads('worker, resumed', worker),
    ];
    const callers = [...repeated, ...patient];
    for (const replica of replicas) {
      const before = callers.map(({ done }) => done);
      await eventually(() => callers.forEach(({ done }, at) => expect(done).toBeGreaterThan(before[at]!)));
      replica.signal('SIGKILL');
      expect(await replica.exit()).toBe('SIGKILL');
      await replica.start();
      await eventually(() => expect(balancer.healthy.size).toBe(2));
    }
    await Promise.all(callers.map((caller) => caller.stop()));

    expect(patient.flatMap(({ failures }) => failures)).toEqual([]);
    await expectStored(patient);
    // The kills met calls, or this proves nothing.
    expect([...wishes.values()].some(({ acknowledged }) => acknowledged === undefined)).toBe(true);
    const ids = new Set<string>();
    for (const [requestId, { content, acknowledged }] of wishes) {
      const { id } = await worker.uploadFile(content, { owner, requestId });
      expect(id).toBe(acknowledged ?? id);
      ids.add(id);
    }
    const listed: string[] = [];
    for await (const { id } of worker.listFiles({ owner, pageSize: 1_000 })) listed.push(id);
    expect(listed.toSorted()).toEqual([...ids].toSorted());
    expect(ids.size).toBe(wishes.size);
  });
});
