import type { DownloadFileResponse } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { assertWhole } from './arguments.ts';
import type { Connection } from './connection.ts';
import { crc32c } from './crc32c.ts';
import { AssetClientError, toClientError } from './errors.ts';
import { type AssetFile, toAssetFile } from './records.ts';
import { type CallOptions, Retries } from './retry.ts';

/** The range of a file to read. */
export interface ReadOptions extends CallOptions {
  /** Offset of the first byte. */
  readonly offset?: number | undefined;
  /** Number of bytes; default up to the end of the file. */
  readonly length?: number | undefined;
  /**
   * Name of a variant to read instead of the file. The record then has the content type and size of the variant, and no
   * checksums.
   */
  readonly variant?: string | undefined;
  /** An `Accept` header, which picks the format of a variant. */
  readonly accept?: string | undefined;
}

/** A file opened for reading. */
export interface OpenFile {
  readonly file: AssetFile;
  /** Its bytes, read from the service as fast as they are consumed. Destroying the stream ends the download. */
  readonly stream: Readable;
}

/** Options of a download into memory. */
export interface DownloadBytesOptions extends ReadOptions {
  /** Maximum number of bytes; default 64 MiB. A longer file is DOWNLOAD_TOO_LARGE before its bytes are read. */
  readonly maxBytes?: number | undefined;
}

/** A file in memory. */
export interface DownloadedBytes {
  readonly file: AssetFile;
  readonly bytes: Uint8Array;
}

const MAX_BYTES = 64 * 1024 * 1024;

/** Reads a file into memory; checks a whole file against its SHA-256. */
export async function downloadBytes(
  connection: Connection,
  id: string,
  options: DownloadBytesOptions,
): Promise<DownloadedBytes> {
  const maxBytes = assertWhole('maxBytes', options.maxBytes) ?? MAX_BYTES;
  const { file, stream } = await openRead(connection, id, options);
  try {
    const start = options.offset ?? 0;
    const wanted = Math.min(options.length ?? Infinity, file.sizeBytes - start);
    if (wanted > maxBytes) {
      throw new AssetClientError(
        'FAILED_PRECONDITION',
        `the file has ${wanted} bytes to read, and no more than ${maxBytes} are taken into memory: read it as a stream`,
        {
          reason: 'DOWNLOAD_TOO_LARGE',
          metadata: { size_bytes: String(wanted), max_bytes: String(maxBytes) },
        },
      );
    }
    const bytes = await buffer(stream);
    const isWhole = bytes.length === file.sizeBytes && file.sha256 !== undefined;
    if (isWhole && createHash('sha256').update(bytes).digest('hex') !== file.sha256) {
      throw damaged(id, 'the downloaded file does not have its SHA-256');
    }
    return { file, bytes };
  } catch (error) {
    throw toClientError(error, options.signal);
  } finally {
    stream.destroy();
  }
}

/** Opens a file. Rejects if it cannot be read at all; later failures are failures of the stream. */
export async function openRead(connection: Connection, id: string, options: ReadOptions): Promise<OpenFile> {
  const stop = new AbortController();
  const { signal } = options;
  const pieces = readPieces(connection, id, {
    ...options,
    signal: signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]),
  });
  const first = await pieces.next();
  if (first.done === true) throw new AssetClientError('INTERNAL', 'the service answered without a file');
  async function* bytes(start: Uint8Array): AsyncGenerator<Uint8Array> {
    if (start.length > 0) yield start;
    for await (const { content } of pieces) yield content;
  }
  const stream = Readable.from(bytes(first.value.content), { objectMode: false, highWaterMark: 1024 * 1024 });
  stream.once('close', () => {
    stop.abort();
    // Without this the call would stay open if nobody reads the stream.
    pieces.return(undefined).catch(() => undefined);
  });
  return { file: first.value.file, stream };
}

/** A piece of a file, and the file's record. */
interface Piece {
  readonly file: AssetFile;
  readonly content: Uint8Array;
}

/**
 * The bytes of a file; each piece is checked against its CRC32C. A broken download resumes where it stopped,
 * because the bytes of a file never change. There is always a first piece, possibly empty.
 */
async function* readPieces(connection: Connection, id: string, options: ReadOptions): AsyncGenerator<Piece> {
  const start = assertWhole('offset', options.offset) ?? 0;
  assertWhole('length', options.length, 1);
  const { variant = '', accept = '' } = options;
  const retries = new Retries(connection.retry, options, connection.transferMs, Infinity);
  let file: AssetFile | undefined;
  let got = 0;
  const wanted = ({ sizeBytes }: AssetFile) => Math.min(options.length ?? Infinity, sizeBytes - start);
  for (;;) {
    const current = retries.next();
    const stop = new AbortController();
    const call = { ...current, signal: AbortSignal.any([stop.signal, current.signal]) };
    const readOffset = BigInt(start + got);
    const readLimit = options.length === undefined ? 0n : BigInt(options.length - got);
    try {
      const answer = connection.rpc.downloadFile(
        { fileId: id, readOffset, readLimit, variant, accept },
        call,
      );
      for await (const message of endedWith(stop, answer)) {
        const isFirst = file === undefined;
        file ??= recordIn(message, variant);
        if (file === undefined) throw new AssetClientError('INTERNAL', 'the service answered without a file');
        const content = message.data?.content ?? new Uint8Array();
        if (message.data?.crc32c !== undefined && crc32c(content) !== message.data.crc32c) {
          throw damaged(id, 'a piece of the download does not have its checksum');
        }
        got += content.length;
        retries.progressed();
        if (isFirst || content.length > 0) yield { file, content };
      }
      if (file === undefined) throw new AssetClientError('INTERNAL', 'the service answered without a file');
      if (got === wanted(file)) return;
      throw damaged(id, `the download ended after ${got} of ${wanted(file)} bytes`);
    } catch (error) {
      const failure = toClientError(error, options.signal);
      // All bytes have arrived; only the end of the response was lost.
      if (file !== undefined && got > 0 && got === wanted(file)) return;
      await retries.pause(failure);
    }
  }
}

/** The record in the first message of a download; with the facts of the variant, if one is read. */
function recordIn(
  { file, contentType, sizeBytes }: DownloadFileResponse,
  variant: string,
): AssetFile | undefined {
  if (file === undefined) return undefined;
  const record = toAssetFile(file);
  if (variant === '') return record;
  return { ...record, contentType, sizeBytes: Number(sizeBytes), sha256: undefined, crc32c: undefined };
}

/**
 * Passes a response on and ends its call if the response is not read to the end. The call's deadline timer is
 * cleared only when the response is read past its end; until then it would keep the process alive.
 */
export async function* endedWith<T>(stop: AbortController, answer: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = answer[Symbol.asyncIterator]();
  try {
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
  } finally {
    stop.abort();
    iterator.next().catch(() => undefined);
  }
}

/** The error for bytes that do not match the file. */
export function damaged(id: string, message: string): AssetClientError {
  return new AssetClientError('DATA_LOSS', message, {
    reason: 'DOWNLOAD_DAMAGED',
    metadata: { file_id: id },
  });
}
