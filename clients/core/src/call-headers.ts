import type { Interceptor } from '@connectrpc/connect';
import { invalidOption } from './errors.ts';

/** Headers that go along with a call, such as `x-request-id` or `traceparent`, by name. */
export type CallHeaders = Readonly<Record<string, string>>;

/** What a client sends along with every call: the same headers, or those that a function gives for each. */
export type ClientHeaders = CallHeaders | (() => CallHeaders | undefined);

/** Names that the protocol and the client's own identity stand under. */
const RESERVED =
  /^(?:authorization|asset-user-token|connection|content-.*|host|te|trailer|transfer-encoding|accept-encoding|user-agent|(?:connect|grpc)-.*)$/;

const NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
const VALUE = /^[\x20-\x7e]*$/;

/**
 * The headers with names in lower case. A value is never shown.
 *
 * @throws AssetClientError OPTION_INVALID for one that the client sets itself and for what cannot be a header
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

/** Adds the headers of a client to those of each call. */
export function sendAlong(headers: ClientHeaders | undefined): Interceptor {
  // Async, since Connect leaves the timer of a deadline running where an interceptor throws instead of rejecting.
  return (next) => async (request) => {
    const all = checkHeaders(typeof headers === 'function' ? headers() : headers);
    for (const [name, value] of Object.entries(all)) {
      if (!request.header.has(name)) request.header.set(name, value);
    }
    return next(request);
  };
}
