import type { S3Client } from '@aws-sdk/client-s3';
import type { SignedPut, SignedUrl, SignedUrlOptions } from '../blob-store.ts';
import { S3Signer } from './signature.ts';

type Lifetime = Pick<SignedUrlOptions, 'issuedAt' | 'ttlSeconds'>;

/** Signs URLs for the objects of one bucket. */
export class S3UrlSigner {
  readonly #signer: S3Signer;
  /** What URLs start with: everything before the key. */
  readonly #base: { readonly origin: string; readonly host: string; readonly path: string };

  /** The client is never sent anything; it lends its endpoint, region and credentials. */
  constructor(client: S3Client, options: { bucket: string; region: string; endpoint?: string | undefined }) {
    this.#signer = new S3Signer({ credentials: client.config.credentials, region: options.region });
    const { url } = client.config.endpointProvider({
      Bucket: options.bucket,
      Region: options.region,
      Endpoint: options.endpoint,
      ForcePathStyle: client.config.forcePathStyle,
      UseFIPS: false,
      UseDualStack: false,
    });
    const path = `${url.pathname.replace(/\/$/, '')}/`;
    this.#base = { origin: `${url.protocol}//${url.host}`, host: url.host, path };
  }

  /** Returns a URL for GET. The key needs no escaping: its characters stand for themselves. */
  sign(key: string, options: SignedUrlOptions): Promise<SignedUrl> {
    const query = {
      'response-cache-control': options.cacheControl,
      'response-content-disposition': options.contentDisposition,
      'response-content-type': options.contentType,
      // An S3 takes no notice of it, but signs it and writes it into its access log.
      'x-grant': options.grantId,
    };
    return this.#presign('GET', key, query, {}, options);
  }

  /**
   * Returns a URL for the PUT of one part. The size is signed as a header, so that a body of another size has
   * another signature and is refused.
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
    const { origin, host, path } = this.#base;
    const request = { method, path: path + key, query, headers: { ...headers, host } };
    const signed = await this.#signer.presign(request, issuedAt, ttlSeconds);
    return { url: `${origin}${request.path}?${signed.query}`, expireTime: signed.expireTime };
  }
}
