import type { S3Client } from '@aws-sdk/client-s3';
import { S3RequestPresigner } from '@aws-sdk/s3-request-presigner';
import type { SignedPut, SignedUrlOptions } from './blob-store.ts';

type PresignableRequest = Parameters<S3RequestPresigner['presign']>[0];
type Lifetime = Pick<SignedUrlOptions, 'issuedAt' | 'ttlSeconds'>;

/** Signs URLs for the objects of one bucket. Kept and reused, since making a signer costs more than signing. */
export class S3UrlSigner {
  readonly #presigner: S3RequestPresigner;
  /** Address of the bucket, without a slash at the end. */
  readonly #bucketUrl: URL;

  /** The client is never sent anything; it lends its endpoint, region and credentials. */
  constructor(client: S3Client, options: { bucket: string; region: string; endpoint?: string | undefined }) {
    this.#presigner = new S3RequestPresigner({ ...client.config });
    this.#bucketUrl = client.config.endpointProvider({
      Bucket: options.bucket,
      Region: options.region,
      Endpoint: options.endpoint,
      ForcePathStyle: client.config.forcePathStyle,
      UseFIPS: false,
      UseDualStack: false,
    }).url;
  }

  /** Returns a URL for GET. The key needs no escaping: its characters stand for themselves. */
  async sign(key: string, options: SignedUrlOptions): Promise<string> {
    const request: PresignableRequest = {
      ...this.#target(key),
      method: 'GET',
      query: {
        'response-content-type': options.contentType,
        'response-content-disposition': options.contentDisposition,
        'response-cache-control': options.cacheControl,
        // An S3 takes no notice of it, but signs it and writes it into its access log.
        'x-grant': options.grantId,
      },
      headers: {},
    };
    return this.#presign(request, options);
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
    const request: PresignableRequest = {
      ...this.#target(key),
      method: 'PUT',
      query: {
        partNumber: String(part.partNumber),
        uploadId: part.uploadId,
        'x-grant': lifetime.grantId,
      },
      headers: { ...headers },
    };
    return { url: await this.#presign(request, lifetime), headers };
  }

  #target(key: string): Pick<PresignableRequest, 'protocol' | 'hostname' | 'port' | 'path'> {
    const { protocol, hostname, port, pathname } = this.#bucketUrl;
    return {
      protocol,
      hostname,
      ...(port !== '' && { port: Number(port) }),
      path: `${pathname.replace(/\/$/, '')}/${key}`,
    };
  }

  async #presign(request: PresignableRequest, { issuedAt, ttlSeconds }: Lifetime): Promise<string> {
    const signed = await this.#presigner.presign(request, { signingDate: issuedAt, expiresIn: ttlSeconds });
    const query = Object.entries(signed.query ?? {}).map(
      ([name, value]) => `${escape(name)}=${escape(String(value))}`,
    );
    const { protocol, host } = this.#bucketUrl;
    return `${protocol}//${host}${signed.path}?${query.join('&')}`;
  }
}

/** Escapes what RFC 3986 reserves, as the signature expects it. */
function escape(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
