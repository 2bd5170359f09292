import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Code } from '@connectrpc/connect';
import { UploadTransport } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { setTimeout as sleep } from 'node:timers/promises';
import { startService, type Service } from '../support/service.ts';
import { clientOf, crc32c, download, randomContent, sha256, type AssetClient } from './support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from './support/failures.ts';
import { EMBEDDED, POCKETBASE, type Setup } from './support/setups.ts';

const MiB = 2 ** 20;
const bytes = (content: Uint8Array) => content as Uint8Array<ArrayBuffer>;

/** The rules are in test/use-cases; these need a connection that breaks, the store of an S3, or replicas. */
describe.each([EMBEDDED, POCKETBASE])('uploads over several calls on $name', (kind) => {
  let setup: Setup;
  let service: Service;
  let replica: Service;
  let client: AssetClient;
  /** The second replica where there can be one, else the same. */
  let other: AssetClient;

  beforeAll(async () => {
    setup = await kind.open();
    const env = { ...setup.env, ASSET_RESERVATION_TTL: '1', ASSET_SWEEP_INTERVAL: '0.5' };
    service = await startService(env);
    replica = kind.shared ? await startService(env) : service;
    client = clientOf(service.url);
    other = clientOf(replica.url);
  });

  afterAll(async () => {
    await service.dispose();
    if (kind.shared) await replica.dispose();
    await setup.dispose();
  });

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

  async function persisted(uploadId: string, at = other): Promise<number> {
    const { writeStatus } = await at.getUpload({ uploadId });
    expect(writeStatus.case).toBe('persistedSize');
    return Number(writeStatus.value);
  }

  it('takes a file in chunks of any size, on any replica', async () => {
    const content = randomContent(3 * MiB + 12_345);
    const uploadId = await start(content.length, { name: 'chunks.bin' });
    const sizes = [0, 1, 700_000, 2 * MiB, 1];
    let offset = 0;
    for (const [index, size] of [...sizes, content.length - sizes.reduce((a, b) => a + b)].entries()) {
      const piece = bytes(content.subarray(offset, offset + size));
      const { writeStatus } = await [client, other][index % 2]!.uploadChunk({
        uploadId,
        writeOffset: BigInt(offset),
        data: { content: piece, crc32c: crc32c(piece) },
      });
      offset += size;
      expect(writeStatus).toMatchObject({ case: 'persistedSize', value: BigInt(offset) });
      expect(await persisted(uploadId)).toBe(offset);
    }
    expect((await failureOf(client.getFile({ fileId: uploadId }))).code).toBe('NOT_FOUND');
    const { file } = await other.completeUpload({ uploadId, checksums: { sha256: bytes(sha256(content)) } });
    expect(file).toMatchObject({ id: uploadId, name: 'chunks.bin', sizeBytes: BigInt(content.length) });
    expect((await download(client, uploadId)).content.equals(content)).toBe(true);
    // Nothing but the blob stays behind.
    expect((await setup.blobs()).filter((name) => name.includes(uploadId))).toHaveLength(1);
  });

  it('goes on by stream after streams that ended and broke, over part boundaries', async () => {
    const content = randomContent(21 * MiB + 77);
    const uploadId = await start(content.length);
    const first = await client.upload(messages(uploadId, content, 0, 9 * MiB + 0, false));
    expect(first.writeStatus).toMatchObject({ case: 'persistedSize', value: BigInt(9 * MiB) });

    const breaking = new AbortController();
    async function* broken() {
      yield* messages(uploadId, content, 9 * MiB, 19 * MiB, false);
      // What the network has not taken yet is lost with the call.
      await sleep(500);
      breaking.abort();
      await new Promise(() => undefined);
    }
    await expect(client.upload(broken(), { signal: breaking.signal })).rejects.toMatchObject({
      code: Code.Canceled,
    });
    const kept = await eventually(async () => {
      const size = await persisted(uploadId);
      expect(size).toBeGreaterThan(16 * MiB);
      return size;
    });
    const { writeStatus } = await other.upload(messages(uploadId, content, kept, content.length, true));
    expect(writeStatus.case).toBe('file');
    expect((await download(client, uploadId)).content.equals(content)).toBe(true);
    const file = (await client.getFile({ fileId: uploadId })).file!;
    expect(Buffer.from(file.checksums!.sha256).equals(sha256(content))).toBe(true);
    expect(file.checksums!.crc32c).toBe(crc32c(content));
    expect((await setup.blobs()).filter((name) => name.includes(uploadId))).toHaveLength(1);
  });

  it('keeps its description, and a size that becomes known later, for every replica', async () => {
    const file = { name: 'later.txt', owner: 'ann', attributes: {} };
    const uploadId = await start(undefined, file);
    const data = { content: bytes(Buffer.from('abc')) };
    await client.uploadChunk({ uploadId, data, sizeBytes: 6n });
    const status = await other.getUpload({ uploadId });
    expect(status.uploadSpec).toMatchObject({ file, sizeBytes: 6n });
    expect(status.createTime).toBeDefined();
    const end = { uploadId, writeOffset: 3n, data, finishWrite: true };
    expect(await failureOf(other.uploadChunk({ ...end, sizeBytes: 7n }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      reason: 'SIZE_MISMATCH',
    });
    expect((await other.uploadChunk(end)).writeStatus).toMatchObject({
      case: 'file',
      value: { id: uploadId },
    });
  });

  if (!kind.shared) return;

  it('lets one of two writers go on and aborts the other', async () => {
    const content = randomContent(4 * MiB);
    const uploadId = await start();
    const race = await Promise.allSettled(
      [client, other, client, other].map((one) =>
        one.uploadChunk({ uploadId, writeOffset: 0n, data: { content: bytes(content.subarray(0, MiB)) } }),
      ),
    );
    const lost = race
      .filter((result) => result.status === 'rejected')
      .map((result) => result.reason as Error);
    expect(lost.length).toBeLessThan(4);
    for (const error of lost) {
      const { code } = await failureOf(Promise.reject(error));
      expect(['ABORTED', 'OUT_OF_RANGE']).toContain(code);
    }
    const size = await persisted(uploadId);
    expect(size).toBe(MiB);
    await client.upload(messages(uploadId, content, size, content.length, true));
    expect((await download(client, uploadId)).content.equals(content)).toBe(true);
  });

  it('sends parts straight to the store', async () => {
    const content = randomContent(9 * MiB + 5);
    const uploadSpec = { file: { name: 'direct.bin' }, sizeBytes: BigInt(content.length) };
    const { uploadId, partSizeBytes } = await client.startUpload({
      uploadSpec,
      transport: UploadTransport.DIRECT,
    });
    const partSize = Number(partSizeBytes);
    const count = Math.ceil(content.length / partSize);
    const partNumbers = Array.from({ length: count }, (_none, index) => index + 1);
    expect(await failureOf(client.completeUpload({ uploadId }))).toMatchObject({
      reason: 'UPLOAD_PARTS_MISSING',
    });
    expect(await failureOf(client.signUploadParts({ uploadId, partNumbers: [count + 1] }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    const { parts } = await other.signUploadParts({ uploadId, partNumbers });
    for (const { partNumber, url, headers } of parts) {
      const body = bytes(content.subarray((partNumber - 1) * partSize, partNumber * partSize));
      const answer = await fetch(url, { method: 'PUT', headers, body });
      expect(answer.status).toBe(200);
    }
    expect((await failureOf(client.getFile({ fileId: uploadId }))).code).toBe('NOT_FOUND');
    const { file } = await client.completeUpload({ uploadId, checksums: { sha256: bytes(sha256(content)) } });
    expect(file?.checksums?.crc32c).toBe(crc32c(content));
    expect((await download(other, uploadId)).content.equals(content)).toBe(true);
  });
});
