import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  clientOf,
  crc32c,
  download,
  randomContent,
  upload,
  type AssetClient,
  type Bytes,
} from '../e2e/support/calls.ts';
import { runCli } from '../e2e/support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, waitForHealth, type Service } from '../support/service.ts';
import { createBucket, type TestBucket } from '../support/shared-servers.ts';

const MiB = 2 ** 20;

/** A live service whose files go from a directory to an S3, back, and there for good. */
describe('a store move of a running service', () => {
  let dir: string;
  let bucket: TestBucket;
  let env: Record<string, string>;
  let newEnv: Record<string, string>;
  let service: Service;
  let client: AssetClient;
  /** What every file has to have, by id. */
  const model = new Map<string, Bytes>();
  /** URLs that were handed out, by id of the file. */
  const urls = new Map<string, string>();
  /** Headers that readers got before the move, by id. */
  const headers = new Map<string, readonly (string | null)[]>();

  beforeAll(async () => {
    dir = await makeDir('store-move-service');
    bucket = await createBucket();
    const base = {
      ...{ ASSET_DATA_DIR: join(dir, 'a'), ASSET_AUDIT_LOG: 'off', ASSET_SWEEP_INTERVAL: '1' },
      ...{ AWS_ACCESS_KEY_ID: bucket.accessKeyId, AWS_SECRET_ACCESS_KEY: bucket.secretAccessKey },
    };
    env = {
      ...base,
      ...{ ASSET_NEXT_STORE: 's3', ASSET_NEXT_S3_BUCKET: bucket.bucket },
      ...{ ASSET_NEXT_S3_ENDPOINT: bucket.endpoint, ASSET_NEXT_S3_REGION: bucket.region },
    };
    newEnv = {
      ...base,
      ...{ ASSET_STORE: 's3', ASSET_S3_BUCKET: bucket.bucket },
      ...{ ASSET_S3_ENDPOINT: bucket.endpoint, ASSET_S3_REGION: bucket.region },
    };
    service = await startService(env);
    client = clientOf(service.url);
  });

  afterAll(async () => {
    await service?.dispose();
    await removeDir(dir);
  });

  async function move(...args: string[]) {
    const { code, stdout, stderr } = await runCli(['store', 'move', ...args], { cwd: dir, env });
    return {
      code,
      stderr,
      json: stdout.startsWith('{') ? (JSON.parse(stdout) as Record<string, unknown>) : {},
    };
  }

  async function make(size: number): Promise<string> {
    const content = randomContent(size);
    const { id } = await upload(client, content, { file: { name: `${size}.bin` } });
    model.set(id, content);
    return id;
  }

  async function urlOf(fileId: string): Promise<string> {
    return (await client.getFileUrl({ source: { case: 'fileId', value: fileId } })).url;
  }

  /** Every file has its bytes, by a download and by the URLs that were handed out before. */
  async function expectModel(): Promise<void> {
    for (const [id, content] of model) {
      expect((await download(client, id)).content.equals(content)).toBe(true);
      const fresh = await fetch(await urlOf(id));
      expect(Buffer.from(await fresh.arrayBuffer()).equals(content)).toBe(true);
      if (headers.has(id)) expect(await servedHeaders(id, fresh)).toEqual(headers.get(id));
    }
    for (const [id, url] of urls) {
      const answer = await fetch(url);
      expect([id, answer.status]).toEqual([id, 200]);
      expect(Buffer.from(await answer.arrayBuffer()).equals(model.get(id)!)).toBe(true);
    }
  }

  /** Headers of a URL's answer and the type of a download: the record has them, so they depend on no store. */
  async function servedHeaders(id: string, { headers: sent }: Response): Promise<(string | null)[]> {
    const names = ['content-type', 'content-disposition', 'cache-control', 'content-encoding'];
    const { files } = await download(client, id);
    return [...names.map((name) => sent.get(name)), files[0]!.contentType];
  }

  async function blobsInDir(): Promise<string[]> {
    const names = await readdir(join(dir, 'a', 'blobs', 'assets'), { recursive: true });
    return names.flatMap((name) => /([a-z0-9]{15})~$/.exec(name)?.[1] ?? []).sort();
  }

  it('serves every file at every step, and leaves nothing behind', async () => {
    for (const size of [0, 1, 100_000, 9 * MiB]) {
      const id = await make(size);
      urls.set(id, await urlOf(id));
    }
    const named = { name: 'Übersicht "1".txt', contentType: 'text/plain; charset=iso-8859-1' };
    const { id: text } = await upload(client, Buffer.from('Gr\xfc\xdfe', 'latin1'), { file: named });
    model.set(text, Buffer.from('Gr\xfc\xdfe', 'latin1'));
    headers.set(text, await servedHeaders(text, await fetch(await urlOf(text))));
    expect(headers.get(text)![0]).toBe('text/plain; charset=iso-8859-1');
    const content = randomContent(10 * MiB);
    const { uploadId } = await client.startUpload({
      uploadSpec: { file: {}, sizeBytes: BigInt(content.length) },
    });
    const send = async (from: number, to: number) => {
      for (let at = from; at < to; at += MiB) {
        const piece = content.subarray(at, Math.min(at + MiB, to));
        await client.uploadChunk({
          ...{ uploadId, writeOffset: BigInt(at) },
          data: { content: piece, crc32c: crc32c(piece) },
        });
      }
    };
    await send(0, 9 * MiB);

    expect((await move('status', '--json')).json).toMatchObject({
      ...{ state: 'none', copied: 0, lag: 0, cursor: '', rate: 0 },
      next_steps: ['asset-service store move start --yes'],
    });
    const started = await move('start', '--yes', '--json', '--rate', '1000');
    expect([started.code, started.json]).toEqual([
      0,
      expect.objectContaining({ state: 'following', copied: 5, rate: 1000, refused: [] }),
    ]);
    expect(await move('switch', '--yes')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('verify'),
    });
    await make(50_000);
    const verified = await move('verify', '--json');
    expect([verified.code, verified.json]).toEqual([
      0,
      expect.objectContaining({ checked: 6, resumed_from: '', damaged: [] }),
    ]);
    await expectModel();

    const switched = await move('switch', '--yes', '--json');
    expect(switched).toMatchObject({ code: 0, json: { active: 'target', replicas: 1, changed: true } });
    const there = await make(2 * MiB);
    urls.set(there, await urlOf(there));
    expect(urls.get(there)).toContain(bucket.bucket);
    await expectModel();
    // The way back stays open without a command.
    await eventually(async () => expect(await blobsInDir()).toContain(there));
    const blocked = await move('complete', '--yes');
    expect(blocked).toMatchObject({ code: 1, stderr: expect.stringContaining(uploadId) });
    await send(9 * MiB, 10 * MiB);
    await client.completeUpload({ uploadId });
    model.set(uploadId, content);
    expect(await blobsInDir()).toContain(uploadId);
    await expectModel();

    const reversed = await move('reverse', '--yes', '--json');
    expect(reversed).toMatchObject({ code: 0, json: { active: 'source' } });
    expect(await blobsInDir()).toContain(there);
    const back = await make(3_000);
    expect(await blobsInDir()).toContain(back);
    await expectModel();

    expect(await move('switch', '--yes')).toMatchObject({ code: 0 });
    await make(4_000);
    expect(await move('complete', '--yes')).toMatchObject({ code: 0 });
    await make(5_000);
    await expectModel();

    const port = service.port;
    await service.dispose();
    service = await startService(newEnv, { port });
    client = clientOf(service.url);
    await make(6_000);
    await expectModel();

    const retired = await move('retire', '--yes', '--json');
    expect(retired.stderr).toBe('');
    expect(retired).toMatchObject({ code: 0, json: { unproven: [], unknown: 0 } });
    expect(await blobsInDir()).toEqual([]);
    await expectModel();
    expect((await move('status', '--json')).json).toMatchObject({ state: 'retired', next_steps: [] });
  }, 240_000);

  it('does not serve with settings that contradict the move, and names them', async () => {
    await service.dispose();
    const { ASSET_DATA_DIR, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = newEnv;
    const old = { ASSET_DATA_DIR, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } as Record<string, string>;
    service = await startService(old, { until: 'answering' });
    await waitForHealth(service.url, 'NOT_SERVING');
    client = clientOf(service.url);
    await expect(make(10)).rejects.toMatchObject({ code: 14 });
    expect(service.log()).toContain('ASSET_STORE names another store');
    const swept = await runCli(['sweep'], { cwd: dir, env: old });
    expect(swept).toMatchObject({ code: 1, stderr: expect.stringContaining('ASSET_STORE') });
  });
});
