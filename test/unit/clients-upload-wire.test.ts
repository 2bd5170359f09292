import {
  type UploadRequest,
  UploadRequestSchema,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { create, fromBinary } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { describe, expect, it } from '@jest/globals';
import { framesOf } from '../../clients/core/src/upload-wire.ts';

async function framed(message: UploadRequest): Promise<Uint8Array[]> {
  async function* one() {
    yield message;
  }
  const frames: Uint8Array[] = [];
  for await (const frame of framesOf(one())) frames.push(frame);
  return frames;
}

/** The message of a frame, whose length must be as the frame says. */
function parsed(frame: Buffer): UploadRequest {
  expect(frame[0]).toBe(0);
  expect(frame.readUInt32BE(1)).toBe(frame.length - 5);
  // The parser of this language does not mind a length that is too small for what it holds; others do.
  const reader = new BinaryReader(frame.subarray(5));
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field !== UploadRequestSchema.field.data.number) {
      reader.skip(type, field);
      continue;
    }
    const length = reader.uint32();
    expect(length).toBe(reader.len - reader.pos);
    break;
  }
  return fromBinary(UploadRequestSchema, frame.subarray(5));
}

const content = new Uint8Array(300).fill(7);
const checksums = { sha256: new Uint8Array(32).fill(1), crc32c: 5 };
const file = { name: 'a.bin', owner: 'me' };

describe('the frames of an upload', () => {
  it.each([
    ['the first message', { firstMessage: { case: 'uploadSpec' as const, value: { file, requestId: 'r' } } }],
    ['one that resumes', { firstMessage: { case: 'uploadId' as const, value: 'u' }, writeOffset: 512n }],
    ['a piece', { writeOffset: 2n ** 40n, data: { content, crc32c: 0xffffffff } }],
    ['a piece whose checksum is 0', { data: { content, crc32c: 0 } }],
    ['a piece without a checksum', { data: { content } }],
    ['data without content', { data: { content: new Uint8Array(), crc32c: 0 } }],
    ['the last message', { writeOffset: 9n, data: { content, crc32c: 1 }, checksums, finishWrite: true }],
    ['an end without data', { writeOffset: 9n, checksums, finishWrite: true }],
    ['nothing', {}],
  ])('hold %s', async (_what, init) => {
    const message = create(UploadRequestSchema, init);
    expect(parsed(Buffer.concat(await framed(message)))).toEqual(message);
  });

  it('have the very bytes of the content', async () => {
    const [, sent] = await framed(create(UploadRequestSchema, { data: { content } }));
    expect(sent).toBe(content);
  });

  it('end the source when they are given up', async () => {
    let ended = false;
    async function* endless() {
      try {
        for (;;) yield create(UploadRequestSchema, { data: { content } });
      } finally {
        ended = true;
      }
    }
    for await (const _frame of framesOf(endless())) break;
    expect(ended).toBe(true);
  });
});
