import { assertDuration } from './arguments.ts';
import { checkHeaders, type ClientHeaders } from './call-headers.ts';
import { invalidOption } from './errors.ts';
import { assertHttpUrl, assertProtected } from './http-url.ts';
import type { RetryPolicy } from './retry.ts';
import type { TokenSource } from './tokens.ts';

/** How a client reaches the service, and as whom. */
export interface AssetClientOptions {
  /** Where the service is, such as `http://127.0.0.1:8080`. */
  readonly baseUrl: string;
  /**
   * `grpc` (the default) is gRPC over HTTP/2; `connect` and `grpc-web` are the Connect protocol and gRPC-Web over HTTP/1.1, for
   * networks whose proxies do not pass HTTP/2.
   */
  readonly transport?: 'grpc' | 'connect' | 'grpc-web';
  /** Identity of this service: sent as `authorization: Bearer`; see {@link clientCredentials} for one that an issuer knows. */
  readonly token?: TokenSource;
  /** Identity of the person that this service calls for: sent as `asset-user-token`. */
  readonly userToken?: TokenSource;
  /**
   * True to send tokens over http to another machine, where the network between protects them. Refused otherwise
   * (TOKEN_NOT_PROTECTED): whoever listens could use them.
   */
  readonly allowTokensOverHttp?: boolean;
  /**
   * Headers to send along with every call, such as `traceparent`; a function is asked before each. Those of a call go
   * first.
   */
  readonly headers?: ClientHeaders;
  /** Time for a call with all of its retries, in milliseconds; 0 for no bound. A call's own `timeoutMs` goes first. */
  readonly timeouts?: {
    /** Calls that move no bytes; 30 seconds where left out. */
    readonly callMs?: number;
    /** Uploads and downloads; one hour where left out. */
    readonly transferMs?: number;
  };
  /** Certificates in PEM: `ca` to trust, `cert` and `key` to show. */
  readonly tls?: {
    readonly ca?: string | Buffer;
    readonly cert?: string | Buffer;
    readonly key?: string | Buffer;
  };
  /** How failed calls are made again. */
  readonly retry?: RetryPolicy;
}

/**
 * Checks the options of a client before anything is opened.
 *
 * @throws AssetClientError OPTION_INVALID, TOKEN_NOT_PROTECTED
 */
export function assertOptions(options: AssetClientOptions): void {
  const { baseUrl, transport, token, userToken, headers, timeouts, retry } = options ?? {};
  const url = assertHttpUrl('baseUrl', baseUrl);
  if (transport !== undefined && !['grpc', 'connect', 'grpc-web'].includes(transport)) {
    throw invalidOption(`transport must be 'grpc', 'connect' or 'grpc-web', not ${String(transport)}`);
  }
  for (const [name, source] of Object.entries({ token, userToken })) {
    if (source === undefined || typeof source === 'string' || typeof source === 'function') continue;
    throw invalidOption(`${name} must be a text or a function that gives one`);
  }
  if (typeof headers !== 'function') checkHeaders(headers);
  assertDuration('timeouts.callMs', timeouts?.callMs);
  assertDuration('timeouts.transferMs', timeouts?.transferMs);
  assertDuration('retry.baseDelayMs', retry?.baseDelayMs);
  assertDuration('retry.maxDelayMs', retry?.maxDelayMs);
  if (retry?.retries !== undefined && !(retry.retries >= 0)) {
    throw invalidOption(`retry.retries must be a number, 0 or more, not ${String(retry.retries)}`);
  }
  // An empty text is no token: see `identify.ts`.
  const sendsTokens = (token !== undefined && token !== '') || userToken !== undefined;
  if (sendsTokens && options.allowTokensOverHttp !== true) assertProtected(url, 'token');
}
