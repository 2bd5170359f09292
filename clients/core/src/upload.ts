import {
  type UploadRequest,
  UploadRequestSchema,
  type UploadSpecSchema,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { crc32c } from '@node-rs/crc32';
import { createHash, randomUUID } from 'node:crypto';
import type { Connection } from './connection.ts';
import { AssetClientError, toClientError } from './errors.ts';
import { type AssetFile, type FileDescription, toAssetFile, toFileMessage } from './records.ts';
import { type CallOptions, isRetriable, Retries, type Try } from './retry.ts';
import { type OpenedSource, prepareSource, type UploadSource } from './source.ts';

/** How far an upload is. */
export interface UploadProgress {
  /** Bytes handed to the network in this try. */
  readonly sentBytes: number;
  /** Size of the file where it is known. */
  readonly totalBytes: number | undefined;
  /** 1 for the first try; a higher one says that `sentBytes` began anew. */
  readonly attempt: number;
}

/** What an upload is told beside its bytes. */
export interface UploadOptions extends FileDescription, CallOptions {
  /** Size of a stream in bytes, where it is known. The upload fails if the stream brings more or fewer. */
  readonly sizeBytes?: number | undefined;
  /**
   * Makes the upload exactly-once across processes: the same id with the same content gives the same file. A random one
   * is made where left out, which covers the retries of this call.
   */
  readonly requestId?: string | undefined;
  /** Called after each piece that was sent, and once more when the file is stored. */
  readonly onProgress?: ((progress: UploadProgress) => void) | undefined;
}

/** Bytes of one message: large enough to cost little, small enough to keep many uploads in memory. */
const CHUNK_BYTES = 512 * 1024;

/** Sends a file; the heart of every `uploadFile`. */
export async function uploadFile(
  connection: Connection,
  source: UploadSource,
  options: UploadOptions,
): Promise<AssetFile> {
  const prepared = prepareSource(source);
  const settled = { ...options, requestId: options.requestId ?? randomUUID() };
  const description = toFileMessage({
    ...options,
    name: options.name ?? prepared.name,
    contentType: options.contentType ?? prepared.contentType,
  });
  const retries = new Retries(connection.retry, options, connection.transferMs);
  try {
    return await retries.run(async (current) => {
      const opened = await prepared.open().catch((error: unknown) => {
        throw sourceFailed(error);
      });
      try {
        return await sendOnce(connection, opened, description, settled, current);
      } finally {
        await opened.close();
      }
    }, prepared.isRepeatable);
  } catch (error) {
    await prepared.discard?.();
    const failure = toClientError(error, options.signal);
    throw !isRetriable(failure) || prepared.isRepeatable() ? failure : new NotRepeatableError(failure);
  }
}

/** The failure of an upload that would have been made again if its source could be read again. */
class NotRepeatableError extends AssetClientError {
  constructor(failure: AssetClientError) {
    super(
      failure.code,
      `${failure.message} (not tried again: the source is a stream that was read already; upload a path, bytes, or a function that opens the stream)`,
      { ...failure, cause: failure },
    );
  }
}

async function sendOnce(
  connection: Connection,
  opened: OpenedSource,
  description: ReturnType<typeof toFileMessage>,
  options: UploadOptions & { readonly requestId: string },
  current: Try,
): Promise<AssetFile> {
  const totalBytes = options.sizeBytes ?? opened.sizeBytes;
  const spec = {
    file: description,
    requestId: options.requestId,
    ...(totalBytes === undefined ? {} : { sizeBytes: BigInt(totalBytes) }),
  };
  const report = (sentBytes: number) =>
    options.onProgress?.({ sentBytes, totalBytes, attempt: current.attempt });
  // A failing source must end the call as such, and a failing call must not wait for the source.
  const stop = new AbortController();
  let failure: AssetClientError | undefined;
  async function* watched(): AsyncGenerator<Uint8Array> {
    try {
      yield* opened.chunks;
    } catch (error) {
      failure = sourceFailed(error);
      stop.abort(failure);
      throw failure;
    }
  }
  try {
    const { writeStatus } = await connection.rpc.upload(toMessages(watched(), spec, report), {
      signal: AbortSignal.any([stop.signal, current.signal]),
      timeoutMs: current.timeoutMs,
    });
    if (writeStatus.case !== 'file')
      throw new AssetClientError('INTERNAL', 'the service answered without a file');
    const file = toAssetFile(writeStatus.value);
    report(file.sizeBytes);
    return file;
  } catch (error) {
    throw failure ?? error;
  }
}

/** Cuts the bytes into messages, with the checksum of each piece and, in the last message, those of the whole. */
async function* toMessages(
  chunks: AsyncIterable<Uint8Array>,
  spec: MessageInitShape<typeof UploadSpecSchema>,
  report: (sentBytes: number) => void,
): AsyncGenerator<UploadRequest> {
  const sha256 = createHash('sha256');
  let whole = 0;
  let offset = 0;
  for await (const { content, last } of markLast(recut(chunks, CHUNK_BYTES))) {
    sha256.update(content);
    const sum = crc32c(content);
    whole = offset === 0 ? sum : crc32c(content, whole);
    yield create(UploadRequestSchema, {
      ...(offset === 0 ? { firstMessage: { case: 'uploadSpec', value: spec } } : {}),
      writeOffset: BigInt(offset),
      ...(content.length === 0 ? {} : { data: { content, crc32c: sum } }),
      ...(last ? { checksums: { sha256: sha256.digest(), crc32c: whole }, finishWrite: true } : {}),
    });
    offset += content.length;
    report(offset);
  }
}

/** Pieces of exactly `size` bytes, but for the last. Copies only what came in smaller pieces. */
export async function* recut(chunks: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    for (let start = 0; start < chunk.length;) {
      const part = chunk.subarray(start, start + size - length);
      parts.push(part);
      length += part.length;
      start += part.length;
      if (length < size) continue;
      yield parts.length === 1 ? part : Buffer.concat(parts, length);
      parts = [];
      length = 0;
    }
  }
  if (length > 0) yield Buffer.concat(parts, length);
}

/** Tells which piece is the last one, by looking one piece ahead. An empty file is one empty piece. */
async function* markLast(
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ readonly content: Uint8Array; readonly last: boolean }> {
  let held: Uint8Array | undefined;
  for await (const piece of pieces) {
    if (held !== undefined) yield { content: held, last: false };
    held = piece;
  }
  yield { content: held ?? new Uint8Array(), last: true };
}

function sourceFailed(error: unknown): AssetClientError {
  if (error instanceof AssetClientError) return error;
  const why =
    typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error);
  return new AssetClientError('INVALID_ARGUMENT', `the source of the upload could not be read: ${why}`, {
    reason: 'SOURCE_FAILED',
    cause: error,
  });
}
