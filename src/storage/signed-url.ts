import { createCipheriv, createDecipheriv, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { SignedUrl, SignedUrlOptions } from './blob-store.ts';

/** What a signed URL grants: a blob to read, or one part of a multipart blob to send. */
export type BlobGrant = ReadGrant | PartGrant;

/** Leave to read a blob by GET or HEAD. */
export interface ReadGrant {
  readonly kind: 'read';
  /** Name of the grant; the URL shows it. */
  readonly id: string;
  readonly key: string;
  readonly contentType: string;
  readonly contentDisposition: string;
  readonly cacheControl: string;
}

/** Leave to send one part of an unfinished multipart blob by PUT. */
export interface PartGrant {
  readonly kind: 'part';
  /** Name of the grant; the URL shows it. */
  readonly id: string;
  readonly key: string;
  readonly multipartId: string;
  readonly partNumber: number;
  /** Exact size of the part. */
  readonly sizeBytes: number;
}

/** What {@link SignedUrls.verify} found: a grant, a URL past its time, or something we never signed. */
export type BlobGrantResult =
  | { readonly status: 'valid'; readonly grant: BlobGrant }
  | { readonly status: 'expired' }
  | { readonly status: 'invalid' };

/** Path that signed URLs have below the public URL. */
export const SIGNED_PATH = '/blobs/';

/** Parameter that shows the name of the grant to whoever reads an access log; an S3 has the same. */
const GRANT_PARAMETER = '?x-grant=';

/** A token is decrypted with the first 16 bytes of its signature as the nonce. */
const SIGNATURE_BYTES = 32;
const NONCE_BYTES = 16;

/**
 * URLs of blobs that the service serves itself. All that a URL grants stands in one token, signed with
 * HMAC-SHA-256 and encrypted, so that whoever holds it learns no key and can change nothing.
 *
 * Equal grants give equal URLs: the nonce is the signature of the plain text itself (the construction of
 * RFC 5297, synthetic initialisation vectors), which is safe to repeat for equal texts.
 */
export class SignedUrls {
  readonly #publicUrl: string;
  readonly #pathPrefix: string;
  readonly #signingKey: Buffer;
  readonly #encryptionKey: Buffer;

  /**
   * `publicUrl` is what the URLs start with; it may have a path. `secret` is at least 32 random bytes, the
   * same in every process that shall accept the URLs.
   */
  constructor(publicUrl: string, secret: Uint8Array) {
    if (secret.length < 32) throw new RangeError('the secret of signed URLs must have 32 bytes or more');
    this.#publicUrl = publicUrl.replace(/\/+$/, '');
    this.#pathPrefix = new URL(this.#publicUrl).pathname.replace(/\/+$/, '');
    this.#signingKey = derive(secret, 'asset signed url: sign');
    this.#encryptionKey = derive(secret, 'asset signed url: encrypt');
  }

  /** Returns the URL that grants something until `issuedAt` plus `ttlSeconds`. */
  sign(
    grant: BlobGrant,
    { issuedAt, ttlSeconds }: Pick<SignedUrlOptions, 'issuedAt' | 'ttlSeconds'>,
  ): SignedUrl {
    const expires = Math.floor(issuedAt.getTime() / 1000) + ttlSeconds;
    const text = Buffer.from(JSON.stringify([expires, ...fields(grant)]));
    const signature = this.#signature(text);
    const cipher = createCipheriv('aes-256-ctr', this.#encryptionKey, signature.subarray(0, NONCE_BYTES));
    const token = Buffer.concat([signature, cipher.update(text), cipher.final()]).toString('base64url');
    const url = `${this.#publicUrl}${SIGNED_PATH}${token}${GRANT_PARAMETER}${grant.id}`;
    return { url, expireTime: new Date(expires * 1000) };
  }

  /**
   * Tells what a request may have. `pathAndQuery` is the target of the request as the server got it, with or
   * without the path of the public URL, since a reverse proxy may take that away.
   */
  verify(pathAndQuery: string, now: Date): BlobGrantResult {
    const path = pathAndQuery.startsWith(this.#pathPrefix + SIGNED_PATH)
      ? pathAndQuery.slice(this.#pathPrefix.length)
      : pathAndQuery;
    if (!path.startsWith(SIGNED_PATH)) return { status: 'invalid' };
    const end = path.indexOf(GRANT_PARAMETER);
    if (end < 0) return { status: 'invalid' };
    const token = path.slice(SIGNED_PATH.length, end);
    const shownId = path.slice(end + GRANT_PARAMETER.length);
    const bytes = Buffer.from(token, 'base64url');
    // Decoding is lenient: several texts give the same bytes, of which we made one.
    if (bytes.length <= SIGNATURE_BYTES || bytes.toString('base64url') !== token)
      return { status: 'invalid' };

    const signature = bytes.subarray(0, SIGNATURE_BYTES);
    const cipher = createDecipheriv('aes-256-ctr', this.#encryptionKey, signature.subarray(0, NONCE_BYTES));
    const text = Buffer.concat([cipher.update(bytes.subarray(SIGNATURE_BYTES)), cipher.final()]);
    if (!timingSafeEqual(signature, this.#signature(text))) return { status: 'invalid' };

    const [expires, ...rest] = JSON.parse(text.toString()) as [number, ...GrantFields];
    if (now.getTime() >= expires * 1000) return { status: 'expired' };
    const grant = grantOf(rest);
    return grant.id === shownId ? { status: 'valid', grant } : { status: 'invalid' };
  }

  #signature(text: Uint8Array): Buffer {
    return createHmac('sha256', this.#signingKey).update(text).digest();
  }
}

/** A grant without the names of its fields, which would make every URL longer. */
type GrantFields =
  | ['read', id: string, key: string, contentType: string, contentDisposition: string, cacheControl: string]
  | ['part', id: string, key: string, multipartId: string, partNumber: number, sizeBytes: number];

function fields(grant: BlobGrant): GrantFields {
  const { kind, id, key } = grant;
  if (kind === 'part') return [kind, id, key, grant.multipartId, grant.partNumber, grant.sizeBytes];
  return [kind, id, key, grant.contentType, grant.contentDisposition, grant.cacheControl];
}

function grantOf(of: GrantFields): BlobGrant {
  if (of[0] === 'part') {
    const [kind, id, key, multipartId, partNumber, sizeBytes] = of;
    return { kind, id, key, multipartId, partNumber, sizeBytes };
  }
  const [kind, id, key, contentType, contentDisposition, cacheControl] = of;
  return { kind, id, key, contentType, contentDisposition, cacheControl };
}

function derive(secret: Uint8Array, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', purpose, 32));
}
