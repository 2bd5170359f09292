import { UploadTransport } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { Timestamp } from '@bufbuild/protobuf/wkt';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { randomUUID } from 'node:crypto';
import { assertWhole, fromArguments } from './arguments.ts';
import type { Connection } from './connection.ts';
import { invalidOption, toClientError } from './errors.ts';
import { type AssetFile, type FileDescription, recordOf, toAssetFile, toFileMessage } from './records.ts';
import type { CallOptions, Try } from './retry.ts';

/** What an upload over several calls begins with. */
export interface StartUploadOptions extends FileDescription, CallOptions {
  /** Size of the file in bytes, where it is known; a direct upload needs it. */
  readonly sizeBytes?: number | undefined;
  /** The same id gives the same upload, also from another process. A random one where left out. */
  readonly requestId?: string | undefined;
  /** `direct` for an upload whose parts go straight to the store, by the URLs of `signUploadParts`; `service` (the default). */
  readonly transport?: 'service' | 'direct' | undefined;
}

/** An upload that was begun. */
export interface StartedUpload {
  /** Id of the upload, and of the file that it becomes. */
  readonly uploadId: string;
  /** The request id that it was begun with. */
  readonly requestId: string;
  /** When the service gives the upload up if nothing more comes; undefined if it is a file already. */
  readonly expireTime: Date | undefined;
  /** Size of each part of a direct upload but the last. */
  readonly partSizeBytes: number;
}

/** How far an upload is. */
export interface UploadStatus {
  readonly uploadId: string;
  /** Bytes that are durable. */
  readonly persistedBytes: number;
  /** The file, once the upload is finished. */
  readonly file: AssetFile | undefined;
  /** When the service gives the upload up if nothing more comes. */
  readonly expireTime: Date | undefined;
}

/** Where to send one part of a direct upload: by PUT, with exactly these headers. */
export interface UploadPart {
  /** From 1. */
  readonly partNumber: number;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The URLs of parts. */
export interface UploadParts {
  readonly parts: readonly UploadPart[];
  readonly expireTime: Date | undefined;
}

/** What a direct upload is held to when it is completed. */
export interface CompleteUploadOptions extends CallOptions {
  /** SHA-256 of the whole file in hexadecimal. */
  readonly sha256?: string | undefined;
  /** CRC32C of the whole file. */
  readonly crc32c?: number | undefined;
}

/** Makes a call with its retries. */
type Caller = <T>(options: CallOptions, call: (current: Try) => Promise<T>) => Promise<T>;

/** The calls about one upload, each with retries. */
export class UploadSessions {
  readonly #rpc: Connection['rpc'];
  readonly #call: Caller;

  constructor(rpc: Connection['rpc'], call: Caller) {
    this.#rpc = rpc;
    this.#call = call;
  }

  /** Begins an upload, or finds the one that the request id stands for. */
  async start(options: StartUploadOptions): Promise<StartedUpload> {
    const { requestId = randomUUID(), transport = 'service' } = options;
    const sizeBytes = assertWhole('sizeBytes', options.sizeBytes);
    if (transport !== 'service' && transport !== 'direct') {
      throw invalidOption(`transport must be 'service' or 'direct', not ${String(transport)}`);
    }
    const request = fromArguments(() => ({
      uploadSpec: {
        file: toFileMessage(options),
        requestId,
        ...(sizeBytes === undefined ? {} : { sizeBytes: BigInt(sizeBytes) }),
      },
      transport: transport === 'direct' ? UploadTransport.DIRECT : UploadTransport.THROUGH_SERVICE,
    }));
    const started = await this.#call(options, (current) => this.#rpc.startUpload(request, current));
    return {
      uploadId: started.uploadId,
      requestId,
      expireTime: toDate(started.expireTime),
      partSizeBytes: Number(started.partSizeBytes),
    };
  }

  /** How far an upload is. */
  async get(uploadId: string, options: CallOptions): Promise<UploadStatus> {
    const { writeStatus, expireTime } = await this.#call(options, (current) =>
      this.#rpc.getUpload({ uploadId }, current),
    );
    const file = writeStatus.case === 'file' ? toAssetFile(writeStatus.value) : undefined;
    const persistedBytes = file?.sizeBytes ?? Number(writeStatus.value ?? 0n);
    return { uploadId, persistedBytes, file, expireTime: toDate(expireTime) };
  }

  /** Signs URLs for parts of a direct upload. */
  async signParts(
    uploadId: string,
    partNumbers: readonly number[],
    options: CallOptions,
  ): Promise<UploadParts> {
    const numbers = fromArguments(() => [...partNumbers]);
    for (const number of numbers) assertWhole('partNumbers', number, 1);
    const { parts, expireTime } = await this.#call(options, (current) =>
      this.#rpc.signUploadParts({ uploadId, partNumbers: numbers }, current),
    );
    return {
      parts: parts.map(({ partNumber, url, headers }) => ({ partNumber, url, headers: { ...headers } })),
      expireTime: toDate(expireTime),
    };
  }

  /** Makes a file of an upload whose bytes are all there. */
  async complete(uploadId: string, options: CompleteUploadOptions): Promise<AssetFile> {
    const { sha256, crc32c } = options;
    if (sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(sha256)) {
      throw invalidOption('sha256 must be 64 hexadecimal digits');
    }
    const checksums = {
      ...(sha256 === undefined ? {} : { sha256: Buffer.from(sha256, 'hex') }),
      ...(crc32c === undefined ? {} : { crc32c: assertWhole('crc32c', crc32c)! }),
    };
    const { file } = await this.#call(options, (current) =>
      this.#rpc.completeUpload({ uploadId, checksums }, current),
    );
    return recordOf(file);
  }

  /** Gives an upload up, with all that was sent of it. */
  cancel(uploadId: string, options: CallOptions): Promise<void> {
    return this.#call(options, async (current) => {
      await this.#rpc.cancelUpload({ uploadId }, current).catch((error: unknown) => {
        // The try before did it, and its answer was lost.
        if (current.attempt > 1 && toClientError(error).reason === 'UPLOAD_NOT_FOUND') return;
        throw error;
      });
    });
  }
}

function toDate(time: Timestamp | undefined): Date | undefined {
  return time === undefined ? undefined : timestampDate(time);
}
