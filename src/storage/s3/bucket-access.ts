import {
  DeleteBucketPolicyCommand,
  DeleteObjectCommand,
  DeletePublicAccessBlockCommand,
  GetBucketAclCommand,
  GetBucketPolicyCommand,
  GetPublicAccessBlockCommand,
  PutBucketAclCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  PutPublicAccessBlockCommand,
  S3Client,
  type AccessControlPolicy,
  type PublicAccessBlockConfiguration,
} from '@aws-sdk/client-s3';
import type { StoreCall } from '../blob-store.ts';
import type { AnonymousRequest, BucketAccess, BucketSetting, TriedRequest } from '../bucket-access.ts';
import { closedSetting, isSameSetting } from './access-settings.ts';
import { abortBy, S3Bucket, type S3Options } from './bucket.ts';
import { hasCode, isMissingKey, isTaken, statusOf } from './failures.ts';
import type { Attempt } from './requests.ts';
import { escapePath } from './signature.ts';
import { resolveTarget } from './target.ts';

const TIMEOUT_MS = 10_000;

/** Codes of a setting that is not set. */
const NOT_SET = ['NoSuchBucketPolicy', 'NoSuchPublicAccessBlockConfiguration'];

/** Codes of a setting that the store or the bucket does not know. */
const NOT_KNOWN = ['NotImplemented', 'AccessControlListNotSupported', 'MethodNotAllowed'];

/** The access to a bucket of any S3-compatible store. */
export class S3BucketAccess implements BucketAccess {
  readonly bucket: string;
  readonly #options: S3Options;
  readonly #bucket: S3Bucket;

  constructor(options: S3Options) {
    this.#options = options;
    this.#bucket = new S3Bucket(options);
    this.bucket = options.bucket;
  }

