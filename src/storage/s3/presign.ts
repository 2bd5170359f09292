import type { S3Client } from '@aws-sdk/client-s3';
import type { SignedPut, SignedUrl, SignedUrlOptions } from '../blob-store.ts';
import { S3Signer, type Presigner, endOf, type SignableRequest } from './signature.ts';
import { resolvedOnce, resolveTarget, type S3Target } from './target.ts';
import { S3RequestPresigner } from '@aws-sdk/s3-request-presigner';
import { buildQueryString, HttpRequest } from '@smithy/core/protocols';

type Lifetime = Pick<SignedUrlOptions, 'issuedAt' | 'ttlSeconds'>;

/** The signer for a bucket: our own or the SDK's. */
type SignerKind = 'fast' | 'sdk';

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
  readonly #signing: () => Promise<Signing>;

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
    this.#signing = resolvedOnce(async () => {
      const target = await resolveTarget(client, bucket, endpoint);
      const kind = options.signer ?? (await signerKindOf(client, bucket, endpoint));
      const { region, service } = target;
      const { credentials } = client.config;
      const presigner =
        kind === 'sdk' ? new SdkPresigner(client, target) : new S3Signer({ credentials, region, service });
      return { target, presigner };
    });
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
    const { target, presigner } = await this.#signing();
    const { host, origin } = target.url;
    const request = { method, path: target.path + key, query, headers: { ...headers, host } };
    const signed = await presigner.presign(request, issuedAt, ttlSeconds);
    return { url: `${origin}${request.path}?${signed.query}`, expireTime: signed.expireTime };
  }
}

/**
 * Signs URLs with the AWS SDK's presigner. It takes several times the CPU time of `S3Signer`. It is the reference
 * in the tests of `S3Signer`, and signs for the kinds of buckets that `S3Signer` does not cover.
 */
export class SdkPresigner implements Presigner {
  readonly #client: S3Client;
  readonly #presigner: S3RequestPresigner;

  /** The client provides credentials and the hash. */
  constructor(client: S3Client, options: { readonly region: string; readonly service: string }) {
    const { credentials, sha256 } = client.config;
    this.#client = client;
    this.#presigner = new S3RequestPresigner({
      ...{ credentials, sha256, region: options.region, service: options.service },
    });
  }

  async presign(request: SignableRequest, date: Date, ttlSeconds: number) {
    const { host, ...headers } = request.headers;
    const { hostname, port } = new URL(`http://${host}`);
    const unsigned = new HttpRequest({
      ...{ method: request.method, path: request.path, query: { ...request.query } },
      ...{ protocol: 'https:', hostname, headers: { ...headers, host: host! } },
      ...(port !== '' && { port: Number(port) }),
    });
    const { expiration } = await this.#client.config.credentials();
    const signed = await this.#presigner.presign(unsigned, {
      ...{ signingDate: date, expiresIn: ttlSeconds },
      // Keeps headers as headers, because a store checks the size of a body only by its header.
      unhoistableHeaders: new Set(Object.keys(headers)),
    });
    return { query: buildQueryString(signed.query ?? {}), expireTime: endOf(date, ttlSeconds, expiration) };
  }
}
