import { AssetClient, type AssetClientOptions, type AssetFile } from '@asset-service/client-core';
import { Connection } from '@asset-service/client-core/internal';
import type { Writable } from 'node:stream';
import { type DownloadedFile, type DownloadOptions, downloadTo, downloadToFile } from './download-to-file.ts';

export * from '@asset-service/client-core';
export type { DownloadedFile, DownloadOptions, DownloadProgress } from './download-to-file.ts';
export { localFileName } from './local-name.ts';

/** A client for workers and jobs: {@link AssetClient} and downloads to disk. */
export class WorkerClient extends AssetClient {
  /**
   * Downloads a file to a path. The path gets the whole file after it matches its SHA-256, or stays unchanged. A
   * broken download resumes.
   *
   * A regular file is replaced and keeps its mode; a symbolic link stays and its target is replaced. A directory
   * gets the file under {@link localFileName}; an existing file there is TARGET_EXISTS. Named pipes and devices are
   * written directly, so the check comes after the bytes. A target that cannot be written is TARGET_FAILED.
   */
  downloadToFile(id: string, path: string, options: DownloadOptions = {}): Promise<DownloadedFile> {
    return downloadToFile(this.connection, id, path, options);
  }

  /**
   * Downloads a file into a stream such as standard output, as fast as it accepts bytes; the stream stays open. The
   * SHA-256 is checked at the end: do not use the bytes before this resolves.
   */
  downloadTo(id: string, destination: Writable, options: DownloadOptions = {}): Promise<AssetFile> {
    return downloadTo(this.connection, id, destination, options);
  }
}

/** Creates a client for a worker. It connects with the first call. */
export function createWorkerClient(options: AssetClientOptions): WorkerClient {
  return new WorkerClient(new Connection(options));
}
