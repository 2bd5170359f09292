import { createWorkerClient, type AssetFile, type WorkerClient } from '@asset-service/worker';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { adminOf } from '../conformance/file-catalog/pocketbase-admin.ts';
import { eventually } from '../support/eventually.ts';
import { ROOT } from '../support/install.ts';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { makeDir, programEnv, removeDir, startServer, type Server } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { POCKETBASE, type Setup } from './support/setups.ts';

const IMAGES = 24;

let dir: string;
let pocketbase: PocketBaseServer;
let setup: Setup;
let service: Service;
let client: WorkerClient;
const workers: Server[] = [];

beforeAll(async () => {
  dir = await makeDir('worker-example');
  pocketbase = await startPocketBase();
  setup = await POCKETBASE.open({ pocketbase });
  const admin = await adminOf(pocketbase);
  const files = await admin.collections.getOne('files');
  await admin.collections.update('files', {
    fields: [
      ...files.fields,
      { name: 'original', type: 'relation', collectionId: files.id, maxSelect: 1 },
      { name: 'derived_from', type: 'text' },
    ],
  });
  service = await startService(setup.env);
  client = createWorkerClient({
    ...{ baseUrl: service.url, timeouts: { callMs: 0 } },
    retry: { retries: Infinity, baseDelayMs: 20, maxDelayMs: 200 },
  });
  // Two workers that compete for the same images.
  for (const name of ['one', 'two']) workers.push(await startWorker(name));
});

afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.dispose()));
  client?.close();
  await service?.dispose();
  await setup?.dispose();
  await pocketbase?.dispose();
  await removeDir(dir);
});

async function startWorker(name: string): Promise<Server> {
  const own = await makeDir(`worker-${name}`);
  return startServer({
    name: `worker ${name}`,
    command: process.execPath,
    args: [join(ROOT, 'examples', 'worker', 'worker.ts'), join(dir, name)],
    env: { ...programEnv(), ASSET_SERVICE_URL: service.url } as Record<string, string>,
    dir: own,
    ownsDir: true,
    ready: () => Promise.resolve(true),
  });
}

/** A PNG of this width as far as its header goes. */
function png(width: number): Buffer {
  const head = Buffer.from('89504e470d0a1a0a0000000d4948445200000000000000070802000000', 'hex');
  head.writeUInt32BE(width, 16);
  return head;
}

async function all(usage: string): Promise<AssetFile[]> {
  const found: AssetFile[] = [];
  for await (const file of client.listFiles({ usage, showDeleted: true })) found.push(file);
  return found;
}

it('does every image once, whoever is killed in the middle', async () => {
  const upload = async (from: number, to: number) => {
    for (let i = from; i < to; i++) {
      const requestId = `image-${i}`;
      await client.uploadFile(png(100 + i), { name: `${i}.png`, usage: 'picture', owner: 'ann', requestId });
    }
  };
  const done = (count: number) =>
    eventually(async () => expect((await all('image-info')).length).toBeGreaterThanOrEqual(count));
  const kills = async () => {
    const killed: [Server, number][] = [
      [workers[0]!, 2],
      [service, 5],
      [workers[1]!, 8],
      [pocketbase, 11],
      [workers[0]!, 14],
      [service, 17],
    ];
    for (const [server, after] of killed) {
      await done(after);
      await server.kill();
      await server.start();
    }
  };
  await Promise.all([upload(0, IMAGES), kills()]);
  await done(IMAGES);
  // All that the workers may still do twice is behind this image.
  await upload(IMAGES, IMAGES + 1);
  await done(IMAGES + 1);
  const images = await all('picture');
  expect(images).toHaveLength(IMAGES + 1);
  const made = await all('image-info');
  expect(made.map(({ attributes }) => attributes['derived_from']).sort()).toEqual(
    images.map(({ id }) => id).sort(),
  );
  for (const file of made) {
    const image = images.find(({ id }) => id === file.attributes['derived_from'])!;
    expect(file).toMatchObject({
      name: `${image.name}.json`,
      owner: 'ann',
      relations: { original: [image.id] },
    });
    const { bytes } = await client.downloadBytes(file.id);
    const width = 100 + Number(image.name.split('.')[0]);
    expect(JSON.parse(Buffer.from(bytes).toString())).toEqual({
      image: image.id,
      format: 'png',
      width,
      height: 7,
    });
  }
}, 120_000);
