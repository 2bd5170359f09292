import { createHmac, createSecretKey, hash, type KeyObject } from 'node:crypto';

/** A request to S3 as it is signed. The path is as sent. */
export interface SignableRequest {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** Lower-case names, including `host`. All are signed. */
  readonly headers: Readonly<Record<string, string>>;
}

/** AWS credentials. */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
  /** When they expire, and with them everything they signed; never if omitted. */
  readonly expiration?: Date | undefined;
}

/** Signs URLs. */
export interface Presigner {
  /**
   * Query of a URL that is valid for some seconds from `date`, and its expiry, which may be earlier with that of
   * the credentials. Rejects like the provider of credentials.
   */
  presign(
    request: SignableRequest,
    date: Date,
    ttlSeconds: number,
  ): Promise<{ readonly query: string; readonly expireTime: Date }>;
}

const ALGORITHM = 'AWS4-HMAC-SHA256';
const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';

/** A signing key is for one day. URLs are dated back, so several days are in use at once. */
const MAX_KEYS = 16;

/** Characters that need no escaping. */
const UNRESERVED = /^[A-Za-z0-9_.~-]*$/;

/**
 * Signs requests by Signature Version 4 with an unsigned body; the body's checksum is a header. The SDK's signers
 * take several times as long, and the signature is most of the cost of a URL. Tests compare the results byte by
 * byte.
 */
export class S3Signer implements Presigner {
  readonly #credentials: () => Promise<Credentials>;
  /** Region and service. */
  readonly #scope: readonly [region: string, service: string];
  readonly #keys = new Map<string, KeyObject>();

  /**
   * @param options.credentials - called for every signature; it caches them itself
   * @param options.service - name of the service in signatures; default `s3`
   */
  constructor(options: { credentials: () => Promise<Credentials>; region: string; service?: string }) {
    this.#credentials = options.credentials;
    this.#scope = [options.region, options.service ?? 's3'];
  }

  /** The request's headers with the authorization. Rejects like the provider of credentials. */
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
    // Inserted in the order of names, as the SDK writes it. Values have no `&`.
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

/** When a URL signed at `date` expires: after its lifetime, or earlier with the credentials. */
export function endOf(date: Date, ttlSeconds: number, expiration: Date | undefined): Date {
  return new Date(Math.min(date.getTime() + ttlSeconds * 1000, expiration?.getTime() ?? Infinity));
}

/** A query as it is signed and sent: escaped, and sorted by escaped name. */
export function toText(query: Readonly<Record<string, string>>): string {
  return Object.keys(query)
    .map((name) => [escape(name), escape(query[name]!)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

/** Any key, escaped for the path of a URL. */
export function escapePath(key: string): string {
  return key.split('/').map(escape).join('/');
}

/** Escapes the reserved characters of RFC 3986, as the signature requires. */
function escape(text: string): string {
  if (UNRESERVED.test(text)) return text;
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** A time in the format of signatures: `20261124T150000Z`. */
function toTime(date: Date): string {
  return date.toISOString().replace(/[-:]|\.\d+/g, '');
}
