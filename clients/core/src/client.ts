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
import { type CallOptions, Retries, type Try } from './retry.ts';
import type { UploadSource } from './source.ts';
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

/** A precondition of a change. */
export interface ChangeOptions extends CallOptions {
  /** Change the record only if this is its etag; ABORTED otherwise. */
  readonly etag?: string | undefined;
}

/**
 * A client of the Asset Service. It holds one connection and is meant to be kept; `close` lets go of it.
 * Every method rejects with {@link AssetClientError}.
 */
export class AssetClient {
  protected readonly connection: Connection;
  readonly #sessions: UploadSessions;

  constructor(connection: Connection) {
    this.connection = connection;
    this.#sessions = new UploadSessions(connection.rpc, (options, call) => this.call(options, call));
  }

  /** The generated client, for calls that have no method here. It sends the identity and does not retry. */
  get rpc(): Connection['rpc'] {
    return this.connection.rpc;
  }

  /**
   * Uploads a file and resolves with its record once its bytes are durable. A large one goes on where it stood after a cut
   * connection or a restart of the service.
   */
  uploadFile(source: UploadSource, options: UploadOptions = {}): Promise<AssetFile> {
    return uploadFile(this.connection, source, options);
  }

  /**
   * Uploads many files, at most `concurrency` at once. Resolves with one result for each, in their order; a file that fails
   * does not stop the others.
   */
  uploadFiles(
    sources: Iterable<UploadSource | UploadItem> | AsyncIterable<UploadSource | UploadItem>,
    options: UploadFilesOptions = {},
  ): Promise<UploadResult[]> {
    return uploadFiles(this.connection, sources, options);
  }

  /**
   * Begins an upload that others send the bytes of, or that goes on later; see {@link resumeUpload} and {@link signUploadParts}.
   * It counts in the owner's quota until it is finished, cancelled or expired.
   */
  startUpload(options: StartUploadOptions = {}): Promise<StartedUpload> {
    return this.#sessions.start(options);
  }

  /** How far an upload is, by the id that {@link startUpload} gave. */
  getUpload(uploadId: string, options: CallOptions = {}): Promise<UploadStatus> {
    return this.#sessions.get(uploadId, options);
  }

  /**
   * Sends what the service does not have yet of an upload that was begun, and makes a file of it. The source is that of the whole
   * file. A failure leaves the upload as it stands, to be resumed again.
   */
  resumeUpload(uploadId: string, source: UploadSource, options: ResumeOptions = {}): Promise<AssetFile> {
    return resumeUpload(this.connection, uploadId, source, options);
  }

  /** Signs the URLs of parts of a direct upload, 1,000 at most. */
  signUploadParts(
    uploadId: string,
    partNumbers: readonly number[],
    options: CallOptions = {},
  ): Promise<UploadParts> {
    return this.#sessions.signParts(uploadId, partNumbers, options);
  }

  /** Makes a file of an upload whose bytes are all there, such as a direct one whose parts were sent. */
  completeUpload(uploadId: string, options: CompleteUploadOptions = {}): Promise<AssetFile> {
    return this.#sessions.complete(uploadId, options);
  }

  /** Gives an upload up, and removes what was sent of it. */
  cancelUpload(uploadId: string, options: CallOptions = {}): Promise<void> {
    return this.#sessions.cancel(uploadId, options);
  }

  /** Downloads a file, or a stretch of it, into memory, up to `maxBytes`; a whole one is checked against its SHA-256. */
  downloadBytes(id: string, options: DownloadBytesOptions = {}): Promise<DownloadedBytes> {
    return downloadBytes(this.connection, id, options);
  }

  /** Opens a file, or a stretch of it, for reading through the service. */
  openRead(id: string, options: ReadOptions = {}): Promise<OpenFile> {
    return openRead(this.connection, id, options).catch((error: unknown) => {
      throw toClientError(error, options.signal);
    });
  }

