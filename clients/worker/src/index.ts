import { AssetClient, type AssetClientOptions, type AssetFile, Connection } from '@asset-service/client-core';
import { downloadToFile, type DownloadOptions } from './download-to-file.ts';

export * from '@asset-service/client-core';
export type { DownloadOptions, DownloadProgress } from './download-to-file.ts';

/** What a worker or a job does with files: everything of {@link AssetClient}, and downloads to the disk. */
export class WorkerClient extends AssetClient {
  /**
   * Downloads a file to a path, replacing what is there. The path shows either the whole file, checked against its
   * SHA-256, or what it showed before; never a part. A download that is cut goes on where it stopped.
   */
  downloadToFile(id: string, path: string, options: DownloadOptions = {}): Promise<AssetFile> {
    return downloadToFile(this.connection, id, path, options);
  }
}

/** Opens a client for a worker. Nothing is sent until the first call. */
export function createWorkerClient(options: AssetClientOptions): WorkerClient {
  return new WorkerClient(new Connection(options));
}
