import { UploadTransport } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { Timestamp } from '@bufbuild/protobuf/wkt';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { randomUUID } from 'node:crypto';
import { assertWhole, fromArguments } from './arguments.ts';
import type { Connection } from './connection.ts';
import { invalidOption, toClientError } from './errors.ts';
import {
  type AssetFile,
  type FileDescription,
  recordOf,
  toAssetFile,
  toFileDescription,
  toFileMessage,
} from './records.ts';
import type { CallOptions, Try } from './retry.ts';

/** Options of an upload that takes several calls. */
export interface StartUploadOptions extends FileDescription, CallOptions {
  /** Size of the file in bytes, if known; a direct upload needs it. */
  readonly sizeBytes?: number | undefined;
  /** The same id gives the same upload, also from another process. Default: a random id. */
  readonly requestId?: string | undefined;
  /** `service` (default), or `direct`: parts go straight to the store, to URLs from `signUploadParts`. */
  readonly transport?: 'service' | 'direct' | undefined;
}

/** A begun upload. */
export interface StartedUpload {
  /** Id of the upload and of the resulting file. */
  readonly uploadId: string;
  /** Its request id. */
  readonly requestId: string;
  /** When the upload expires unless bytes are sent; undefined if it is finished. */
  readonly expireTime: Date | undefined;
  /** Size of each part of a direct upload except the last. */
  readonly partSizeBytes: number;
}

/** State of an upload. */
export interface UploadStatus {
  readonly uploadId: string;
  /** Number of durable bytes. */
  readonly persistedBytes: number;
  /** The file, if the upload is finished. */
  readonly file: AssetFile | undefined;
  /** When the upload expires unless bytes are sent. */
  readonly expireTime: Date | undefined;
  /**
   * What the upload will be, with what the usage policy added. Undefined if the upload is finished and the caller may not
   * read its file.
   */
  readonly description: FileDescription | undefined;
  /** Size of the whole file in bytes; undefined while it is unknown. */
  readonly sizeBytes: number | undefined;
  /** When the upload began; for a finished one, when its file was created. Undefined if it is not known. */
  readonly createTime: Date | undefined;
  /** How the bytes are sent; undefined if the upload is finished. */
  readonly transport: 'service' | 'direct' | undefined;
  /** Size of each part of a direct upload except the last; 0 if the upload is finished. */
  readonly partSizeBytes: number;
  /** Parts of a direct upload that are in the store; the others are to be sent. */
  readonly storedPartNumbers: readonly number[];
}

/** Where to send one part of a direct upload: by PUT, with exactly these headers. */
export interface UploadPart {
  /** Starts at 1. */
  readonly partNumber: number;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** URLs of the parts of a direct upload. */
export interface UploadParts {
  readonly parts: readonly UploadPart[];
  readonly expireTime: Date | undefined;
}

/** Checksums to verify when a direct upload is completed. */
export interface CompleteUploadOptions extends CallOptions {
  /** SHA-256 of the whole file in hexadecimal. */
  readonly sha256?: string | undefined;
  /** CRC32C of the whole file. */
  readonly crc32c?: number | undefined;
}

const TRANSPORTS = new Map<UploadTransport, 'service' | 'direct'>([
  [UploadTransport.THROUGH_SERVICE, 'service'],
  [UploadTransport.DIRECT, 'direct'],
]);

/** Makes a call with retries. */
type Caller = <T>(options: CallOptions, call: (current: Try) => Promise<T>) => Promise<T>;

/** The calls for one upload, with retries. */
export class UploadSessions {
  readonly #rpc: Connection['rpc'];
  readonly #call: Caller;

  constructor(rpc: Connection['rpc'], call: Caller) {
    this.#rpc = rpc;
    this.#call = call;
  }

  /** Begins an upload, or finds the one with the same request id. */
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

  /** State of an upload. */
  async get(uploadId: string, options: CallOptions): Promise<UploadStatus> {
    const status = await this.#call(options, (current) => this.#rpc.getUpload({ uploadId }, current));
    const { writeStatus, uploadSpec } = status;
    const file = writeStatus.case === 'file' ? toAssetFile(writeStatus.value) : undefined;
    const persistedBytes = file?.sizeBytes ?? Number(writeStatus.value ?? 0n);
    return {
      ...{ uploadId, persistedBytes, file },
      expireTime: toDate(status.expireTime),
      description: uploadSpec?.file && toFileDescription(uploadSpec.file),
      sizeBytes: uploadSpec?.sizeBytes === undefined ? undefined : Number(uploadSpec.sizeBytes),
      createTime: toDate(status.createTime),
      transport: TRANSPORTS.get(status.transport),
      partSizeBytes: Number(status.partSizeBytes),
      storedPartNumbers: status.storedPartNumbers,
    };
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

  /** Completes an upload after all its bytes were sent. */
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

  /** Cancels an upload and removes what was sent. */
  cancel(uploadId: string, options: CallOptions): Promise<void> {
    return this.#call(options, async (current) => {
      await this.#rpc.cancelUpload({ uploadId }, current).catch((error: unknown) => {
        // The previous try succeeded and its response was lost.
        if (current.attempt > 1 && toClientError(error).reason === 'UPLOAD_NOT_FOUND') return;
        throw error;
      });
    });
  }
}

function toDate(time: Timestamp | undefined): Date | undefined {
  return time === undefined ? undefined : timestampDate(time);
}
