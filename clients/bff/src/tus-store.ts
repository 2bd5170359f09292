import {
  AssetClientError,
  type AssetFile,
  type FileDescription,
  httpStatus,
  type UploadStatus,
} from '@asset-service/client-core';
import { DataStore, Upload } from '@tus/server';
import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { UploadCaller } from './direct-uploads.ts';

/** Whose request it is. */
export type TusCaller = UploadCaller;

/** What a browser says of a file: `filename`, `filetype` and what else the page sends. A key without value is null. */
export type TusMetadata = Readonly<Record<string, string | null>>;

/** How uploads of tus clients become files. `R` is the request. */
export interface TusStoreOptions<R> {
  /** The user of a request. It may throw an {@link AssetClientError}, or a `status_code` and a `body`. */
  readonly caller: (request: R) => TusCaller | Promise<TusCaller>;
  /**
   * What the file will be. A browser can send any metadata: take from it only what its user may decide, never the owner.
   * Default: name and type alone.
   */
  readonly describe?: (metadata: TusMetadata, request: R) => FileDescription | Promise<FileDescription>;
}

/** A file of a finished upload, beside what @tus/server knows of one. */
export interface AssetUpload extends Upload {
  /** Set when the upload is finished, for `onUploadFinish`. */
  file?: AssetFile | undefined;
  /** When the upload expires unless more bytes come; undefined if it is finished. */
  expireTime?: Date | undefined;
}

/** What is known while one request is served. */
interface Serving<R> {
  readonly request: R;
  readonly caller: TusCaller;
  upload?: AssetUpload;
  /** Bytes that the upload of a POST had before it; @tus/server takes the offset of `upload` for 0. */
  persistedBytes?: number;
}

/** Number of tries to cancel an upload whose last request is still ending. */
const CANCEL_TRIES = 20;

/** A data store for @tus/server over uploads of the Asset Service: one upload is one session. It keeps nothing itself. */
export class AssetTusStore<R> extends DataStore {
  readonly #options: TusStoreOptions<R>;
  readonly #serving = new AsyncLocalStorage<Serving<R>>();

  constructor(options: TusStoreOptions<R>) {
    super();
    this.#options = options;
    this.extensions = [
      'creation',
      'creation-with-upload',
      'creation-defer-length',
      'termination',
      'expiration',
    ];
  }

  /** Serves a request for its user. The other methods work inside only. */
  async serve<T>(request: R, work: () => Promise<T>): Promise<T> {
    const caller = await this.#options.caller(request);
    return this.#serving.run({ request, caller }, work);
  }

  /** The upload of the request that is being served, as far as it is known. */
  get served(): AssetUpload | undefined {
    return this.#serving.getStore()?.upload;
  }

