import { type AssetFile, type CallOptions, toClientError } from '@asset-service/client-core';
import { type Connection, damaged, openRead } from '@asset-service/client-core/internal';
import { createHash } from 'node:crypto';
import type { Readable, Writable } from 'node:stream';
import { findTarget, placeIn, targetFailed, writeBeside, writeInto } from './download-target.ts';
import { localFileName } from './local-name.ts';

/** Progress of a download. */
export interface DownloadProgress {
  /** Bytes that were checked and written. */
  readonly receivedBytes: number;
  readonly totalBytes: number;
}

/** Options of a download to disk. */
export interface DownloadOptions extends CallOptions {
  /** Called after each written piece. */
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
}

/** The record of a downloaded file. */
export interface DownloadedFile extends AssetFile {
  /** Path of the file: the given one, or inside the given directory. */
  readonly path: string;
}

/** Downloads a file to a path. */
export async function downloadToFile(
  connection: Connection,
  id: string,
  path: string,
  options: DownloadOptions,
): Promise<DownloadedFile> {
  const failed = (error: unknown) =>
    options.signal?.aborted === true ? toClientError(error, options.signal) : targetFailed(path, error);
  const target = await findTarget(path).catch((error: unknown) => {
    throw failed(error);
  });
  const { file, stream } = await openRead(connection, id, options);
  const write = (to: { writeFile(bytes: Uint8Array): Promise<void> }) =>
    writeChecked(file, stream, (chunk) => to.writeFile(chunk), options);
  try {
    switch (target.kind) {
      case 'directory': {
        const place = await placeIn(path, localFileName(file));
        await writeBeside(place, { exclusive: true }, write);
        return { ...file, path: place };
      }
      case 'file':
        await writeBeside(target.path, { replaced: target.replaced, exclusive: false }, write);
        return { ...file, path };
      case 'pipe':
        await writeInto(path, options.signal, write);
        return { ...file, path };
    }
  } catch (error) {
    throw failed(error);
  } finally {
    stream.destroy();
  }
}

/** Downloads a file into a stream, which stays open. */
export async function downloadTo(
  connection: Connection,
  id: string,
  destination: Writable,
  options: DownloadOptions,
): Promise<AssetFile> {
  const { file, stream } = await openRead(connection, id, options);
  // The writer gets the same error.
  const ignore = () => undefined;
  destination.on('error', ignore);
  try {
    await writeChecked(file, stream, (chunk) => writeTo(destination, chunk, options.signal), options);
    return file;
  } catch (error) {
    throw toClientError(error, options.signal);
  } finally {
    stream.destroy();
    destination.off('error', ignore);
  }
}

/** Waits until the stream accepts a piece, so that reading is not faster than writing. */
function writeTo(destination: Writable, chunk: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(toClientError(signal?.reason, signal));
    signal?.addEventListener('abort', giveUp, { once: true });
    destination.write(chunk, (error) => {
      signal?.removeEventListener('abort', giveUp);
      if (error) reject(targetFailed('the destination', error));
      else resolve();
    });
  });
}

/** Passes every piece on and compares the SHA-256 of all at the end. */
async function writeChecked(
  file: AssetFile,
  bytes: Readable,
  write: (chunk: Uint8Array) => Promise<void>,
  { onProgress, signal }: DownloadOptions,
): Promise<void> {
  const sha256 = createHash('sha256');
  let receivedBytes = 0;
  for await (const chunk of bytes as AsyncIterable<Uint8Array>) {
    // Bytes that already arrived need no other call to check the signal.
    signal?.throwIfAborted();
    await write(chunk);
    sha256.update(chunk);
    receivedBytes += chunk.length;
    onProgress?.({ receivedBytes, totalBytes: file.sizeBytes });
  }
  signal?.throwIfAborted();
  if (file.sha256 !== undefined && sha256.digest('hex') !== file.sha256) {
    throw damaged(file.id, 'the downloaded file does not have its SHA-256');
  }
}
