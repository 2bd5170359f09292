import {
  type AssetFile,
  type CallOptions,
  type Connection,
  damaged,
  openRead,
} from '@asset-service/client-core';
import { createHash, randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** How far a download is. */
export interface DownloadProgress {
  /** Bytes that are checked and written. */
  readonly receivedBytes: number;
  readonly totalBytes: number;
}

/** Options of a download to the disk. */
export interface DownloadOptions extends CallOptions {
  /** Called after each piece that was written. */
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
}

/** Writes a file beside `path`, checks it, and gives it the name only then. */
export async function downloadToFile(
  connection: Connection,
  id: string,
  path: string,
  options: DownloadOptions,
): Promise<AssetFile> {
  const { file, stream } = await openRead(connection, id, options);
  // In the same folder, since a rename across file systems is a copy.
  const part = join(dirname(path), `.${basename(path).slice(0, 100)}.${randomUUID()}.part`);
  try {
    await writeChecked(file, stream, part, options);
    await rename(part, path);
    return file;
  } catch (error) {
    stream.destroy();
    await rm(part, { force: true });
    throw error;
  }
}

async function writeChecked(
  file: AssetFile,
  bytes: AsyncIterable<Uint8Array>,
  path: string,
  { onProgress }: DownloadOptions,
): Promise<void> {
  const sha256 = createHash('sha256');
  let receivedBytes = 0;
  const handle = await open(path, 'wx');
  try {
    for await (const chunk of bytes) {
      await handle.writeFile(chunk);
      sha256.update(chunk);
      receivedBytes += chunk.length;
      onProgress?.({ receivedBytes, totalBytes: file.sizeBytes });
    }
    if (file.sha256 !== undefined && sha256.digest('hex') !== file.sha256) {
      throw damaged(file.id, 'the downloaded file does not have its SHA-256');
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}