  async read(setting: BucketSetting, call: StoreCall = {}): Promise<string | null | undefined> {
    return this.#send(call, async (attempt) => {
      try {
        return await this.#get(setting, attempt);
      } catch (error) {
        if (hasCode(error, ...NOT_SET)) return null;
        if (statusOf(error) === 501 || hasCode(error, ...NOT_KNOWN)) return undefined;
        throw error;
      }
    });
  }

  async write(setting: BucketSetting, value: string | null, call: StoreCall = {}): Promise<void> {
    await this.#send(call, async (attempt) => {
      try {
        await this.#set(setting, value, attempt);
      } catch (error) {
        if (value !== null || !hasCode(error, ...NOT_SET)) throw error;
      }
    });
  }

  closed(setting: BucketSetting, value: string | null): string | null {
    return closedSetting(setting, value);
  }

  isSame(_setting: BucketSetting, a: string | null, b: string | null): boolean {
    return isSameSetting(a, b);
  }

  async tryAnonymous(request: AnonymousRequest, { signal }: StoreCall = {}): Promise<TriedRequest> {
    const rest = request.kind === 'list' ? '?list-type=2&max-keys=1' : escapePath(request.key);
    const method = request.kind === 'put' ? 'PUT' : 'GET';
    const { endpoint, publicEndpoint } = this.#options;
    const addresses = [...new Set([endpoint, publicEndpoint ?? endpoint])];
    const tried = await Promise.all(
      addresses.map(async (address) => {
        const { url, path } = await resolveTarget(this.#bucket.client, this.#bucket.name, address);
        return tryRequest(`${url.protocol}//${url.host}${path}${rest}`, method, signal);
      }),
    );
    const worst = (['open', 'unknown', 'closed'] as const).find((outcome) =>
      tried.some((one) => one.outcome === outcome),
    );
    return tried.find(({ outcome }) => outcome === worst)!;
  }

  async tryPut(
    key: string,
    credentials: { readonly accessKeyId: string; readonly secretAccessKey: string },
    { signal }: StoreCall = {},
  ): Promise<TriedRequest> {
    const { region, endpoint, forcePathStyle = false } = this.#options;
    const client = new S3Client({
      ...{ region, forcePathStyle, credentials, maxAttempts: 2 },
      ...(endpoint !== undefined && { endpoint }),
      requestChecksumCalculation: 'WHEN_REQUIRED',
    });
    const ended = endOf(signal);
    try {
      const command = new PutObjectCommand({ ...this.#bucket.object(key), Body: Buffer.alloc(0) });
      await client.send(command, { abortSignal: ended });
      return { outcome: 'open', text: 'it was stored' };
    } catch (error) {
      signal?.throwIfAborted();
      const status = statusOf(error);
      return outcomeOf(status, `${status ?? 'no answer'} ${(error as Error).name}`);
    } finally {
      client.destroy();
    }
  }

  async put(key: string, content: Uint8Array, call: StoreCall = {}): Promise<void> {
    const command = new PutObjectCommand({ ...this.#bucket.object(key), Body: content });
    await this.#send(call, (attempt) => this.#bucket.client.send(command, abortBy(attempt)));
  }

  async delete(key: string, etag?: string, call: StoreCall = {}): Promise<boolean> {
    const match = etag === undefined ? {} : { IfMatch: etag };
    const command = new DeleteObjectCommand({ ...this.#bucket.object(key), ...match });
    return this.#send(call, async (attempt) => {
      try {
        await this.#bucket.client.send(command, abortBy(attempt));
        return true;
      } catch (error) {
        if (isTaken(error)) return false;
        if (isMissingKey(error)) return true;
        throw error;
      }
    });
  }

  close(): void {
    this.#bucket.close();
  }

  #send<T>({ signal }: StoreCall, request: (attempt: Attempt) => Promise<T>): Promise<T> {
    return this.#bucket.send(signal, request);
  }

  async #get(setting: BucketSetting, attempt: Attempt): Promise<string | null> {
    const { client, name: Bucket } = this.#bucket;
    switch (setting) {
      case 'policy': {
        const { Policy = '' } = await client.send(new GetBucketPolicyCommand({ Bucket }), abortBy(attempt));
        return Policy === '' ? null : Policy;
      }
      case 'acl': {
        const { Owner, Grants } = await client.send(new GetBucketAclCommand({ Bucket }), abortBy(attempt));
        return JSON.stringify({ Owner, Grants });
      }
      case 'public-access-block': {
        const command = new GetPublicAccessBlockCommand({ Bucket });
        const { PublicAccessBlockConfiguration: block } = await client.send(command, abortBy(attempt));
        return block === undefined ? null : JSON.stringify(block);
      }
    }
  }

  async #set(setting: BucketSetting, value: string | null, attempt: Attempt): Promise<void> {
    const { client, name: Bucket } = this.#bucket;
    const sent = abortBy(attempt);
    switch (setting) {
      case 'policy':
        if (value === null) await client.send(new DeleteBucketPolicyCommand({ Bucket }), sent);
        else await client.send(new PutBucketPolicyCommand({ Bucket, Policy: value }), sent);
        return;
      case 'acl': {
        if (value === null) return;
        const AccessControlPolicy = JSON.parse(value) as AccessControlPolicy;
        await client.send(new PutBucketAclCommand({ Bucket, AccessControlPolicy }), sent);
        return;
      }
      case 'public-access-block': {
        if (value === null) {
          await client.send(new DeletePublicAccessBlockCommand({ Bucket }), sent);
          return;
        }
        const PublicAccessBlockConfiguration = JSON.parse(value) as PublicAccessBlockConfiguration;
        const command = new PutPublicAccessBlockCommand({ Bucket, PublicAccessBlockConfiguration });
        await client.send(command, sent);
      }
    }
  }
}

async function tryRequest(
  url: string,
  method: string,
  signal: AbortSignal | undefined,
): Promise<TriedRequest> {
  try {
    const response = await fetch(url, { method, signal: endOf(signal) });
    await response.body?.cancel();
    return outcomeOf(response.status, `HTTP ${response.status}`);
  } catch (error) {
    signal?.throwIfAborted();
    return { outcome: 'unknown', text: `no answer (${(error as Error).message})` };
  }
}

/** Only a refusal proves that something is closed. */
function outcomeOf(status: number | undefined, text: string): TriedRequest {
  if (status !== undefined && status >= 200 && status < 300) return { outcome: 'open', text };
  return { outcome: status === 401 || status === 403 ? 'closed' : 'unknown', text };
}

function endOf(signal: AbortSignal | undefined): AbortSignal {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  return signal ? AbortSignal.any([signal, timeout]) : timeout;
}
