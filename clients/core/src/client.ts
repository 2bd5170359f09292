import {
  Disposition,
  type GetFileUrlRequestSchema,
  type GetFileUrlResponse,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { File } from '@asset-service/contract/asset/v1/file_pb.js';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs, timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { AssetClientOptions } from './connection-options.ts';
import { Connection } from './connection.ts';
import { openRead, type OpenFile, type ReadOptions } from './download.ts';
import { AssetClientError, toClientError } from './errors.ts';
import { type AssetFile, type FileChanges, toAssetFile, toFileMessage, toUpdateMask } from './records.ts';
import { type CallOptions, Retries, type Try } from './retry.ts';
import type { UploadSource } from './source.ts';
import { uploadFiles, type UploadFilesOptions, type UploadItem, type UploadResult } from './upload-many.ts';
import { uploadFile, type UploadOptions } from './upload.ts';

/** What a URL is to do. */
export interface FileUrlOptions {
  /** How long the URL may be used, in seconds, at least half of it; 15 minutes where left out. */
  readonly ttlSeconds?: number | undefined;
  /** Whether a browser shows the file, where its type is safe to show, or saves it (the default). */
  readonly disposition?: 'inline' | 'attachment' | undefined;
  /** Name under which a browser saves the file. */
  readonly downloadName?: string | undefined;
}

/** A private URL that expires. Whoever holds it can read the file until then. */
export interface FileUrl {
  readonly url: string;
  readonly expireTime: Date | undefined;
  readonly contentType: string;
  readonly sizeBytes: number;
}

/** Which files to list; a file must meet every condition that is set. */
export interface ListOptions extends CallOptions {
  readonly owner?: string | undefined;
  readonly usage?: string | undefined;
  readonly relation?: { readonly name: string; readonly id: string } | undefined;
  /** `image/png`, or `image/*` for every image. */
  readonly contentType?: string | undefined;
  /** Inclusive. */
  readonly createTimeFrom?: Date | undefined;
  /** Exclusive. */
  readonly createTimeTo?: Date | undefined;
  /** True to list softly deleted files as well. */
  readonly showDeleted?: boolean | undefined;
  /** Files fetched in one call; 50 where left out. */
  readonly pageSize?: number | undefined;
}

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

  constructor(connection: Connection) {
    this.connection = connection;
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

  /** Opens a file, or a stretch of it, for reading through the service. */
  openRead(id: string, options: ReadOptions = {}): Promise<OpenFile> {
    return openRead(this.connection, id, options);
  }

  /** The record of a file, a softly deleted one too. */
  async getFile(id: string, options: CallOptions = {}): Promise<AssetFile> {
    const { file } = await this.call(options, (call) => this.rpc.getFile({ fileId: id }, call));
    return recordOf(file);
  }

  /** The files that meet every condition, newest first; fetched a page at a time as they are taken. */
  async *listFiles(options: ListOptions = {}): AsyncGenerator<AssetFile, void, undefined> {
    const { pageSize = 0, showDeleted = false, createTimeFrom, createTimeTo, relation } = options;
    const filter = {
      owner: options.owner ?? '',
      usage: options.usage ?? '',
      contentType: options.contentType ?? '',
      ...(relation === undefined ? {} : { relation }),
      ...(createTimeFrom === undefined ? {} : { createTimeFrom: timestampFromDate(createTimeFrom) }),
      ...(createTimeTo === undefined ? {} : { createTimeTo: timestampFromDate(createTimeTo) }),
    };
    let pageToken = '';
    do {
      const page = await this.call(options, (call) =>
        this.rpc.listFiles({ filter, pageSize, pageToken, showDeleted }, call),
      );
      for (const file of page.files) yield toAssetFile(file);
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
  }

  /** Changes what a file is described by; what `changes` leaves out stays as it is. */
  async updateMetadata(id: string, changes: FileChanges, options: ChangeOptions = {}): Promise<AssetFile> {
    const paths = toUpdateMask(changes);
    // An empty mask would mean "every non-empty field".
    if (paths.length === 0) throw new AssetClientError('INVALID_ARGUMENT', 'nothing to change was given');
    const request = { file: toFileMessage(changes, id, options.etag), updateMask: { paths } };
    const { file } = await this.call(options, (call) => this.rpc.updateMetadata(request, call));
    return recordOf(file);
  }

  /** Deletes a file softly; `undeleteFile` brings it back until its `purgeTime`. */
  deleteFile(id: string, options: ChangeOptions = {}): Promise<AssetFile> {
    const request = { fileId: id, etag: options.etag ?? '' };
    return this.#switch(id, options, 'FILE_DELETED', (call) => this.rpc.deleteFile(request, call));
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
  protected call<T>(options: CallOptions, call: (current: Try) => Promise<T>): Promise<T> {
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

/** The message that asks for a URL. */
export function toUrlRequest(
  id: string,
  options: FileUrlOptions,
): MessageInitShape<typeof GetFileUrlRequestSchema> {
  const { ttlSeconds, disposition, downloadName = '' } = options;
  return {
    source: { case: 'fileId', value: id },
    downloadName,
    ...(ttlSeconds === undefined ? {} : { ttl: durationFromMs(ttlSeconds * 1000) }),
    disposition: disposition === 'inline' ? Disposition.INLINE : Disposition.ATTACHMENT,
  };
}

/** The plain object of an answer. */
export function toFileUrl(response: GetFileUrlResponse): FileUrl {
  return {
    url: response.url,
    expireTime: response.expireTime === undefined ? undefined : timestampDate(response.expireTime),
    contentType: response.contentType,
    sizeBytes: Number(response.sizeBytes),
  };
}

function recordOf(file: File | undefined): AssetFile {
  if (file === undefined) throw new AssetClientError('INTERNAL', 'the service answered without a file');
  return toAssetFile(file);
}
