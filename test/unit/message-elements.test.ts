import { create, toBinary, toJsonString } from '@bufbuild/protobuf';
import { describe, expect, it } from '@jest/globals';
import {
  AssetService,
  BatchGetFileUrlsRequestSchema,
  StartUploadRequestSchema,
  UploadRequestSchema,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { assertFewElements } from '../../src/rpc/gate/message-elements.ts';

const { startUpload, upload, batchGetFileUrls, updateMetadata } = AssetService.method;
const TOO_MANY = 'too many elements';

describe('the elements of a message', () => {
  it('are as many as the contract allows', () => {
    const requests = Array.from({ length: 1000 }, () => ({
      source: { case: 'fileId' as const, value: 'abcdefghijklmno' },
      downloadName: 'a,[{"b'.repeat(100),
      ttl: { seconds: 60n, nanos: 1 },
    }));
    const batch = create(BatchGetFileUrlsRequestSchema, { requests });
    assertFewElements(batchGetFileUrls, toBinary(BatchGetFileUrlsRequestSchema, batch));
    assertFewElements(
      batchGetFileUrls,
      Buffer.from(toJsonString(BatchGetFileUrlsRequestSchema, batch)),
      'json',
    );
    const attributes = { list: Array.from({ length: 32_000 }, () => 1) };
    const relations = { project: { ids: Array.from({ length: 10_000 }, () => 'abcdefghijklmno'.repeat(3)) } };
    const start = create(StartUploadRequestSchema, { uploadSpec: { file: { attributes, relations } } });
    assertFewElements(startUpload, toBinary(StartUploadRequestSchema, start));
    assertFewElements(startUpload, Buffer.from(toJsonString(StartUploadRequestSchema, start)), 'json');
    const content = new Uint8Array(2 ** 21).fill(0x0a);
    const piece = create(UploadRequestSchema, { data: { content } });
    assertFewElements(upload, toBinary(UploadRequestSchema, piece));
    assertFewElements(upload, Buffer.from(toJsonString(UploadRequestSchema, piece)), 'json');
  });

  it.each([0, 1, 2, 5])('are counted whatever wire type they come with (%d)', (wireType) => {
    const requests = Buffer.alloc(600_000, Buffer.from([(1 << 3) | wireType, 0]));
    expect(() => assertFewElements(batchGetFileUrls, requests)).toThrow(TOO_MANY);
  });

  it.each([
    ['groups', Buffer.alloc(600_000, Buffer.from([0x7b, 0x7c]).subarray(0))],
    ['unknown fields', Buffer.alloc(600_000, Buffer.from([0x78, 0]))],
    ['fields of no number', Buffer.alloc(600_000, 0)],
  ])('are counted as %s', (_name, message) => {
    expect(() => assertFewElements(updateMetadata, message)).toThrow(TOO_MANY);
  });

  it('are left to the decoder where the bytes are no message', () => {
    for (const byte of [0x0a, 0xff, 0x12]) assertFewElements(batchGetFileUrls, Buffer.alloc(21_000, byte));
  });
});
