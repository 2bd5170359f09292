import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { UploadTransport } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { download, randomContent, sha256, type AssetClient } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { openHouse, type House } from './support/house.ts';

const MiB = 2 ** 20;
const bytes = (content: Uint8Array) => content as Uint8Array<ArrayBuffer>;

let house: House;
let client: AssetClient;

beforeAll(async () => {
  house = await openHouse({
    identities: true,
    policies: {
      usages: {
        small: { maxSizeBytes: 1000 },
        counted: { quota: { maxBytesPerOwner: 500 } },
      },
      default: {},
    },
  });
  client = house.client;
});

afterAll(() => house?.close());

async function start(file = {}, sizeBytes?: number): Promise<string> {
  const uploadSpec = { file, ...(sizeBytes !== undefined && { sizeBytes: BigInt(sizeBytes) }) };
  return (await client.startUpload({ uploadSpec })).uploadId;
}

describe('GetUpload', () => {
  it('tells what the upload will be and when it began', async () => {
    const before = Date.now();
    const file = {
      ...{ name: 'a.txt', contentType: 'text/plain', owner: 'ann', usage: 'letters' },
      relations: { case: { ids: ['c1', 'c2'] } },
      attributes: { pages: 3 },
    };
    const uploadSpec = { file, sizeBytes: 9n, requestId: 'tells-1' };
    const { uploadId } = await client.startUpload({ uploadSpec });
    const status = await client.getUpload({ uploadId });
    expect(status).toMatchObject({ uploadSpec, transport: UploadTransport.THROUGH_SERVICE });
    expect(timestampDate(status.createTime!).getTime()).toBeGreaterThanOrEqual(before);
    expect(timestampDate(status.createTime!).getTime()).toBeLessThanOrEqual(Date.now());
    expect(status.partSizeBytes).toBeGreaterThan(0n);

    // It stays when bytes come, also in a chunk.
    await client.uploadChunk({ uploadId, data: { content: bytes(Buffer.from('text')) } });
    const later = await client.getUpload({ uploadId });
    expect(later.createTime).toEqual(status.createTime);
    expect(later.uploadSpec).toEqual(status.uploadSpec);
    const data = { content: bytes(Buffer.from(' more')) };
    await client.uploadChunk({ uploadId, writeOffset: 4n, data, finishWrite: true });
    const finished = await client.getUpload({ uploadId });
    expect(finished).toMatchObject({ uploadSpec: { file, sizeBytes: 9n, requestId: '' } });
    expect(finished.createTime).toEqual((await client.getFile({ fileId: uploadId })).file!.createTime);
  });

  it('tells whose the file will be if the policy decides it, and nothing of a file that may not be read', async () => {
    const ann = await house.as({ sub: 'ann' });
    const { uploadId } = await ann.startUpload({ uploadSpec: { file: { name: 'mine' } } });
    expect((await ann.getUpload({ uploadId })).uploadSpec).toMatchObject({ file: { owner: 'ann' } });
    const bob = await house.as({ sub: 'bob' });
    expect(await failureOf(bob.getUpload({ uploadId }))).toMatchObject({ reason: 'UPLOAD_NOT_FOUND' });
    await ann.uploadChunk({ uploadId, finishWrite: true });
    await client.updateMetadata({
      file: { id: uploadId, owner: 'bob', usage: 'small' },
      updateMask: { paths: ['owner', 'usage'] },
    });
    const { writeStatus, uploadSpec, createTime } = await ann.getUpload({ uploadId });
    expect(writeStatus).toMatchObject({ case: 'file', value: { id: uploadId, name: '' } });
    expect({ uploadSpec, createTime }).toEqual({ uploadSpec: undefined, createTime: undefined });
  });

  it('tells which parts of a direct upload are stored', async () => {
    const content = randomContent(9 * MiB);
    const uploadSpec = { file: {}, sizeBytes: BigInt(content.length) };
    const begun = await client.startUpload({ uploadSpec, transport: UploadTransport.DIRECT });
    const { uploadId } = begun;
    const size = Number(begun.partSizeBytes);
    const status = () => client.getUpload({ uploadId });
    expect(await status()).toMatchObject({
      transport: UploadTransport.DIRECT,
      partSizeBytes: begun.partSizeBytes,
      storedPartNumbers: [],
    });
    const { parts } = await client.signUploadParts({ uploadId, partNumbers: [2, 1] });
    const put = async ({ url, headers, partNumber }: (typeof parts)[number]) => {
      const body = bytes(content.subarray((partNumber - 1) * size, partNumber * size));
      expect((await fetch(url, { method: 'PUT', headers, body })).status).toBe(200);
    };
    await put(parts[0]!);
    expect((await status()).storedPartNumbers).toEqual([2]);
    await put(parts[1]!);
    expect((await status()).storedPartNumbers).toEqual([1, 2]);
    await client.completeUpload({ uploadId });
    expect((await status()).storedPartNumbers).toEqual([]);
  });

  it('reads the state of an earlier version, which kept neither time nor request id', async () => {
    const uploadId = await start({ name: 'old' });
    const sqlite = new DatabaseSync(join(house.dataDir, 'catalog.sqlite'));
    const row = sqlite.prepare('SELECT state FROM uploads WHERE id = ?').get(uploadId);
    const { state } = row as { readonly state: string };
    const { createdAt, stored, ...old } = JSON.parse(state) as Record<string, unknown>;
    expect({ createdAt, stored }).toEqual({ createdAt: expect.any(Number), stored: expect.anything() });
    const listed = JSON.stringify({ ...old, version: 1, parts: [] });
    sqlite.prepare('UPDATE uploads SET state = ? WHERE id = ?').run(listed, uploadId);
    sqlite.close();
    const status = await client.getUpload({ uploadId });
    expect(status).toMatchObject({ uploadSpec: { file: { name: 'old' } } });
    expect(status.createTime).toBeUndefined();
    const data = { content: bytes(Buffer.from('12345')) };
    const chunk = await client.uploadChunk({ uploadId, data, sizeBytes: 5n, finishWrite: true });
    expect(chunk.writeStatus.case).toBe('file');
  });
});

