import { createHmac, createSecretKey, hash, type KeyObject } from 'node:crypto';

/** A request to S3 as its signature sees it. The path is written as it is sent. */
export interface SignableRequest {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** Names in small letters, `host` among them. All are signed. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Keys of AWS, as a credential provider gives them. */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
  /** When they end, and with them whatever they signed; never where left out. */
  readonly expiration?: Date | undefined;
}

/** Signs the URLs of one S3. */
export interface Presigner {
  /**
   * The query of a URL that authorises the request for so many seconds from `date` on, and when it ends, which is earlier
   * where the credentials end earlier. Rejects like the provider of credentials.
   */
  presign(
    request: SignableRequest,
    date: Date,
    ttlSeconds: number,
  ): Promise<{ readonly query: string; readonly expireTime: Date }>;
}

const ALGORITHM = 'AWS4-HMAC-SHA256';
const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';

/** A key is for one day. URLs are dated back, so several days are in use at once. */
const MAX_KEYS = 16;

/** What a text may have of without being escaped. */
const UNRESERVED = /^[A-Za-z0-9_.~-]*$/;

/**
 * Signs requests to an S3 by Signature Version 4, with the body left unsigned: its checksum travels as a header. The
 * signers of the SDK do the same in several times the time, and a signature is most of what a URL costs. Tests hold it to them byte for byte.
 */
export class S3Signer implements Presigner {
  readonly #credentials: () => Promise<Credentials>;
  /** Region and service. */
  readonly #scope: readonly [region: string, service: string];
  readonly #keys = new Map<string, KeyObject>();

  /**
   * @param options.credentials - asked for with every signature, since they may change; it keeps them itself
   * @param options.service - name of the service in signatures; `s3` where left out
   */
  constructor(options: { credentials: () => Promise<Credentials>; region: string; service?: string }) {
    this.#credentials = options.credentials;
    this.#scope = [options.region, options.service ?? 's3'];
  }

  /** The headers to send: those of the request and what authorises it. Rejects like the provider of credentials. */
  async sign(request: SignableRequest, date: Date): Promise<Record<string, string>> {
    const credentials = await this.#credentials();
    const time = toTime(date);
    const headers: Record<string, string> = {
      ...request.headers,
      'x-amz-content-sha256': UNSIGNED_PAYLOAD,
      'x-amz-date': time,
      ...(credentials.sessionToken && { 'x-amz-security-token': credentials.sessionToken }),
    };
    const names = Object.keys(headers).sort();
    const signature = this.#signature(credentials, time, request, toText(request.query), headers, names);
    const credential = `${credentials.accessKeyId}/${this.#scopeOf(time)}`;
    headers['authorization'] =
      `${ALGORITHM} Credential=${credential}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
    return headers;
  }

  async presign(request: SignableRequest, date: Date, ttlSeconds: number) {
    const credentials = await this.#credentials();
    const time = toTime(date);
    const { headers } = request;
    const names = Object.keys(headers).sort();
    const query = toText({
      ...request.query,
      'X-Amz-Algorithm': ALGORITHM,
      'X-Amz-Content-Sha256': UNSIGNED_PAYLOAD,
      'X-Amz-Credential': `${credentials.accessKeyId}/${this.#scopeOf(time)}`,
      'X-Amz-Date': time,
      'X-Amz-Expires': String(ttlSeconds),
      'X-Amz-SignedHeaders': names.join(';'),
      ...(credentials.sessionToken && { 'X-Amz-Security-Token': credentials.sessionToken }),
    });
    const signature = this.#signature(credentials, time, request, query, headers, names);
    // Among the others in the order of their names, as the SDK writes it. Values hold no `&`.
    const signed = query.replace('&X-Amz-SignedHeaders=', `&X-Amz-Signature=${signature}$&`);
    return { query: signed, expireTime: endOf(date, ttlSeconds, credentials.expiration) };
  }

  #signature(
    credentials: Credentials,
    time: string,
    { method, path }: SignableRequest,
    query: string,
    headers: Readonly<Record<string, string>>,
    names: readonly string[],
  ): string {
    let lines = '';
    for (const name of names) lines += `${name}:${headers[name]!.trim().replace(/\s+/g, ' ')}\n`;
    const canonical = `${method}\n${path}\n${query}\n${lines}\n${names.join(';')}\n${UNSIGNED_PAYLOAD}`;
    const text = `${ALGORITHM}\n${time}\n${this.#scopeOf(time)}\n${hash('sha256', canonical)}`;
    return createHmac('sha256', this.#keyOf(credentials, time)).update(text).digest('hex');
  }

  #scopeOf(time: string): string {
    return `${time.slice(0, 8)}/${this.#scope[0]}/${this.#scope[1]}/aws4_request`;
  }

  #keyOf({ accessKeyId, secretAccessKey }: Credentials, time: string): KeyObject {
    const day = time.slice(0, 8);
    const name = `${day} ${accessKeyId} ${secretAccessKey}`;
    const known = this.#keys.get(name);
    if (known) return known;
    let key = Buffer.from(`AWS4${secretAccessKey}`);
    for (const text of [day, ...this.#scope, 'aws4_request']) {
      key = createHmac('sha256', key).update(text).digest();
    }
    if (this.#keys.size >= MAX_KEYS) this.#keys.clear();
    const made = createSecretKey(key);
    this.#keys.set(name, made);
    return made;
  }
}

/** When a URL ends that is signed at `date`: with its time to live, or with the credentials if those end sooner. */
export function endOf(date: Date, ttlSeconds: number, expiration: Date | undefined): Date {
  return new Date(Math.min(date.getTime() + ttlSeconds * 1000, expiration?.getTime() ?? Infinity));
}

/** A query as it is signed and sent: escaped, and sorted by its names as they are escaped. */
export function toText(query: Readonly<Record<string, string>>): string {
  return Object.keys(query)
    .map((name) => [escape(name), escape(query[name]!)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

/** A key of any characters as it stands in the path of a URL. */
export function escapePath(key: string): string {
  return key.split('/').map(escape).join('/');
}

/** Escapes what RFC 3986 reserves, as the signature expects it. */
function escape(text: string): string {
  if (UNRESERVED.test(text)) return text;
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** A time as signatures write it: `20261124T150000Z`. */
function toTime(date: Date): string {
  return date.toISOString().replace(/[-:]|\.\d+/g, '');
}
