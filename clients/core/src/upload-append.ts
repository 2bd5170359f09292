import {
  type UploadRequest,
  UploadRequestSchema,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { create } from '@bufbuild/protobuf';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertWhole } from './arguments.ts';
import type { Connection } from './connection.ts';
import { crc32c } from './crc32c.ts';
import { type AssetClientError, toClientError } from './errors.ts';
import { CHUNK_BYTES } from './pieces.ts';
import { sourceFailed } from './reading.ts';
import { type AssetFile, toAssetFile } from './records.ts';
import { type CallOptions, Retries } from './retry.ts';
import type { ByteStream } from './source.ts';
import { readStream } from './source-stream.ts';

/** Options of one call that adds bytes to an upload. */
export interface AppendOptions extends CallOptions {
  /** Offset of the first byte in the file: the number of durable bytes. */
  readonly writeOffset: number;
  /**
   * Size of the whole file in bytes, if it is known: the service keeps it, and the call that brings the last byte completes
   * the upload.
   */
  readonly sizeBytes?: number | undefined;
}

/** An upload after a call that added bytes. */
export interface AppendedUpload {
  /** Number of durable bytes. */
  readonly persistedBytes: number;
  /** The file, if the upload is finished. */
  readonly file: AssetFile | undefined;
}

/** Longest time that bytes wait for more before they are sent, in milliseconds. */
const WAIT_MS = 200;

/**
 * Sends bytes to an upload in one call. If the source fails, everything before is kept, and then the call rejects with
 * SOURCE_FAILED.
 */
export async function appendUpload(
  connection: Connection,
  uploadId: string,
  source: ByteStream,
  options: AppendOptions,
): Promise<AppendedUpload> {
  const writeOffset = assertWhole('writeOffset', options.writeOffset) ?? 0;
  const sizeBytes = assertWhole('sizeBytes', options.sizeBytes);
  const current = new Retries(connection.retry, options, 0).next();
  const { chunks, close } = readStream(source);
  let failure: AssetClientError | undefined;
  /** Ends where the source fails: the end of the stream makes the service keep what came. */
  async function* watched(): AsyncGenerator<Uint8Array> {
    try {
      yield* chunks;
    } catch (error) {
      failure = sourceFailed(error);
    }
  }
  async function* messages(): AsyncGenerator<UploadRequest> {
    let offset = writeOffset;
    yield create(UploadRequestSchema, {
      firstMessage: { case: 'uploadId', value: uploadId },
      writeOffset: BigInt(offset),
      ...(sizeBytes !== undefined && { sizeBytes: BigInt(sizeBytes) }),
    });
    for await (const content of gathered(watched())) {
      const data = { content, crc32c: crc32c(content) };
      yield create(UploadRequestSchema, { writeOffset: BigInt(offset), data });
      offset += content.length;
    }
    if (failure === undefined && offset === sizeBytes) {
      yield create(UploadRequestSchema, { writeOffset: BigInt(offset), finishWrite: true });
    }
  }
  try {
    const { writeStatus } = await connection.rpc.upload(messages(), current);
    if (failure !== undefined) throw failure;
    if (writeStatus.case === 'file') {
      const file = toAssetFile(writeStatus.value);
      return { persistedBytes: sizeBytes ?? file.sizeBytes, file };
    }
    return { persistedBytes: Number(writeStatus.value ?? 0n), file: undefined };
  } catch (error) {
    throw failure ?? toClientError(error, current.signal);
  } finally {
    await close();
  }
}

/**
 * Pieces of at most {@link CHUNK_BYTES}. Small chunks are joined if they come within {@link WAIT_MS}, so a slow source does not
 * look like one that has stopped. What came before an error is given before it.
 */
async function* gathered(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  const take = () => {
    const next = iterator.next();
    // It is awaited later.
    next.catch(() => undefined);
    return next;
  };
  for (let next = take(), first = await next; first.done !== true; first = await next) {
    const parts = [first.value];
    let length = first.value.length;
    next = take();
    const timer = new AbortController();
    const late = sleep(WAIT_MS, undefined, { signal: timer.signal }).catch(() => undefined);
    while (length < CHUNK_BYTES) {
      const more = await Promise.race([next.catch(() => undefined), late]);
      if (more === undefined || more.done === true) break;
      parts.push(more.value);
      length += more.value.length;
      next = take();
    }
    timer.abort();
    const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts, length);
    for (let at = 0; at < length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
  }
}