  /** The record of a file, a softly deleted one too. */
  async getFile(id: string, options: CallOptions = {}): Promise<AssetFile> {
    const { file } = await this.call(options, (call) => this.rpc.getFile({ fileId: id }, call));
    return recordOf(file);
  }

  /** The records of many files, in the order of `ids`; each result is a record or the error for that file. */
  getFiles(ids: readonly string[], options: CallOptions = {}): Promise<FileResult[]> {
    const ask = (fileIds: string[]) =>
      this.call(options, (call) => this.rpc.batchGetFiles({ fileIds }, call));
    return getFiles(ask, ids);
  }

  /** The files that meet every condition, newest first; fetched a page at a time as they are taken. */
  async *listFiles(options: ListOptions = {}): AsyncGenerator<AssetFile, void, undefined> {
    let pageToken: string | undefined;
    do {
      const page = await this.listFilesPage({ ...options, pageToken });
      yield* page.files;
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined);
  }

  /** One page of the files that meet every condition, newest first, for a list that people leaf through. */
  async listFilesPage(options: PageOptions = {}): Promise<FilePage> {
    const request = toListRequest(options);
    const page = await this.call(options, (call) => this.rpc.listFiles(request, call));
    return { files: page.files.map(toAssetFile), nextPageToken: page.nextPageToken || undefined };
  }

  /** Changes what a file is described by; what `changes` leaves out stays as it is. */
  async updateMetadata(id: string, changes: FileChanges, options: ChangeOptions = {}): Promise<AssetFile> {
    const request = fromArguments(() => ({
      file: toFileMessage(changes, id, options.etag),
      updateMask: { paths: toUpdateMask(changes) },
    }));
    // An empty mask would mean "every non-empty field".
    if (request.updateMask.paths.length === 0) throw invalidOption('nothing to change was given');
    const { file } = await this.call(options, (call) => this.rpc.updateMetadata(request, call));
    return recordOf(file);
  }

  /** Deletes a file softly; `undeleteFile` brings it back until its `purgeTime`. */
  deleteFile(id: string, options: ChangeOptions = {}): Promise<AssetFile> {
    const request = { fileId: id, etag: options.etag ?? '' };
    return this.#switch(id, options, 'FILE_DELETED', (call) => this.rpc.deleteFile(request, call));
  }

  /** Deletes many files softly; each result is the record or the error for that file, in the order of `ids`. */
  deleteFiles(ids: readonly string[], options: ManyOptions = {}): Promise<FileResult[]> {
    const { signal, timeoutMs, headers } = options;
    return forEachFile((id) => this.deleteFile(id, { signal, timeoutMs, headers }), ids, options);
  }

  /** Brings back a softly deleted file. */
  undeleteFile(id: string, options: ChangeOptions = {}): Promise<AssetFile> {
    const request = { fileId: id, etag: options.etag ?? '' };
    return this.#switch(id, options, 'FILE_NOT_DELETED', (call) => this.rpc.undeleteFile(request, call));
  }

  /** A private URL of a file that expires. */
  async fileUrl(id: string, options: FileUrlOptions & CallOptions = {}): Promise<FileUrl> {
    return toFileUrl(
      await this.call(options, (call) => this.rpc.getFileUrl(toUrlRequest(id, options), call)),
    );
  }

  /** Ends what is still running and lets go of the connection. No other method may be called after it. */
  close(): void {
    this.connection.close();
  }

  /** The same as {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /** Makes a call that moves no bytes, again where that may help. */
  protected async call<T>(options: CallOptions, call: (current: Try) => Promise<T>): Promise<T> {
    return new Retries(this.connection.retry, options, this.connection.callMs).run(call);
  }

  /** A retry that finds done what it asks for was preceded by a try whose answer was lost. */
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

/** Opens a client. Nothing is sent until the first call. */
export function createAssetClient(options: AssetClientOptions): AssetClient {
  return new AssetClient(new Connection(options));
}
