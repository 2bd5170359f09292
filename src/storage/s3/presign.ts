import type { S3Client } from '@aws-sdk/client-s3';
import type { SignedPut, SignedUrl, SignedUrlOptions } from '../blob-store.ts';
import { SdkPresigner } from './sdk-presigner.ts';
import { S3Signer, type Presigner } from './signature.ts';
import { resolveTarget, type S3Target } from './target.ts';

type Lifetime = Pick<SignedUrlOptions, 'issuedAt' | 'ttlSeconds'>;

/** The signer for a bucket: our own or the SDK's. */
export type SignerKind = 'fast' | 'sdk';

/**
 * The fast signer covers AWS buckets under their usual addresses, and buckets of other stores. Access points, dual
 * stack, acceleration and FIPS use the SDK's signer, which follows AWS's rules for each.
 */
export async function signerKindOf(client: S3Client, bucket: string, endpoint?: string): Promise<SignerKind> {
  if (/^arn:|-s3alias$/.test(bucket)) return 'sdk';
  if (endpoint !== undefined) return 'fast';
  const { useDualstackEndpoint, useFipsEndpoint, useAccelerateEndpoint } = client.config;
  const special =
    (await useDualstackEndpoint()) || (await useFipsEndpoint()) || useAccelerateEndpoint === true;
  return special ? 'sdk' : 'fast';
}

interface Signing {
  readonly target: S3Target;
  readonly presigner: Presigner;
}

/** Signs URLs for the objects of one bucket. */
export class S3UrlSigner {
  readonly #resolve: () => Promise<Signing>;
  #resolved: Promise<Signing> | undefined;

  /**
   * The client sends nothing; it provides endpoint, region and credentials.
   *
   * @param options.endpoint - address that URLs start with, if it is not the client's
   * @param options.signer - default: {@link signerKindOf}
   */
  constructor(
    client: S3Client,
    options: {
      readonly bucket: string;
      readonly endpoint?: string | undefined;
      readonly signer?: SignerKind;
    },
  ) {
    const { bucket, endpoint } = options;
    this.#resolve = async () => {
      const target = await resolveTarget(client, bucket, endpoint);
      const kind = options.signer ?? (await signerKindOf(client, bucket, endpoint));
      const { region, service } = target;
      const { credentials } = client.config;
      const presigner =
        kind === 'sdk' ? new SdkPresigner(client, target) : new S3Signer({ credentials, region, service });
      return { target, presigner };
    };
  }

  /** Returns a URL for GET. Keys have no characters that need escaping. */
  sign(key: string, options: SignedUrlOptions): Promise<SignedUrl> {
    const query = {
      'response-cache-control': options.cacheControl,
      'response-content-disposition': options.contentDisposition,
      'response-content-type': options.contentType,
      // S3 ignores it, but signs it and writes it into its access log.
      'x-grant': options.grantId,
    };
    return this.#presign('GET', key, query, {}, options);
  }

  /**
   * Returns a URL for the PUT of one part. The size is a signed header, so a body of another size does not match
   * the signature and is refused.
   */
  async signPart(
    key: string,
    part: { readonly uploadId: string; readonly partNumber: number; readonly sizeBytes: number },
    lifetime: Lifetime & Pick<SignedUrlOptions, 'grantId'>,
  ): Promise<SignedPut> {
    const headers = { 'content-length': String(part.sizeBytes) };
    const query = {
      partNumber: String(part.partNumber),
      uploadId: part.uploadId,
      'x-grant': lifetime.grantId,
    };
    return { ...(await this.#presign('PUT', key, query, headers, lifetime)), headers };
  }

  async #presign(
    method: string,
    key: string,
    query: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>>,
    { issuedAt, ttlSeconds }: Lifetime,
  ): Promise<SignedUrl> {
    const { target, presigner } = await this.#ready();
    const { host, origin } = target.url;
    const request = { method, path: target.path + key, query, headers: { ...headers, host } };
    const signed = await presigner.presign(request, issuedAt, ttlSeconds);
    return { url: `${origin}${request.path}?${signed.query}`, expireTime: signed.expireTime };
  }

  async #ready(): Promise<Signing> {
    this.#resolved ??= this.#resolve();
    try {
      return await this.#resolved;
    } catch (error) {
      this.#resolved = undefined;
      throw error;
    }
  }
}
