import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from '@connectrpc/connect';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import {
  crc32c,
  download,
  messagesOf,
  randomContent,
  send,
  sha256,
  spec,
  TRANSPORTS,
  upload,
  type AssetClient,
  type UploadMessage,
} from '../e2e/support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { openHouse, type House } from './support/house.ts';

const MiB = 2 ** 20;
const PART = 5 * MiB;
const PNG = new Uint8Array(
  Buffer.from('89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489', 'hex'),
);

describe('an upload in one call', () => {
  let house: House;
  let client: AssetClient;

  beforeAll(async () => {
    house = await openHouse({ env: { ASSET_UPLOAD_PART_SIZE: String(PART) } });
    client = house.client;
  });

  afterAll(() => house?.close());

  /** The upload fails with this, and leaves neither a file nor bytes. */
  async function refused(
    messages: Iterable<UploadMessage> | AsyncIterable<UploadMessage>,
    code: string,
    reason: string,
    metadata: Record<string, string> = {},
  ): Promise<void> {
    const before = await contents();
    expect(await failureOf(send(client, messages))).toMatchObject({ code, reason, metadata });
    // A part that was on its way when the upload failed goes as soon as it has come.
    await eventually(async () => expect(await contents()).toEqual(before));
  }

  async function contents() {
    const { files } = await client.listFiles({ pageSize: 1000, showDeleted: true });
    return { files: files.map(({ id }) => id), blobs: (await house.blobs()).sort() };
  }

  it.each([0, 1, 4100, PART - 1, PART, PART + 1, 2 * PART + 1])(
    'of %i bytes becomes a file of them',
    async (size) => {
      const content = randomContent(size);
      for (const withSize of [true, false]) {
        const file = await upload(client, content, { withSize, file: { name: 'a.bin' } });
        expect(file).toMatchObject({ name: 'a.bin', sizeBytes: BigInt(size) });
        expect(Buffer.from(file.checksums!.sha256).equals(sha256(content))).toBe(true);
        expect(file.checksums!.crc32c).toBe(crc32c(content));
        expect((await download(client, file.id)).content.equals(content)).toBe(true);
      }
    },
  );

  it('keeps what the caller says of the file, and sets the rest', async () => {
    const before = Date.now() - 1;
    const relations = { project: { ids: ['project0'] } };
    const attributes = { title: 'Äpfel', width: 640, extra: { a: [1, null, 'x'] } };
    const described = { name: 'Bericht 🍏.png', contentType: 'image/png', owner: 'ann', usage: 'avatar' };
    const file = await upload(client, PNG, {
      file: { ...described, relations, attributes, id: 'mine', etag: 'mine', createdBy: 'me', sizeBytes: 7n },
    });
    expect(file).toMatchObject({ ...described, attributes, sizeBytes: BigInt(PNG.length) });
    expect(file.relations['project']?.ids).toEqual(['project0']);
    expect(file.id).not.toBe('mine');
    expect(file.etag).not.toBe('mine');
    expect(file.createdBy).not.toBe('me');
    expect(Number(file.createTime!.seconds) * 1000).toBeGreaterThan(before - 2000);
    expect(file.deleteTime).toBeUndefined();
    expect((await client.getFile({ fileId: file.id })).file).toEqual(file);
  });

  it('takes a whole file in one message', async () => {
    const content = randomContent(1000);
    const file = await send(client, [{ ...spec(), data: { content }, finishWrite: true }]);
    expect((await download(client, file.id)).content.equals(content)).toBe(true);
  });

  it.each(['first', 'last'])('takes the checksums of the whole file in the %s message', async (where) => {
    const content = randomContent(3 * MiB);
    const right = { sha256: sha256(content), crc32c: crc32c(content) };
    const wrongSha = { sha256: sha256(content.subarray(1)) };
    const wrongCrc = { crc32c: crc32c(content.subarray(1)) };
    const messages = (checksums: UploadMessage['checksums']): UploadMessage[] => {
      const first: UploadMessage = { ...spec(), data: { content: content.subarray(0, MiB) } };
      const middle: UploadMessage = {
        writeOffset: BigInt(MiB),
        data: { content: content.subarray(MiB, 2 * MiB) },
      };
      const last: UploadMessage = {
        writeOffset: BigInt(2 * MiB),
        data: { content: content.subarray(2 * MiB) },
        finishWrite: true,
      };
      (where === 'first' ? first : last).checksums = checksums!;
      return [first, middle, last];
    };
    await send(client, messages(right));
    const wrong = ['INVALID_ARGUMENT', 'CHECKSUM_MISMATCH'] as const;
    await refused(messages(wrongSha), ...wrong, { checksum: 'sha256' });
    await refused(messages(wrongCrc), ...wrong, { checksum: 'crc32c' });
  });

  it('refuses checksums in the first and in the last message that do not agree', async () => {
    const content = randomContent(10);
    await refused(
      [
        { ...spec(), checksums: { crc32c: 1 } },
        { data: { content }, checksums: { crc32c: crc32c(content) }, finishWrite: true },
      ],
      'INVALID_ARGUMENT',
      'CHECKSUM_MISMATCH',
    );
  });

  it('refuses a piece that does not have its crc32c', async () => {
    const content = randomContent(2 * PART + 10);
    const messages = [...messagesOf(content)];
    messages[15]!.data!.crc32c = crc32c(content);
    await refused(messages, 'INVALID_ARGUMENT', 'CHECKSUM_MISMATCH', { checksum: 'crc32c' });
  });

  it.each([
    ['too far', 5n],
    ['too near', 0n],
  ])('refuses a write_offset that is %s, and says where to go on', async (_, writeOffset) => {
    const content = randomContent(4);
    await refused(
      [
        { ...spec(), data: { content } },
        { writeOffset, data: { content }, finishWrite: true },
      ],
      'OUT_OF_RANGE',
      'WRITE_OFFSET_MISMATCH',
      { persisted_size: '4' },
    );
  });

  it('refuses a stream that ends without finish_write', async () => {
    const content = randomContent(2 * PART + 5);
    await refused([...messagesOf(content)].slice(0, -1), 'INVALID_ARGUMENT', 'UPLOAD_NOT_FINISHED');
    await refused([spec()], 'INVALID_ARGUMENT', 'UPLOAD_NOT_FINISHED');
  });

  it('refuses messages in a wrong order', async () => {
    const wrong = ['INVALID_ARGUMENT', 'UPLOAD_MESSAGE_ORDER'] as const;
    const data = { content: randomContent(4) };
    await refused([], ...wrong);
    await refused([{ data, finishWrite: true }], ...wrong);
    await refused([spec(), { ...spec(), data, finishWrite: true }], ...wrong);
    await refused(
      [
        { ...spec(), data, finishWrite: true },
        { writeOffset: 4n, data },
      ],
      ...wrong,
    );
  });

  it('refuses a file that is not as large as its size_bytes', async () => {
    const content = randomContent(PART + 100);
    const lie = (sizeBytes: number) => {
      const [, ...rest] = messagesOf(content);
      return [spec({}, { sizeBytes: BigInt(sizeBytes) }), ...rest];
    };
    for (const size of [PART + 99, 10, 0, PART + 101, 10 * PART]) {
      await refused(lie(size), 'INVALID_ARGUMENT', 'SIZE_MISMATCH', { size_bytes: String(size) });
    }
  });

  it('refuses a content type that the bytes contradict, and finds out one that is not given', async () => {
    const say = (contentType: string, content: Uint8Array, name = ''): UploadMessage[] => [
      { ...spec({ contentType, name }), data: { content: new Uint8Array(content) }, finishWrite: true },
    ];
    await refused(say('image/jpeg', PNG), 'INVALID_ARGUMENT', 'CONTENT_TYPE_MISMATCH', {
      content_type: 'image/jpeg',
      detected_type: 'image/png',
    });
    await refused(say('no type', PNG), 'INVALID_ARGUMENT', 'FIELD_INVALID');
    expect((await send(client, say('', PNG))).contentType).toBe('image/png');
    expect((await send(client, say('', Buffer.from('a,b\n'), 'x.csv'))).contentType).toBe('text/csv');
    expect((await send(client, say('', randomContent(0)))).contentType).toBe('application/octet-stream');
  });
});

it.each(['gRPC', 'Connect over HTTP/2'])(
  'an upload that is refused in the middle over %s does not delay the stop of the service',
  async (transport) => {
    // Whatever stays open for ten minutes exceeds the time of this test.
    const env = { ASSET_DRAIN_TIMEOUT: '600', ASSET_LIMIT_BODY_TIME: '600' };
    const house = await openHouse({ env: { ...env, ASSET_UPLOAD_PART_SIZE: String(PART) } });
    const messages = [...messagesOf(randomContent(4 * PART))];
    messages[15]!.data!.crc32c = 1;
    const client = createClient(AssetService, TRANSPORTS[transport]!(house.url));
    expect(await failureOf(send(client, messages))).toMatchObject({ reason: 'CHECKSUM_MISMATCH' });
    await house.close();
  },
  240_000,
);
