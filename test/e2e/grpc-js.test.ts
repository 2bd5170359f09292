import { ErrorInfoSchema } from '@asset-service/contract/google/rpc/error_details_pb.js';
import { StatusSchema } from '@asset-service/contract/google/rpc/status_pb.js';
import { fromBinary } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import {
  type ClientReadableStream,
  type ClientWritableStream,
  credentials,
  type GrpcObject,
  loadPackageDefinition,
  type ServiceClientConstructor,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { ROOT } from '../support/install.ts';
import { startService, type Service } from '../support/service.ts';

/** A file as proto-loader gives it with the options below. */
interface LoadedFile {
  readonly id: string;
  readonly name: string;
  readonly size_bytes: string;
  readonly checksums: { readonly sha256: Buffer; readonly crc32c: number };
}

type Answer<T> = (error: ServiceError | null, response: T) => void;

/** What these tests call of the stub; method names are those of the contract. */
interface Stub {
  Upload(answer: Answer<{ file: LoadedFile; write_status: string }>): ClientWritableStream<object>;
  GetFile(request: object, answer: Answer<{ file: LoadedFile }>): void;
  DownloadFile(request: object): ClientReadableStream<{ file?: LoadedFile; data?: { content: Buffer } }>;
  close(): void;
}

const PIECE = 256 * 1024;
const content = randomBytes(5 * PIECE + 11);

let service: Service;
let stub: Stub;
beforeAll(async () => {
  service = await startService();
  const definition = loadSync('asset/v1/asset_service.proto', {
    includeDirs: [join(ROOT, 'proto'), join(ROOT, 'third_party')],
    keepCase: true,
    longs: String,
    enums: String,
    oneofs: true,
  });
  const { asset } = loadPackageDefinition(definition) as unknown as { asset: { v1: GrpcObject } };
  const AssetService = asset.v1['AssetService'] as ServiceClientConstructor;
  stub = new AssetService(new URL(service.url).host, credentials.createInsecure()) as unknown as Stub;
});
afterAll(async () => {
  stub.close();
  await service.dispose();
});

/** Sends `content` with these fields of the description, waiting where the stub says so. */
async function upload(file: object, wrong: object = {}): Promise<LoadedFile> {
  let call: ClientWritableStream<object> | undefined;
  const answer = new Promise<LoadedFile>((resolve, reject) => {
    call = stub.Upload((error, response) => (error === null ? resolve(response.file) : reject(error)));
  });
  // The answer may come before everything was sent.
  answer.catch(() => undefined);
  for (let offset = 0; offset < content.length; offset += PIECE) {
    const last = offset + PIECE >= content.length;
    const message = {
      ...(offset === 0 ? { upload_spec: { file, size_bytes: content.length, ...wrong } } : {}),
      write_offset: offset,
      data: { content: content.subarray(offset, offset + PIECE) },
      ...(last
        ? { finish_write: true, checksums: { sha256: createHash('sha256').update(content).digest() } }
        : {}),
    };
    if (call?.write(message) === false)
      await Promise.race([once(call, 'drain'), answer.catch(() => undefined)]);
  }
  call?.end();
  return answer;
}

function get(id: string): Promise<LoadedFile> {
  return new Promise((resolve, reject) => {
    stub.GetFile({ file_id: id }, (error, response) =>
      error === null ? resolve(response.file) : reject(error),
    );
  });
}

/** The ErrorInfo in the trailer that gRPC keeps the details of an error in. */
function infoOf(error: ServiceError) {
  const details = fromBinary(
    StatusSchema,
    error.metadata.get('grpc-status-details-bin')[0] as Buffer,
  ).details;
  return details.map((detail) => anyUnpack(detail, ErrorInfoSchema)).find((info) => info !== undefined);
}

async function failure(promise: Promise<unknown>): Promise<ServiceError> {
  return promise.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: unknown) => error as ServiceError,
  );
}

describe('a client of @grpc/grpc-js', () => {
  it('uploads a file, reads its record and downloads it, whole and in part', async () => {
    const file = await upload({ name: 'grpc-js.bin', usage: 'interop' });
    expect(file).toMatchObject({ name: 'grpc-js.bin', size_bytes: String(content.length) });
    expect((await get(file.id)).checksums.sha256).toEqual(createHash('sha256').update(content).digest());
    for (const [from, limit] of [
      [0, 0],
      [100_000, 700_000],
    ] as const) {
      const pieces: Buffer[] = [];
      let first: LoadedFile | undefined;
      for await (const message of stub.DownloadFile({
        file_id: file.id,
        read_offset: from,
        read_limit: limit,
      })) {
        const { file: record, data } = message as { file?: LoadedFile; data?: { content: Buffer } };
        first ??= record;
        if (data) pieces.push(data.content);
      }
      expect(first?.id).toBe(file.id);
      const expected = content.subarray(from, limit === 0 ? undefined : from + limit);
      expect(Buffer.concat(pieces).equals(expected)).toBe(true);
    }
  });

  it('gets code and reason of an error, also in the middle of a stream', async () => {
    const missing = await failure(get('aaaaaaaaaaaaaaa'));
    expect(missing.code).toBe(status.NOT_FOUND);
    expect(infoOf(missing)).toMatchObject({
      reason: 'ERROR_REASON_FILE_NOT_FOUND',
      domain: 'asset.v1',
      metadata: { file_id: 'aaaaaaaaaaaaaaa' },
    });
    const mismatch = await failure(upload({ name: 'a' }, { size_bytes: 5 }));
    expect(mismatch.code).toBe(status.INVALID_ARGUMENT);
    expect(infoOf(mismatch)?.reason).toBe('ERROR_REASON_SIZE_MISMATCH');
  });
});