describe('a size that becomes known later', () => {
  it.each(['UploadChunk', 'Upload'])('is kept by %s and counts from then on', async (by) => {
    const content = randomContent(3 * MiB);
    const uploadId = await start();
    await client.uploadChunk({ uploadId, data: { content: bytes(content.subarray(0, MiB)) } });
    expect((await client.getUpload({ uploadId })).uploadSpec!.sizeBytes).toBeUndefined();
    const sizeBytes = BigInt(content.length);
    const data = { content: bytes(content.subarray(MiB, 2 * MiB)) };
    const writeOffset = BigInt(MiB);
    if (by === 'UploadChunk') await client.uploadChunk({ uploadId, writeOffset, sizeBytes, data });
    else {
      const firstMessage = { case: 'uploadId' as const, value: uploadId };
      await client.upload(
        (async function* () {
          yield { firstMessage, writeOffset, sizeBytes, data };
        })(),
      );
    }
    const status = await client.getUpload({ uploadId });
    expect(status.uploadSpec!.sizeBytes).toBe(sizeBytes);
    expect(status.writeStatus).toMatchObject({ value: BigInt(2 * MiB) });
    // Of too many bytes none is kept; too few cannot be the end.
    const more = { content: bytes(randomContent(MiB + 1)) };
    const tooMany = client.uploadChunk({ uploadId, writeOffset: BigInt(2 * MiB), data: more });
    expect(await failureOf(tooMany)).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'SIZE_MISMATCH' });
    const last = { content: bytes(content.subarray(2 * MiB)) };
    await client.uploadChunk({ uploadId, writeOffset: BigInt(2 * MiB), data: last, sizeBytes });
    const { file } = await client.completeUpload({ uploadId, checksums: { sha256: bytes(sha256(content)) } });
    expect(file!.sizeBytes).toBe(sizeBytes);
    expect((await download(client, uploadId)).content.equals(content)).toBe(true);
  });

  it('may come alone, and again', async () => {
    const uploadId = await start();
    await client.uploadChunk({ uploadId, sizeBytes: 3n });
    expect((await client.getUpload({ uploadId })).uploadSpec!.sizeBytes).toBe(3n);
    const data = { content: bytes(Buffer.from('abc')) };
    const { writeStatus } = await client.uploadChunk({ uploadId, sizeBytes: 3n, data, finishWrite: true });
    expect(writeStatus).toMatchObject({ case: 'file', value: { sizeBytes: 3n } });
  });

  it('may be 0', async () => {
    const uploadId = await start();
    const { writeStatus } = await client.uploadChunk({ uploadId, sizeBytes: 0n, finishWrite: true });
    expect(writeStatus).toMatchObject({ case: 'file', value: { sizeBytes: 0n } });
  });

  it.each([
    ['contradicts the spec', 20, 'small', 30n, 'SIZE_MISMATCH'],
    ['is smaller than what came', undefined, 'small', 9n, 'SIZE_MISMATCH'],
    ['is smaller than what comes with it', undefined, 'small', 14n, 'SIZE_MISMATCH'],
    ['is more than the usage allows', undefined, 'small', 1001n, 'FILE_TOO_LARGE'],
    ['is more than the store can hold', undefined, '', 2n ** 62n, 'FILE_TOO_LARGE'],
    ['exceeds the quota', undefined, 'counted', 501n, 'QUOTA_EXCEEDED'],
  ])('that %s changes nothing', async (what, spec, usage, sizeBytes, reason) => {
    const uploadId = await start({ usage, owner: `o-${sizeBytes}` }, spec);
    const ten = { content: bytes(Buffer.from('0123456789')) };
    await client.uploadChunk({ uploadId, data: ten });
    const data = { content: bytes(Buffer.from('01234')) };
    const code = reason === 'QUOTA_EXCEEDED' ? 'RESOURCE_EXHAUSTED' : 'INVALID_ARGUMENT';
    const chunk = client.uploadChunk({ uploadId, writeOffset: 10n, data, sizeBytes });
    expect(await failureOf(chunk)).toMatchObject({ code, reason });
    const firstMessage = { case: 'uploadId' as const, value: uploadId };
    const stream = client.upload(
      (async function* () {
        yield { firstMessage, writeOffset: 10n, sizeBytes };
        yield { writeOffset: 10n, data };
      })(),
    );
    expect(await failureOf(stream)).toMatchObject({ code, reason });
    const status = await client.getUpload({ uploadId });
    if (what !== 'is smaller than what comes with it') {
      expect(status.writeStatus).toMatchObject({ case: 'persistedSize', value: 10n });
      expect(status.uploadSpec!.sizeBytes).toBe(spec === undefined ? undefined : BigInt(spec));
    }
  });

  it('counts in the quota of the owner from then on', async () => {
    const uploadId = await start({ usage: 'counted', owner: 'carl' });
    await client.uploadChunk({ uploadId, sizeBytes: 400n });
    const second = client.startUpload({
      uploadSpec: { file: { usage: 'counted', owner: 'carl' }, sizeBytes: 101n },
    });
    expect(await failureOf(second)).toMatchObject({ reason: 'QUOTA_EXCEEDED' });
  });

  it('of a finished upload is not looked at; of a direct one it is refused', async () => {
    const uploadId = await start();
    await client.uploadChunk({ uploadId, finishWrite: true });
    expect((await client.uploadChunk({ uploadId, sizeBytes: 7n })).writeStatus.case).toBe('file');
    const uploadSpec = { file: {}, sizeBytes: 7n };
    const direct = await client.startUpload({ uploadSpec, transport: UploadTransport.DIRECT });
    const chunk = client.uploadChunk({ uploadId: direct.uploadId, sizeBytes: 7n });
    expect(await failureOf(chunk)).toMatchObject({ reason: 'UPLOAD_TRANSPORT' });
  });

  it('stands in the first message beside the id alone', async () => {
    const file = { file: {} };
    const inNew = client.upload(
      (async function* () {
        const firstMessage = { case: 'uploadSpec' as const, value: file };
        yield { firstMessage, sizeBytes: 0n, finishWrite: true };
      })() as never,
    );
    expect(await failureOf(inNew)).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' });
    const uploadId = await start();
    const later = client.upload(
      (async function* () {
        yield { firstMessage: { case: 'uploadId' as const, value: uploadId } };
        yield { sizeBytes: 0n, finishWrite: true };
      })(),
    );
    expect(await failureOf(later)).toMatchObject({ reason: 'UPLOAD_MESSAGE_ORDER' });
    expect((await client.getUpload({ uploadId })).writeStatus.case).toBe('persistedSize');
  });

  it('goes over the wire in JSON, as a browser sends it', async () => {
    const authorization = `Bearer ${await house.token({ sub: 'wire' })}`;
    const call = async (method: string, body: object) => {
      const response = await fetch(`${house.url}/asset.v1.AssetService/${method}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization },
        body: JSON.stringify(body),
      });
      return (await response.json()) as Record<string, unknown>;
    };
    const { uploadId } = await call('StartUpload', { uploadSpec: { file: { name: 'wire' } } });
    const content = Buffer.from('abc').toString('base64');
    await call('UploadChunk', { uploadId, data: { content }, sizeBytes: '6' });
    expect(await call('GetUpload', { uploadId })).toMatchObject({
      persistedSize: '3',
      uploadSpec: { sizeBytes: '6', file: { name: 'wire', owner: 'wire' } },
      createTime: expect.stringMatching(/^20.*Z$/),
    });
  });
});
