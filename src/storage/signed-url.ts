import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  timingSafeEqual,
  randomBytes,
} from 'node:crypto';
import type { SignedUrl, SignedUrlOptions } from './blob-store.ts';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { makePrivate, PRIVATE_FILE } from '../system/private-files.ts';

/** What a signed URL permits: reading a blob, or sending one part of a multipart blob. */
export type BlobGrant = ReadGrant | PartGrant;

/** Permission to read a blob by GET or HEAD. */
export interface ReadGrant {
  readonly kind: 'read';
  /** Id of the grant; visible in the URL. */
  readonly id: string;
  readonly key: string;
  readonly contentType: string;
  readonly contentDisposition: string;
  readonly cacheControl: string;
}

/** Permission to send one part of an unfinished multipart blob by PUT. */
export interface PartGrant {
  readonly kind: 'part';
  /** Id of the grant; visible in the URL. */
  readonly id: string;
  readonly key: string;
  readonly multipartId: string;
  readonly partNumber: number;
  /** Exact size of the part in bytes. */
  readonly sizeBytes: number;
}

/** Result of {@link SignedUrls.verify}: a grant, an expired URL, or one that was not signed here. */
export type BlobGrantResult =
  | { readonly status: 'valid'; readonly grant: BlobGrant }
  | { readonly status: 'expired' }
  | { readonly status: 'invalid' };

/** Path of signed URLs below the public URL. */
export const SIGNED_PATH = '/blobs/';

/** Parameter with the grant id, for access logs; S3 URLs have the same. */
const GRANT_PARAMETER = '?x-grant=';

/** The first 16 bytes of the signature are the nonce of the encryption. */
const SIGNATURE_BYTES = 32;
const NONCE_BYTES = 16;

/**
 * URLs of blobs that the service serves itself. One token contains everything that a URL permits. It is signed with
 * HMAC-SHA-256 and encrypted, so that its holder learns no key and can change nothing.
 *
 * Equal grants give equal URLs: the nonce is the signature of the plain text (synthetic initialisation vectors, the
 * construction of RFC 5297), which is safe to repeat for equal texts.
 */
export class SignedUrls {
  readonly #publicUrl: string;
  readonly #pathPrefix: string;
  readonly #signingKey: Buffer;
  readonly #encryptionKey: Buffer;

  /**
   * @param publicUrl - start of the URLs; may have a path
   * @param secret - at least 32 random bytes, the same in every process that accepts the URLs
   */
  constructor(publicUrl: string, secret: Uint8Array) {
    if (secret.length < 32) throw new RangeError('the secret of signed URLs must have 32 bytes or more');
    this.#publicUrl = publicUrl.replace(/\/+$/, '');
    this.#pathPrefix = new URL(this.#publicUrl).pathname.replace(/\/+$/, '');
    this.#signingKey = derive(secret, 'asset signed url: sign');
    this.#encryptionKey = derive(secret, 'asset signed url: encrypt');
  }

  /** Returns a URL that is valid until `issuedAt` plus `ttlSeconds`. */
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
   * Returns what a request may do. `pathAndQuery` is the request target, with or without the path of the public
   * URL, which a reverse proxy may remove.
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
    // Decoding is lenient: several texts give the same bytes, but only one is ours.
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

/** A grant as an array without field names, to keep URLs short. */
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

/**
 * The key that signs URLs of the filesystem store. It is kept in a file that only the service can read, so that
 * URLs work after a restart. The first call creates it; two processes that create it at the same time get the same
 * key.
 */
export function loadSigningKey(path: string): Buffer {
  makePrivate(path);
  const read = () => Buffer.from(readFileSync(path, 'utf8'), 'base64url');
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const temporary = `${path}.${process.pid}`;
  try {
    writeFileSync(temporary, randomBytes(32).toString('base64url'), { mode: PRIVATE_FILE });
    linkSync(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
  return read();
}
