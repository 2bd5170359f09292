import type { Interceptor } from '@connectrpc/connect';
import { invalidOption } from './errors.ts';
import { traceHeaders } from './trace-context.ts';

/** Request headers by name, such as `x-request-id` or `traceparent`. */
export type CallHeaders = Readonly<Record<string, string>>;

/** Headers of every call: fixed, or from a function that is called before each call. */
export type ClientHeaders = CallHeaders | (() => CallHeaders | undefined);

/** Headers of the protocol and of the client's identity. */
const RESERVED =
  /^(?:authorization|asset-user-token|connection|content-.*|host|te|trailer|transfer-encoding|accept-encoding|user-agent|(?:connect|grpc)-.*)$/;

const NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
const VALUE = /^[\x20-\x7e]*$/;

/**
 * The headers with lower-case names. Errors never show a value.
 *
 * @throws AssetClientError OPTION_INVALID for a header that the client sets itself or that is not valid
 */
export function checkHeaders(headers: CallHeaders | undefined): CallHeaders {
  const checked: Record<string, string> = {};
  for (const [given, value] of Object.entries(headers ?? {})) {
    const name = given.toLowerCase();
    if (!NAME.test(name)) throw invalidOption(`${JSON.stringify(given)} cannot be the name of a header`);
    if (RESERVED.test(name)) throw invalidOption(`the header ${name} is set by the client itself`);
    if (typeof value !== 'string' || !VALUE.test(value))
      throw invalidOption(`the value of the header ${name} has to be a text of visible ASCII characters`);
    checked[name] = value;
  }
  return checked;
}

/** Adds the client's headers to those of each call, and the active span of OpenTelemetry if they name none. */
export function sendAlong(headers: ClientHeaders | undefined): Interceptor {
  // Async, because Connect does not clear the deadline timer if an interceptor throws instead of rejecting.
  return (next) => async (request) => {
    const all = checkHeaders(typeof headers === 'function' ? headers() : headers);
    for (const [name, value] of Object.entries(all)) {
      if (!request.header.has(name)) request.header.set(name, value);
    }
    if (!request.header.has('traceparent')) {
      for (const [name, value] of Object.entries(traceHeaders())) request.header.set(name, value);
    }
    return next(request);
  };
}
