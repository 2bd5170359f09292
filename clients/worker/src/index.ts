import { AssetClient, type AssetClientOptions, type AssetFile } from '@asset-service/client-core';
import { Connection } from '@asset-service/client-core/internal';
import type { Writable } from 'node:stream';
import { type DownloadedFile, type DownloadOptions, downloadTo, downloadToFile } from './download-to-file.ts';

export * from '@asset-service/client-core';
export type { DownloadedFile, DownloadOptions, DownloadProgress } from './download-to-file.ts';
export { localFileName } from './local-name.ts';

/** What a worker or a job does with files: everything of {@link AssetClient}, and downloads to the disk. */
export class WorkerClient extends AssetClient {
  /**
   * Downloads a file to a path. The path shows either the whole file, checked against its SHA-256, or what it showed before; never a
   * part. A download that is cut goes on where it stopped.
   *
   * A regular file is replaced and keeps its mode; of a symbolic link, what it leads to. A directory receives the file under
   * {@link localFileName}, and nothing there is replaced (TARGET_EXISTS). A named pipe and a device are written to as they
   * are, so that there the check comes after the bytes. Whatever cannot be written is TARGET_FAILED.
   */
  downloadToFile(id: string, path: string, options: DownloadOptions = {}): Promise<DownloadedFile> {
    return downloadToFile(this.connection, id, path, options);
  }

  /**
   * Downloads a file into a stream, such as standard output, no faster than it takes the bytes; the stream stays open. The whole is
   * checked against its SHA-256 at the end, so do not use what came before this resolves.
   */
  downloadTo(id: string, destination: Writable, options: DownloadOptions = {}): Promise<AssetFile> {
    return downloadTo(this.connection, id, destination, options);
  }
}

/** Opens a client for a worker. Nothing is sent until the first call. */
export function createWorkerClient(options: AssetClientOptions): WorkerClient {
  return new WorkerClient(new Connection(options));
}