  override async create(upload: Upload): Promise<Upload> {
    const { request, caller } = this.#now();
    const metadata = upload.metadata ?? {};
    const description = (await this.#options.describe?.(metadata, request)) ?? describeTusFile(metadata);
    const { client } = caller;
    let requestId = requestIdOf(caller, description, metadata, upload.size);
    for (;;) {
      const begun = await client.startUpload({ ...description, requestId, sizeBytes: upload.size });
      const id = begun.uploadId;
      // Without a request id it is new. Otherwise an earlier POST may have begun it, and bytes may have come.
      const known = requestId === undefined ? undefined : await client.getUpload(id);
      const file = known?.file;
      if (requestId !== undefined && file?.deleteTime !== undefined) {
        // The user deleted the file and uploads it again.
        requestId = hashOf([requestId, file.id]);
        continue;
      }
      const opened: AssetUpload = Object.assign(upload, { id, file, expireTime: begun.expireTime });
      Object.assign(this.#now(), { upload: opened, persistedBytes: known?.persistedBytes ?? 0 });
      if (upload.size === 0 && file === undefined) {
        Object.assign(opened, { file: await client.completeUpload(id), expireTime: undefined });
      }
      return opened;
    }
  }

  override async getUpload(id: string): Promise<AssetUpload> {
    const status = await this.#now().caller.client.getUpload(id);
    return (this.#now().upload = toUpload(status));
  }

  /** Called before `write`, which tells the service. */
  override async declareUploadLength(id: string, sizeBytes: number): Promise<void> {
    (await this.#known(id)).size = sizeBytes;
  }

  override async write(stream: Readable, id: string, offset: number): Promise<number> {
    const upload = await this.#known(id);
    const { caller, persistedBytes: before = upload.offset } = this.#now();
    const { client } = caller;
    // The repetition of a POST that brought bytes: what came stays, and the browser goes on from there.
    if (upload.file !== undefined || before !== offset) {
      await drain(stream);
      return upload.file === undefined ? before : (upload.size ?? before);
    }
    const source = stream.iterator({ destroyOnReturn: false });
    try {
      const options = { writeOffset: offset, sizeBytes: upload.size };
      const { persistedBytes, file } = await client.appendUpload(id, source, options);
      upload.file = file;
      upload.offset = persistedBytes;
      upload.expireTime = file ? undefined : (await client.getUpload(id)).expireTime;
      return persistedBytes;
    } catch (error) {
      if (isRefusal(error)) await drain(stream);
      throw error;
    }
  }

  override async remove(id: string): Promise<void> {
    const { client } = this.#now().caller;
    for (let tries = 1; ; tries++) {
      try {
        return await client.cancelUpload(id);
      } catch (error) {
        const isEnding = error instanceof AssetClientError && error.reason === 'UPLOAD_TAKEN_OVER';
        if (!isEnding || tries === CANCEL_TRIES) throw error;
      }
      await sleep(50);
    }
  }

  /** Resolves with 0: the service removes uploads that have expired, for all BFFs. */
  override deleteExpired(): Promise<number> {
    return Promise.resolve(0);
  }

  async #known(id: string): Promise<AssetUpload> {
    const { upload } = this.#now();
    return upload?.id === id ? upload : this.getUpload(id);
  }

  #now(): Serving<R> {
    const serving = this.#serving.getStore();
    if (serving === undefined)
      throw new Error('a request is served by createTusServer, or inside of serve()');
    return serving;
  }
}

/** True for an error after which the same bytes cannot succeed. */
function isRefusal(error: unknown): boolean {
  const status = httpStatus(error);
  return status < 500 && ![408, 409, 429, 499].includes(status);
}

/**
 * Reads what a browser still sends: most of them read the response only when they have sent everything. Nobody waits for it
 * who could go on at once.
 */
async function drain(stream: Readable): Promise<void> {
  try {
    for await (const _chunk of stream);
  } catch {
    // It has gone.
  }
}

/** Name and type of a file, from what tus clients send by convention. */
export function describeTusFile(metadata: TusMetadata): Pick<FileDescription, 'name' | 'contentType'> {
  const type = metadata['filetype'] ?? metadata['type'] ?? '';
  return {
    name: metadata['filename'] ?? metadata['name'] ?? undefined,
    // Browsers send it for files of a type that they do not know.
    contentType: type === '' || type === 'application/octet-stream' ? undefined : type,
  };
}

/**
 * The same for every POST of one file by one user to one place, so that a POST whose answer was lost is harmless. Without
 * a `fingerprint` in the metadata every POST begins an upload.
 */
function requestIdOf(
  { userId }: TusCaller,
  { name, owner, usage, relations }: FileDescription,
  { fingerprint }: TusMetadata,
  size: number | undefined,
): string | undefined {
  if (fingerprint === undefined || fingerprint === null || fingerprint === '') return undefined;
  const targets = Object.entries(relations ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return hashOf([userId, owner, usage, targets, name, size, fingerprint]);
}

function hashOf(values: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(values)).digest('base64url');
}

function toUpload({ uploadId, persistedBytes, ...status }: UploadStatus): AssetUpload {
  const { file, description, expireTime, createTime } = status;
  const size = file === undefined ? status.sizeBytes : file.sizeBytes;
  const upload = new Upload({
    ...{ id: uploadId, offset: persistedBytes },
    ...(size !== undefined && { size }),
    metadata: {
      ...(description?.name && { filename: description.name }),
      ...(description?.contentType && { filetype: description.contentType }),
    },
    ...(createTime && { creation_date: createTime.toISOString() }),
  });
  return Object.assign(upload, { file, expireTime });
}
