import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { AssetService, UploadTransport } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32c, download, randomContent, sha256, type AssetClient } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { openHouse, type House } from './support/house.ts';

const MiB = 2 ** 20;
const bytes = (content: Uint8Array) => content as Uint8Array<ArrayBuffer>;

describe('an upload over several calls', () => {
  let house: House;
  let client: AssetClient;

  beforeAll(async () => {
    house = await openHouse();
    client = house.client;
  });

  afterAll(() => house?.close());

  async function start(sizeBytes?: number, file = {}) {
    const uploadSpec = { file, ...(sizeBytes !== undefined && { sizeBytes: BigInt(sizeBytes) }) };
    return (await client.startUpload({ uploadSpec })).uploadId;
  }

  async function* messages(uploadId: string, content: Uint8Array, from: number, to: number, finish: boolean) {
    yield { firstMessage: { case: 'uploadId' as const, value: uploadId }, writeOffset: BigInt(from) };
    for (let at = from; at < to; at += MiB) {
      const piece = bytes(content.subarray(at, Math.min(at + MiB, to)));
      yield { writeOffset: BigInt(at), data: { content: piece, crc32c: crc32c(piece) } };
    }
    if (finish) {
      const checksums = { sha256: bytes(sha256(content)), crc32c: crc32c(content) };
      yield { writeOffset: BigInt(to), checksums, finishWrite: true };
    }
  }

  it('takes chunks and streams in turn, over the borders of parts, and becomes one file', async () => {
    const content = randomContent(17 * MiB + 77);
    const uploadId = await start(content.length, { name: 'turns.bin' });
    await client.uploadChunk({ uploadId, data: { content: bytes(content.subarray(0, 1)) } });
    await client.upload(messages(uploadId, content, 1, 9 * MiB, false));
    const piece = bytes(content.subarray(9 * MiB, 10 * MiB));
    const chunk = await client.uploadChunk({
      uploadId,
      writeOffset: BigInt(9 * MiB),
      data: { content: piece },
    });
    expect(chunk.writeStatus).toMatchObject({ case: 'persistedSize', value: BigInt(10 * MiB) });
    expect((await failureOf(client.getFile({ fileId: uploadId }))).code).toBe('NOT_FOUND');
    const { writeStatus } = await client.upload(messages(uploadId, content, 10 * MiB, content.length, true));
    expect(writeStatus).toMatchObject({
      case: 'file',
      value: { id: uploadId, name: 'turns.bin', sizeBytes: BigInt(content.length) },
    });
    expect((await download(client, uploadId)).content.equals(content)).toBe(true);
    expect((await house.blobs()).filter((name) => name.includes(uploadId))).toHaveLength(1);
  });

  it('takes parts that go straight to the store, and verifies them as one', async () => {
    const content = randomContent(9 * MiB + 5);
    const uploadSpec = { file: { name: 'direct.bin' }, sizeBytes: BigInt(content.length) };
    const begun = await client.startUpload({ uploadSpec, transport: UploadTransport.DIRECT });
    const { uploadId } = begun;
    const size = Number(begun.partSizeBytes);
    const partNumbers = Array.from({ length: Math.ceil(content.length / size) }, (_none, i) => i + 1);
    expect(await failureOf(client.completeUpload({ uploadId }))).toMatchObject({
      reason: 'UPLOAD_PARTS_MISSING',
    });
    const { parts } = await client.signUploadParts({ uploadId, partNumbers });
    for (const { partNumber, url, headers } of parts) {
      const body = bytes(content.subarray((partNumber - 1) * size, partNumber * size));
      expect((await fetch(url, { method: 'PUT', headers, body })).status).toBe(200);
    }
    const { file } = await client.completeUpload({ uploadId, checksums: { sha256: bytes(sha256(content)) } });
    expect(file?.checksums?.crc32c).toBe(crc32c(content));
    expect((await download(client, uploadId)).content.equals(content)).toBe(true);
  });

  it('returns the offset to continue from', async () => {
    const uploadId = await start();
    await client.uploadChunk({ uploadId, data: { content: bytes(randomContent(10)) } });
    const wrong = client.uploadChunk({
      uploadId,
      writeOffset: 3n,
      data: { content: bytes(randomContent(10)) },
    });
    expect(await failureOf(wrong)).toMatchObject({
      code: 'OUT_OF_RANGE',
      reason: 'WRITE_OFFSET_MISMATCH',
      metadata: { persisted_size: '10' },
    });
  });

  it('answers a finished upload with its file, whatever is sent', async () => {
    const content = randomContent(1000);
    const uploadId = await start();
    await client.uploadChunk({ uploadId, data: { content: bytes(content) }, finishWrite: true });
    const answers = [
      await client.uploadChunk({ uploadId, writeOffset: 5n, data: { content: bytes(content) } }),
      await client.getUpload({ uploadId }),
      await client.upload(messages(uploadId, content, 0, 1000, true)),
    ];
    for (const { writeStatus } of answers)
      expect(writeStatus).toMatchObject({ case: 'file', value: { id: uploadId } });
    expect((await client.completeUpload({ uploadId })).file?.id).toBe(uploadId);
    expect(await failureOf(client.cancelUpload({ uploadId }))).toMatchObject({ reason: 'UPLOAD_FINISHED' });
  });

  it('does not take a finished upload for one with another checksum', async () => {
    const content = randomContent(1000);
    const other = { sha256: bytes(sha256(randomContent(1000))) };
    const uploadId = await start();
    await client.uploadChunk({ uploadId, data: { content: bytes(content) }, finishWrite: true });
    const firstMessage = { case: 'uploadId' as const, value: uploadId };
    const stream = async function* () {
      yield { firstMessage, checksums: other, finishWrite: true };
    };
    const mismatched = [
      () => client.completeUpload({ uploadId, checksums: other }),
      () => client.completeUpload({ uploadId, checksums: { crc32c: (crc32c(content) ^ 1) >>> 0 } }),
      () => client.uploadChunk({ uploadId, checksums: other, finishWrite: true }),
      () => client.upload(stream()),
    ];
    for (const call of mismatched) {
      expect(await failureOf(call())).toMatchObject({
        ...{ code: 'INVALID_ARGUMENT', reason: 'CHECKSUM_MISMATCH' },
      });
    }
    const right = { sha256: bytes(sha256(content)), crc32c: crc32c(content) };
    expect((await client.completeUpload({ uploadId, checksums: right })).file?.id).toBe(uploadId);
    expect((await download(client, uploadId)).content.equals(content)).toBe(true);
  });

  it('lets one of several writers go on and aborts the others', async () => {
    const content = randomContent(2 * MiB);
    const uploadId = await start();
    const race = await Promise.allSettled(
      Array.from({ length: 4 }, () =>
        client.uploadChunk({ uploadId, data: { content: bytes(content.subarray(0, MiB)) } }),
      ),
    );
    const lost = race.flatMap((result) => (result.status === 'rejected' ? [result.reason as Error] : []));
    expect(lost.length).toBeLessThan(4);
    for (const error of lost) {
      expect(['ABORTED', 'OUT_OF_RANGE']).toContain((await failureOf(Promise.reject(error))).code);
    }
    const { writeStatus } = await client.getUpload({ uploadId });
    expect(writeStatus).toMatchObject({ case: 'persistedSize', value: BigInt(MiB) });
    await client.upload(messages(uploadId, content, MiB, content.length, true));
    expect((await download(client, uploadId)).content.equals(content)).toBe(true);
  });

  it('works by unary calls in JSON over HTTP/1.1, as a browser makes them', async () => {
    const transport = createConnectTransport({
      baseUrl: house.url,
      httpVersion: '1.1',
      useBinaryFormat: false,
    });
    const browser = createClient(AssetService, transport);
    const { uploadId } = await browser.startUpload({ uploadSpec: { file: { name: 'b.txt' } } });
    const data = { content: bytes(Buffer.from('from a browser')) };
    const { writeStatus } = await browser.uploadChunk({ uploadId, data, finishWrite: true });
    expect(writeStatus).toMatchObject({ case: 'file', value: { contentType: 'text/plain', sizeBytes: 14n } });
  });

  it('refuses to sign parts that the file does not have', async () => {
    const uploadSpec = { file: {}, sizeBytes: 10n };
    const { uploadId } = await client.startUpload({ uploadSpec, transport: UploadTransport.DIRECT });
    const failure = await failureOf(client.signUploadParts({ uploadId, partNumbers: [2] }));
    expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it.each([
    ['a wrong checksum', { checksums: { crc32c: 1 } }, 'CHECKSUM_MISMATCH'],
    ['too few bytes', {}, 'SIZE_MISMATCH'],
  ])('stores nothing with %s', async (_what, more, reason) => {
    const uploadId = await start(reason === 'SIZE_MISMATCH' ? 2000 : 1000);
    const chunk = { uploadId, data: { content: bytes(randomContent(1000)) }, finishWrite: true, ...more };
    expect(await failureOf(client.uploadChunk(chunk))).toMatchObject({ code: 'INVALID_ARGUMENT', reason });
    expect(await failureOf(client.getUpload({ uploadId }))).toMatchObject({ reason: 'UPLOAD_NOT_FOUND' });
    expect(await failureOf(client.getFile({ fileId: uploadId }))).toMatchObject({ code: 'NOT_FOUND' });
    expect((await house.blobs()).filter((name) => name.includes(uploadId))).toEqual([]);
  });

  it('detects the type of a file that arrives byte by byte', async () => {
    const tar = Buffer.alloc(MiB / 2);
    tar.write('ustar', 257);
    const uploadId = await start(tar.length, { contentType: 'image/png' });
    async function* byteByByte() {
      yield { firstMessage: { case: 'uploadId' as const, value: uploadId } };
      for (let at = 0; at < 300; at++) {
        yield { writeOffset: BigInt(at), data: { content: bytes(new Uint8Array([tar[at]!])) } };
      }
      yield {
        writeOffset: 300n,
        data: { content: bytes(new Uint8Array(tar.subarray(300))) },
        finishWrite: true,
      };
    }
    const failure = await failureOf(client.upload(byteByByte()));
    expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'CONTENT_TYPE_MISMATCH' });
  });

  it('cancels, and removes what is there', async () => {
    const content = randomContent(9 * MiB);
    const uploadId = await start();
    await client.upload(messages(uploadId, content, 0, content.length, false));
    await client.cancelUpload({ uploadId });
    expect(await failureOf(client.getUpload({ uploadId }))).toMatchObject({ reason: 'UPLOAD_NOT_FOUND' });
    expect(await failureOf(client.cancelUpload({ uploadId }))).toMatchObject({ code: 'NOT_FOUND' });
    expect((await house.blobs()).filter((name) => name.includes(uploadId))).toEqual([]);
  });

  it('refuses a direct upload whose bytes differ from its description, and keeps nothing', async () => {
    const content = Buffer.concat([Buffer.from('MZ'), randomContent(5000)]);
    const uploadSpec = { file: { contentType: 'image/png' }, sizeBytes: BigInt(content.length) };
    const { uploadId } = await client.startUpload({ uploadSpec, transport: UploadTransport.DIRECT });
    const { parts } = await client.signUploadParts({ uploadId, partNumbers: [1] });
    await fetch(parts[0]!.url, { method: 'PUT', headers: parts[0]!.headers, body: content });
    expect(await failureOf(client.completeUpload({ uploadId }))).toMatchObject({
      reason: 'CONTENT_TYPE_MISMATCH',
    });
    expect(await failureOf(client.getUpload({ uploadId }))).toMatchObject({ code: 'NOT_FOUND' });
    expect((await house.blobs()).filter((name) => name.includes(uploadId))).toEqual([]);
  });
});

