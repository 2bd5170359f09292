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
import { isMissingKey, notS3, statusOf } from './errors.ts';
import { S3Putter } from './put.ts';
import { sendRequest, type Attempt } from './requests.ts';
import { storeUnavailable } from '../store-errors.ts';

/** Where an S3 is and how it is used. */
export interface S3Options {
  /** Its name, or the ARN or alias of an access point. */
  readonly bucket: string;
  readonly region: string;
  /** Address of the S3; that of AWS in the region where left out. */
  readonly endpoint?: string;
  /** Address that readers reach the S3 under; signed URLs start with it. `endpoint` where left out. */
  readonly publicEndpoint?: string;
  /** True to put the bucket into the path instead of the host name. */
  readonly forcePathStyle?: boolean;
  /** True to reach AWS by IPv6 as well as IPv4. */
  readonly dualStack?: boolean;
  /** True to reach AWS by Transfer Acceleration; the bucket has to have it enabled. */
  readonly accelerate?: boolean;
  /** Encryption at rest; the bucket's default where left out. */
  readonly encryption?: { readonly algorithm: 'AES256' | 'aws:kms'; readonly kmsKeyId?: string };
  /** Found by the chain of AWS (environment, profile, role) where left out. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** How long the store may move nothing while it is its turn, in milliseconds; 10,000 where left out. */
  readonly stallTimeoutMs?: number;
}

const CONNECT_TIMEOUT_MS = 3_000;

/** One bucket of an S3, and the client that speaks to it: what whole and multipart blobs have in common. */
export class S3Bucket {
  readonly name: string;
  readonly client: S3Client;
  readonly clock: StoreClock;
  /** Sends the bytes of objects and parts. */
  readonly putter: S3Putter;
  readonly stallTimeoutMs: number;
  /** True once the bucket was seen to be one. */
  #isProven = false;
  /** Fields that a request which makes an object takes. */
  readonly encryption: {
    readonly ServerSideEncryption?: 'AES256' | 'aws:kms';
    readonly SSEKMSKeyId?: string;
  };

  constructor({ bucket, region, endpoint, encryption, ...options }: S3Options) {
    this.client = new S3Client({
      region,
      ...(endpoint && { endpoint }),
      forcePathStyle: options.forcePathStyle ?? false,
      // Left out, the environment and the profile of AWS decide.
      ...(options.dualStack !== undefined && { useDualstackEndpoint: options.dualStack }),
      ...(options.accelerate !== undefined && { useAccelerateEndpoint: options.accelerate }),
      ...(options.credentials && { credentials: options.credentials }),
      // The CRC32C goes as a header of ours. The SDK would read every body once more for its own.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      // It would take a connection of its own for every body.
      expectContinueHeader: false,
      // Its warnings would go past our log, and tell nothing that our errors do not.
      logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
      // Repeated by sendRequest(), which knows what may be repeated.
      maxAttempts: 1,
      requestHandler: new NodeHttpHandler({
        connectionTimeout: CONNECT_TIMEOUT_MS,
        // Bounded above us. A request that waits for a connection would look like a store that stalls.
        httpAgent: { maxSockets: Infinity },
        httpsAgent: { maxSockets: Infinity },
      }),
    });
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

  /** Headers that say the same as {@link encryption}. */
  get encryptionHeaders(): Record<string, string> {
    const { ServerSideEncryption, SSEKMSKeyId } = this.encryption;
    return {
      ...(ServerSideEncryption && { 'x-amz-server-side-encryption': ServerSideEncryption }),
      ...(SSEKMSKeyId && { 'x-amz-server-side-encryption-aws-kms-key-id': SSEKMSKeyId }),
    };
  }

  /** Lets go of connections. */
  close(): void {
    this.putter.close();
    this.client.destroy();
  }

  /** Runs a request that is safe to repeat; see {@link sendRequest}. */
  send<T>(signal: AbortSignal | undefined, request: (attempt: Attempt) => Promise<T>): Promise<T> {
    return sendRequest({ signal, stallTimeoutMs: this.stallTimeoutMs }, (attempt) =>
      this.#inTime(() => request(attempt)),
    );
  }

  /**
   * Resolves if the bucket can be reached and used. Asks by HEAD, but lists one key until that has worked once, and where HEAD is
   * refused: the answer to HEAD tells neither why, nor whether it comes from an S3.
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
   * Sends a request again at once if it was refused while its answer corrected the clock. The answer to a HEAD has no
   * body that could name the time as the reason.
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

  /** What is known of an object; undefined if there is none. */
  async head(key: string, signal: AbortSignal | undefined): Promise<HeadObjectCommandOutput | undefined> {
    return this.send(signal, async (attempt) => {
      try {
        return await this.client.send(new HeadObjectCommand(this.object(key)), abortBy(attempt));
      } catch (error) {
        if (!isMissingKey(error)) throw error;
        // The answer to HEAD has no body that could say whether the object is missing or the bucket.
        await this.client.send(new HeadBucketCommand({ Bucket: this.name }), abortBy(attempt));
        return undefined;
      }
    });
  }

  /** Removes an object, if there is one. */
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

/** How the SDK is told that an attempt is over. */
export function abortBy(attempt: Attempt): { abortSignal: AbortSignal } {
  return { abortSignal: attempt.signal };
}

/** Throws an error again unless it is an answer, whose reason can be asked for. */
function toRefused(error: unknown): unknown {
  if (statusOf(error) === undefined) throw error;
  return error;
}

function ignore(): void {
  // Nothing to do.
}
