import type { File } from '@asset-service/contract/asset/v1/file_pb.js';
import { fromArguments } from './arguments.ts';
import type { AssetClientOptions } from './connection-options.ts';
import { Connection } from './connection.ts';
import {
  type DownloadBytesOptions,
  type DownloadedBytes,
  downloadBytes,
  openRead,
  type OpenFile,
  type ReadOptions,
} from './download.ts';
import { invalidOption, toClientError } from './errors.ts';
import { type FileUrl, type FileUrlOptions, toFileUrl, toUrlRequest } from './file-url.ts';
import { type FilePage, type ListOptions, type PageOptions, toListRequest } from './list.ts';
import { type FileResult, forEachFile, getFiles, type ManyOptions } from './many.ts';
import {
  type AssetFile,
  type FileChanges,
  recordOf,
  toAssetFile,
  toFileMessage,
  toUpdateMask,
} from './records.ts';
import { type CallOptions, type ChangeOptions, Retries, type Try } from './retry.ts';
import type { ByteStream, UploadSource } from './source.ts';
import { type AppendedUpload, type AppendOptions, appendUpload } from './upload-append.ts';
import { uploadFiles, type UploadFilesOptions, type UploadItem, type UploadResult } from './upload-many.ts';
import {
  type CompleteUploadOptions,
  type StartedUpload,
  type StartUploadOptions,
  type UploadParts,
  UploadSessions,
  type UploadStatus,
} from './upload-sessions.ts';
import { resumeUpload, type ResumeOptions, uploadFile, type UploadOptions } from './upload.ts';
import { type FileEvent, watchFiles, type WatchOptions } from './watch.ts';

/**
 * A client of the Asset Service. It holds one connection: keep it, and call `close` at the end. Every method
 * rejects with {@link AssetClientError}.
 */
export class AssetClient {
  protected readonly connection: Connection;
  readonly #sessions: UploadSessions;

  constructor(connection: Connection) {
    this.connection = connection;
    this.#sessions = new UploadSessions(connection.rpc, (options, call) => this.call(options, call));
  }

  /** The generated client, for RPCs without a method here. It sends the identity and does not retry. */
  get rpc(): Connection['rpc'] {
    return this.connection.rpc;
  }

  /**
   * Uploads a file. Resolves with its record when its bytes are durable. A large upload resumes after a lost
   * connection or a restart of the service.
   */
  uploadFile(source: UploadSource, options: UploadOptions = {}): Promise<AssetFile> {
    return uploadFile(this.connection, source, options);
  }

  /**
   * Uploads many files, at most `concurrency` at once. Resolves with one result per file, in order; a failed file
   * does not stop the others.
   */
  uploadFiles(
    sources: Iterable<UploadSource | UploadItem> | AsyncIterable<UploadSource | UploadItem>,
    options: UploadFilesOptions = {},
  ): Promise<UploadResult[]> {
    return uploadFiles(this.connection, sources, options);
  }

  /**
   * Begins an upload to finish with {@link resumeUpload} or {@link signUploadParts}. It counts in the owner's quota
   * until it is finished, cancelled or expired.
   */
  startUpload(options: StartUploadOptions = {}): Promise<StartedUpload> {
    return this.#sessions.start(options);
  }

  /** The state of an upload; the id is from {@link startUpload}. */
  getUpload(uploadId: string, options: CallOptions = {}): Promise<UploadStatus> {
    return this.#sessions.get(uploadId, options);
  }

  /**
   * Sends what the service does not have yet and completes the upload. The source is the whole file. After a
   * failure the upload stays and can be resumed again.
   */
  resumeUpload(uploadId: string, source: UploadSource, options: ResumeOptions = {}): Promise<AssetFile> {
    return resumeUpload(this.connection, uploadId, source, options);
  }

  /**
   * Adds the next bytes of an upload in one call, without retries. What came before a failure is kept: {@link getUpload}
   * tells where to continue.
   */
  appendUpload(uploadId: string, source: ByteStream, options: AppendOptions): Promise<AppendedUpload> {
    return appendUpload(this.connection, uploadId, source, options);
  }

  /** Signs URLs for up to 1,000 parts of a direct upload. */
  signUploadParts(
    uploadId: string,
    partNumbers: readonly number[],
    options: CallOptions = {},
  ): Promise<UploadParts> {
    return this.#sessions.signParts(uploadId, partNumbers, options);
  }

  /** Completes an upload after all its bytes were sent, for example a direct one. */
  completeUpload(uploadId: string, options: CompleteUploadOptions = {}): Promise<AssetFile> {
    return this.#sessions.complete(uploadId, options);
  }

  /** Cancels an upload and removes what was sent. */
  cancelUpload(uploadId: string, options: CallOptions = {}): Promise<void> {
    return this.#sessions.cancel(uploadId, options);
  }

  /** Downloads a file or a range into memory, up to `maxBytes`. A whole file is checked against its SHA-256. */
  downloadBytes(id: string, options: DownloadBytesOptions = {}): Promise<DownloadedBytes> {
    return downloadBytes(this.connection, id, options);
  }

