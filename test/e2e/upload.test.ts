import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { startService, type Service } from '../support/service.ts';
import {
  clientOf,
  crc32c,
  randomContent,
  send,
  sha256,
  spec,
  TRANSPORTS,
  upload,
  urlOf,
  type AssetClient,
  type UploadMessage,
} from './support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from './support/failures.ts';
import { EMBEDDED, POCKETBASE, type Setup } from './support/setups.ts';

const MiB = 2 ** 20;
const PART = 5 * MiB;
const PNG = new Uint8Array(
  Buffer.from('89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489', 'hex'),
);

describe.each([EMBEDDED, POCKETBASE])('upload on $name', (kind) => {
  let setup: Setup;
  let service: Service;
  let client: AssetClient;

  beforeAll(async () => {
    setup = await kind.open();
    service = await startService({ ...setup.env, ASSET_UPLOAD_PART_SIZE: String(PART) });
    client = clientOf(service.url);
  });

  afterAll(async () => {
    await service?.dispose();
    await setup?.dispose();
  });

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
    return { files: files.map(({ id }) => id), blobs: (await setup.blobs()).sort() };
  }

  const transports = Object.keys(TRANSPORTS).filter((name) => !name.startsWith('gRPC-Web'));
  // The transports differ in the listener, so one is enough for each further store.
  const ways = kind === EMBEDDED ? transports : ['gRPC'];
  const sizes = kind === EMBEDDED ? [0, 2 * PART + 1] : [0, PART - 1, PART, 2 * PART + 1];
  it.each(ways.flatMap((way) => sizes.map((size) => [way, size] as const)))(
    'over %s stores %i bytes, with and without their size given',
    async (way, size) => {
      const through = createClient(AssetService, TRANSPORTS[way]!(service.url));
      const content = randomContent(size);
      for (const withSize of [true, false]) {
        const file = await upload(through, content, { withSize, file: { name: 'a.bin' } });
        expect(file.id).toMatch(/^[a-z0-9]{15}$/);
        expect(file.sizeBytes).toBe(BigInt(size));
        expect(Buffer.from(file.checksums!.sha256).equals(sha256(content))).toBe(true);
        expect(file.checksums!.crc32c).toBe(crc32c(content));
        const answer = await fetch(await urlOf(client, file.id));
        expect(answer.status).toBe(200);
        expect(Buffer.from(await answer.arrayBuffer()).equals(content)).toBe(true);
      }
    },
  );

  if (kind === EMBEDDED) {
    it('refuses a message that is larger than the contract allows', async () => {
      const big = (size: number): UploadMessage[] => [
        { ...spec(), data: { content: new Uint8Array(size) }, finishWrite: true },
      ];
      await send(client, big(2 * MiB));
      const before = await contents();
      const failure = await failureOf(send(client, big(3 * MiB)));
      expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' });
      expect(failure.fields).toEqual(['data.content']);
      // By default a client of Node takes no answer while it has so much to send.
      const nodeOptions = { maxSessionMemory: 100 };
      const patient = createClient(AssetService, createGrpcTransport({ baseUrl: service.url, nodeOptions }));
      const tooLarge = await failureOf(send(patient, big(64 * MiB)));
      expect(tooLarge).toMatchObject({ code: 'RESOURCE_EXHAUSTED', reason: 'MESSAGE_TOO_LARGE' });
      expect(Number(tooLarge.metadata['max_bytes'])).toBeGreaterThan(2 * MiB);
      expect(await contents()).toEqual(before);
    });
    return;
  }

  it('stores 64 MiB', async () => {
    const content = randomContent(64 * MiB);
    const file = await upload(client, content, { chunkBytes: MiB });
    const answer = await fetch(await urlOf(client, file.id));
    expect(Buffer.from(await answer.arrayBuffer()).equals(content)).toBe(true);
  });

  it('keeps what the caller says of the file, and sets the rest', async () => {
    const before = Date.now() - 1;
    const relations = { project: { ids: [setup.projects[0]!] } };
    const attributes = { title: 'Äpfel', width: 640, extra: { a: [1, null, 'x'] } };
    const described = { name: 'Bericht 🍏.png', contentType: 'image/png', owner: 'ann', usage: 'avatar' };
    const file = await upload(client, PNG, {
      file: { ...described, relations, attributes, id: 'mine', etag: 'mine', createdBy: 'me', sizeBytes: 7n },
    });
    expect(file).toMatchObject({ ...described, attributes, sizeBytes: BigInt(PNG.length) });
    expect(file.relations['project']?.ids).toEqual([setup.projects[0]]);
    expect(file.id).not.toBe('mine');
    expect(file.etag).not.toBe('mine');
    expect(file.createdBy).not.toBe('me');
    expect(Number(file.createTime!.seconds) * 1000).toBeGreaterThan(before - 2000);
    expect(file.deleteTime).toBeUndefined();
    expect((await client.getFile({ fileId: file.id })).file).toEqual(file);
  });

  it('refuses what the catalog does not take, and stores nothing', async () => {
    const content = new Uint8Array(100);
    const one = (file: object): UploadMessage[] => [{ ...spec(file), data: { content }, finishWrite: true }];
    const invalid = 'INVALID_ARGUMENT';
    await refused(one({ relations: { nothing: { ids: ['x'] } } }), invalid, 'RELATION_UNKNOWN', {
      relation: 'nothing',
    });
    await refused(
      one({ relations: { project: { ids: ['missing00000000'] } } }),
      invalid,
      'RELATION_TARGET_MISSING',
    );
    await refused(one({ attributes: { nothing: 1 } }), invalid, 'ATTRIBUTE_INVALID', {
      attribute: 'nothing',
    });
    await refused(one({ attributes: { width: 'wide' } }), invalid, 'ATTRIBUTE_INVALID', {
      attribute: 'width',
    });
  });
});
