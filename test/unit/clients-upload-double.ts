import type {
  AssetService,
  UploadRequest,
  UploadSpec,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { afterEach, expect } from '@jest/globals';
import type { ServiceImpl } from '@connectrpc/connect';
import { crc32c } from '@node-rs/crc32';
import { randomBytes } from 'node:crypto';
import { createAssetClient } from '../../clients/core/src/client.ts';
import type { AssetClientError } from '../../clients/core/src/errors.ts';
import { type Double, startDouble } from './clients-double.ts';

type Upload = ServiceImpl<typeof AssetService>['upload'];

export const MiB = 1024 * 1024;

/** The bytes of a file of several messages. */
export const content = randomBytes(3 * MiB + 17);

/** What the service received in one complete upload. */
export interface Received {
  readonly messages: UploadRequest[];
  readonly bytes: Buffer;
}

/** Clients and doubles to close after the test. */
export const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each[Symbol.asyncDispose]();
});

/** Starts a double whose Upload is `upload`, and a client of it. Uploads over several calls keep nothing between calls. */
export async function start(
  upload: Upload,
  options: { http1?: boolean; port?: number; retries?: number } = {},
) {
  const started: UploadSpec[] = [];
  const methods: Partial<ServiceImpl<typeof AssetService>> = {
    upload,
    startUpload: ({ uploadSpec }) => {
      started.push(uploadSpec!);
      return { uploadId: 'abc', partSizeBytes: BigInt(8 * MiB) };
    },
    getUpload: () => ({ writeStatus: { case: 'persistedSize', value: 0n } }),
  };
  const double: Double = await startDouble(methods, options);
  const client = createAssetClient({
    baseUrl: double.baseUrl,
    transport: options.http1 === true ? 'connect' : 'grpc',
    retry: { baseDelayMs: 10, ...(options.retries !== undefined && { retries: options.retries }) },
  });
  open.push(double, client);
  return { client, double, started };
}

/** An Upload that takes complete uploads and checks each checksum. */
export function taking(received: Received[]): Upload {
  return async (requests) => {
    const messages: UploadRequest[] = [];
    for await (const message of requests) {
      if (message.data !== undefined) expect(crc32c(message.data.content)).toBe(message.data.crc32c);
      messages.push(message);
    }
    const bytes = Buffer.concat(messages.map(({ data }) => data?.content ?? new Uint8Array()));
    received.push({ messages, bytes });
    return { writeStatus: { case: 'file', value: { id: 'abc', sizeBytes: BigInt(bytes.length) } } };
  };
}

/** The error of a call that must fail. */
export async function failure(promise: Promise<unknown>): Promise<AssetClientError> {
  return promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error as AssetClientError,
  );
}