  /** Opens a file or a range for reading through the service. */
  openRead(id: string, options: ReadOptions = {}): Promise<OpenFile> {
    return openRead(this.connection, id, options).catch((error: unknown) => {
      throw toClientError(error, options.signal);
    });
  }

  /** The record of a file, also of a soft-deleted one. */
  async getFile(id: string, options: CallOptions = {}): Promise<AssetFile> {
    const { file, thumbhash, variants } = await this.call(options, (call) =>
      this.rpc.getFile({ fileId: id }, call),
    );
    return {
      ...recordOf(file),
      ...(thumbhash.length > 0 && { thumbhash }),
      ...(variants.length > 0 && { variants }),
    };
  }

  /** The records of many files, in the order of `ids`: each result has a record or an error. */
  getFiles(ids: readonly string[], options: CallOptions = {}): Promise<FileResult[]> {
    const ask = (fileIds: string[]) =>
      this.call(options, (call) => this.rpc.batchGetFiles({ fileIds }, call));
    return getFiles(ask, ids);
  }

  /** All files that meet the conditions, newest first. Fetches pages as they are consumed. */
  async *listFiles(options: ListOptions = {}): AsyncGenerator<AssetFile, void, undefined> {
    let pageToken: string | undefined;
    do {
      const page = await this.listFilesPage({ ...options, pageToken });
      yield* page.files;
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined);
  }

  /** One page of the files that meet the conditions, newest first. */
  async listFilesPage(options: PageOptions = {}): Promise<FilePage> {
    const request = toListRequest(options);
    const page = await this.call(options, (call) => this.rpc.listFiles(request, call));
    return { files: page.files.map(toAssetFile), nextPageToken: page.nextPageToken || undefined };
  }

  /**
   * Changes of files as they happen, without end: leave the loop or abort the signal to stop. Connects again by
   * itself with the last cursor. Fails with CURSOR_EXPIRED if the changes after a cursor are not kept any more: start
   * again with `from: 'existing'`.
   */
  watchFiles(options: WatchOptions = {}): AsyncGenerator<FileEvent, void, undefined> {
    return watchFiles(this.connection, options);
  }

  /** Changes the record of a file; fields that `changes` omits stay. */
  async updateMetadata(id: string, changes: FileChanges, options: ChangeOptions = {}): Promise<AssetFile> {
    const request = fromArguments(() => ({
      file: toFileMessage(changes, id, options.etag),
      updateMask: { paths: toUpdateMask(changes) },
    }));
    // An empty mask means "every non-empty field" to the service.
    if (request.updateMask.paths.length === 0) throw invalidOption('nothing to change was given');
    const { file } = await this.call(options, (call) => this.rpc.updateMetadata(request, call));
    return recordOf(file);
  }

  /** Soft-deletes a file; `undeleteFile` restores it until its `purgeTime`. */
  deleteFile(id: string, options: ChangeOptions = {}): Promise<AssetFile> {
    const request = { fileId: id, etag: options.etag ?? '' };
    return this.#switch(id, options, 'FILE_DELETED', (call) => this.rpc.deleteFile(request, call));
  }

  /** Soft-deletes many files, in the order of `ids`: each result has a record or an error. */
  deleteFiles(ids: readonly string[], options: ManyOptions = {}): Promise<FileResult[]> {
    const { signal, timeoutMs, headers } = options;
    return forEachFile((id) => this.deleteFile(id, { signal, timeoutMs, headers }), ids, options);
  }

  /** Restores a soft-deleted file. */
  undeleteFile(id: string, options: ChangeOptions = {}): Promise<AssetFile> {
    const request = { fileId: id, etag: options.etag ?? '' };
    return this.#switch(id, options, 'FILE_NOT_DELETED', (call) => this.rpc.undeleteFile(request, call));
  }

  /** A signed URL for a file; it expires. */
  async fileUrl(id: string, options: FileUrlOptions & CallOptions = {}): Promise<FileUrl> {
    return toFileUrl(
      await this.call(options, (call) => this.rpc.getFileUrl(toUrlRequest(id, options), call)),
    );
  }

  /** Ends running calls and closes the connection. Call no other method afterwards. */
  close(): void {
    this.connection.close();
  }

  /** {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /** Makes a call that transfers no file bytes, with retries. */
  protected async call<T>(options: CallOptions, call: (current: Try) => Promise<T>): Promise<T> {
    return new Retries(this.connection.retry, options, this.connection.callMs).run(call);
  }

  /** If a retry finds the change already made, the first try made it and its response was lost. */
  #switch(
    id: string,
    options: ChangeOptions,
    done: string,
    change: (current: Try) => Promise<{ file?: File | undefined }>,
  ): Promise<AssetFile> {
    return this.call(options, async (current) => {
      const { file } = await change(current).catch((error: unknown) => {
        if (current.attempt > 1 && toClientError(error).reason === done) {
          return this.rpc.getFile({ fileId: id }, current);
        }
        throw error;
      });
      return recordOf(file);
    });
  }
}

/** Creates a client. It connects with the first call. */
export function createAssetClient(options: AssetClientOptions): AssetClient {
  return new AssetClient(new Connection(options));
}
