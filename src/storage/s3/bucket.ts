import {
  DeleteObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import type { HeadObjectCommandOutput } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { StoreClock } from './clock.ts';
import { isMissingKey, notS3, statusOf } from './failures.ts';
import { tellRequests } from './tell-requests.ts';
import { S3Putter } from './put.ts';
import { sendRequest, type Attempt } from './requests.ts';
import { storeUnavailable } from '../../errors/dependencies.ts';

/** Address and options of an S3 bucket. */
export interface S3Options {
  /** Name of the bucket, or ARN or alias of an access point. */
  readonly bucket: string;
  readonly region: string;
  /** Endpoint; default that of AWS in the region. */
  readonly endpoint?: string;
  /** Endpoint that readers use; signed URLs start with it. Default `endpoint`. */
  readonly publicEndpoint?: string;
  /** True puts the bucket into the path instead of the host name. */
  readonly forcePathStyle?: boolean;
  /** True reaches AWS over IPv6 and IPv4. */
  readonly dualStack?: boolean;
  /** True reaches AWS by Transfer Acceleration; it must be enabled for the bucket. */
  readonly accelerate?: boolean;
  /** Encryption at rest; default that of the bucket. */
  readonly encryption?: { readonly algorithm: 'AES256' | 'aws:kms'; readonly kmsKeyId?: string };
  /** Default: the AWS credential chain (environment, profile, role). */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** How long the store may make no progress, in milliseconds; default 10,000. */
  readonly stallTimeoutMs?: number;
}

const CONNECT_TIMEOUT_MS = 3_000;

/** One bucket and its client: what whole and multipart blobs share. */
export class S3Bucket {
  readonly name: string;
  readonly client: S3Client;
  readonly clock: StoreClock;
  readonly putter: S3Putter;
  readonly stallTimeoutMs: number;
  /** True after a list has succeeded once. */
  #isProven = false;
  /** Fields of requests that create an object. */
  readonly encryption: {
    readonly ServerSideEncryption?: 'AES256' | 'aws:kms';
    readonly SSEKMSKeyId?: string;
  };

  constructor({ bucket, region, endpoint, encryption, ...options }: S3Options) {
    this.client = new S3Client({
      region,
      ...(endpoint && { endpoint }),
      forcePathStyle: options.forcePathStyle ?? false,
      // If omitted, the AWS environment and profile decide.
      ...(options.dualStack !== undefined && { useDualstackEndpoint: options.dualStack }),
      ...(options.accelerate !== undefined && { useAccelerateEndpoint: options.accelerate }),
      ...(options.credentials && { credentials: options.credentials }),
      // We send the CRC32C header. The SDK would read every body again to compute its own.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      // It would need a separate connection for every body.
      expectContinueHeader: false,
      // SDK warnings would bypass our log and add nothing to our errors.
      logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
      // sendRequest() retries, because it knows what may be repeated.
      maxAttempts: 1,
      requestHandler: new NodeHttpHandler({
        connectionTimeout: CONNECT_TIMEOUT_MS,
        // Callers limit concurrency. A request that waits for a connection would look like a stalled store.
        httpAgent: { maxSockets: Infinity },
        httpsAgent: { maxSockets: Infinity },
      }),
    });
    tellRequests(this.client);
    this.name = bucket;
    this.clock = new StoreClock(this.client);
    this.putter = new S3Putter(this.client, bucket, this.clock);
    this.stallTimeoutMs = options.stallTimeoutMs ?? 10_000;
    this.encryption = {
      ...(encryption && { ServerSideEncryption: encryption.algorithm }),
      ...(encryption?.kmsKeyId && { SSEKMSKeyId: encryption.kmsKeyId }),
    };
  }

  /** Names an object in a request. */
  object(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.name, Key: key };
  }

  /** {@link encryption} as headers. */
  get encryptionHeaders(): Record<string, string> {
    const { ServerSideEncryption, SSEKMSKeyId } = this.encryption;
    return {
      ...(ServerSideEncryption && { 'x-amz-server-side-encryption': ServerSideEncryption }),
      ...(SSEKMSKeyId && { 'x-amz-server-side-encryption-aws-kms-key-id': SSEKMSKeyId }),
    };
  }

  /** Closes connections. */
  close(): void {
    this.putter.close();
    this.client.destroy();
  }

  /** Runs a request that is safe to retry; see {@link sendRequest}. */
  send<T>(signal: AbortSignal | undefined, request: (attempt: Attempt) => Promise<T>): Promise<T> {
    return sendRequest({ signal, stallTimeoutMs: this.stallTimeoutMs }, (attempt) =>
      this.#inTime(() => request(attempt)),
    );
  }

  /**
   * Resolves if the bucket is available. Uses HEAD, but lists one key until that has succeeded once and if HEAD is
   * refused: a response to HEAD says neither why it failed nor whether it comes from an S3.
   */
  async check(signal: AbortSignal | undefined, timeoutMs: number): Promise<void> {
    const bucket = { Bucket: this.name };
    await sendRequest({ signal, repeat: false, stallTimeoutMs: timeoutMs }, async (attempt) => {
      const sent = abortBy(attempt);
      if (this.#isProven) {
        const head = () => this.client.send(new HeadBucketCommand(bucket), sent);
        const refused = await this.#inTime(head).then(() => undefined, toRefused);
        if (refused === undefined) return;
      }
      const list = () => this.client.send(new ListObjectsV2Command({ ...bucket, MaxKeys: 1 }), sent);
      const { Name: name, $metadata } = await this.#inTime(list);
      if (name === undefined) throw storeUnavailable(notS3($metadata.httpStatusCode ?? 200));
      this.#isProven = true;
    });
  }

  /**
   * Repeats a request that was refused while its response corrected the clock. A response to HEAD has no body that
   * could name the time as the reason.
   */
  async #inTime<T>(request: () => Promise<T>): Promise<T> {
    const { offsetMs } = this.clock;
    try {
      return await request();
    } catch (error) {
      if (statusOf(error) !== 403 || this.clock.offsetMs === offsetMs) throw error;
      return request();
    }
  }

  /** Metadata of an object; undefined if it does not exist. */
  async head(
    key: string,
    signal: AbortSignal | undefined,
    more: { readonly ChecksumMode?: 'ENABLED' } = {},
  ): Promise<HeadObjectCommandOutput | undefined> {
    return this.send(signal, async (attempt) => {
      try {
        return await this.client.send(
          new HeadObjectCommand({ ...this.object(key), ...more }),
          abortBy(attempt),
        );
      } catch (error) {
        if (!isMissingKey(error)) throw error;
        // A response to HEAD has no body that says whether the object or the bucket is missing.
        await this.client.send(new HeadBucketCommand({ Bucket: this.name }), abortBy(attempt));
        return undefined;
      }
    });
  }

  /** Deletes an object, if it exists. */
  async delete(key: string, signal: AbortSignal | undefined): Promise<void> {
    const command = new DeleteObjectCommand(this.object(key));
    await this.send(signal, async (attempt) => {
      try {
        await this.client.send(command, abortBy(attempt));
      } catch (error) {
        if (!isMissingKey(error)) throw error;
      }
    });
  }
}

/** Passes the end of an attempt to the SDK. */
export function abortBy(attempt: Attempt): { abortSignal: AbortSignal } {
  return { abortSignal: attempt.signal };
}

/** Rethrows an error unless it is a response, whose reason can be queried. */
function toRefused(error: unknown): unknown {
  if (statusOf(error) === undefined) throw error;
  return error;
}

function ignore(): void {
  // Nothing to do.
}