describe('a sweep', () => {
  let house: House;
  let client: AssetClient;

  beforeAll(async () => {
    house = await openHouse({ env: { ASSET_UPLOAD_SESSION_TTL: '1', ASSET_RESERVATION_TTL: '1' } });
    client = house.client;
  });

  afterAll(() => house?.close());

  it('removes an abandoned upload, and nothing else', async () => {
    const { uploadId: kept } = await client.startUpload({ uploadSpec: { file: { name: 'kept' } } });
    await client.uploadChunk({
      uploadId: kept,
      data: { content: bytes(randomContent(100)) },
      finishWrite: true,
    });
    const { uploadId } = await client.startUpload({ uploadSpec: { file: {} } });
    const content = randomContent(6 * MiB);
    for (let at = 0; at < content.length; at += 2 * MiB) {
      const data = { content: bytes(content.subarray(at, at + 2 * MiB)) };
      await client.uploadChunk({ uploadId, writeOffset: BigInt(at), data });
    }
    const before = await house.blobs();
    expect(before.length).toBeGreaterThan(1);
    const report = await house.sweep();
    expect(report).toMatchObject({ uploads: 0, failures: [] });
    expect((await house.blobs()).sort()).toEqual(before.sort());
    await sleep(1_100);
    expect(await house.sweep()).toMatchObject({ uploads: 1, failures: [] });
    expect(await failureOf(client.getUpload({ uploadId }))).toMatchObject({ reason: 'UPLOAD_NOT_FOUND' });
    // What it had begun to store may be on its way for as long as a reservation lives.
    await sleep(1_100);
    await house.sweep();
    expect((await house.blobs()).map((name) => name.replace('~', ''))).toEqual([kept]);
    expect((await download(client, kept)).content).toHaveLength(100);
  });
});
