import { assertDuration } from './arguments.ts';
import { checkHeaders, type ClientHeaders } from './call-headers.ts';
import { invalidOption } from './errors.ts';
import { assertHttpUrl, assertProtected } from './http-url.ts';
import type { RetryPolicy } from './retry.ts';
import type { TokenSource } from './tokens.ts';

/** Address, identity and retries of a client. */
export interface AssetClientOptions {
  /** Address of the service, such as `http://127.0.0.1:8080`. */
  readonly baseUrl: string;
  /**
   * `grpc` (default): gRPC over HTTP/2. `connect` and `grpc-web`: over HTTP/1.1, for networks whose proxies do not
   * support HTTP/2.
   */
  readonly transport?: 'grpc' | 'connect' | 'grpc-web';
  /**
   * Access token of this service, sent as `authorization: Bearer`. {@link clientCredentials} gets one from an
   * issuer.
   */
  readonly token?: TokenSource;
  /** Access token of the end user for whom this service calls, sent as `asset-user-token`. */
  readonly userToken?: TokenSource;
  /**
   * True permits tokens over http to another machine, for a network that is otherwise protected. Refused by default
   * (TOKEN_NOT_PROTECTED), because others could read them.
   */
  readonly allowTokensOverHttp?: boolean;
  /**
   * Headers of every call, such as `traceparent`; a function is called before each. A call's own headers take
   * precedence. Without a `traceparent` the client sends that of the active span of OpenTelemetry, if there is one.
   */
  readonly headers?: ClientHeaders;
  /** Time for a call with all retries, in milliseconds; 0 for no limit. A call's `timeoutMs` takes precedence. */
  readonly timeouts?: {
    /** Calls that transfer no file bytes; default 30 seconds. */
    readonly callMs?: number;
    /** Uploads and downloads; default one hour. */
    readonly transferMs?: number;
  };
  /** PEM certificates: `ca` to trust, `cert` and `key` of this client. */
  readonly tls?: {
    readonly ca?: string | Buffer;
    readonly cert?: string | Buffer;
    readonly key?: string | Buffer;
  };
  /** How failed calls are retried. */
  readonly retry?: RetryPolicy;
}

/**
 * Checks the options of a client.
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
  // An empty string is no token: see `identify.ts`.
  const sendsTokens = (token !== undefined && token !== '') || userToken !== undefined;
  if (sendsTokens && options.allowTokensOverHttp !== true) assertProtected(url, 'token');
}
