import type { RequestHandler } from './listener.ts';
import { WRONG_HOST } from '../errors/callers.ts';

/** True for a host name, without port, under which the service may be called. */
export type AllowedHosts = (name: string) => boolean;

const AUTHORITY = /^(\[[^\]]*\]|[^:]+)(?::\d*)?$/;

/**
 * True if a request is for an allowed name: checks every `host` and `:authority`, of which there must be at least
 * one.
 */
export function isForAllowedHost(isAllowed: AllowedHosts, rawHeaders: readonly string[]): boolean {
  let found = false;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (!/^(host|:authority)$/i.test(rawHeaders[i]!)) continue;
    const name = AUTHORITY.exec(rawHeaders[i + 1]!)?.[1];
    if (name === undefined || !isAllowed(name)) return false;
    found = true;
  }
  return found;
}

/** Answers 403 to requests for other names; `handler` answers the others. */
export function onAllowedHosts(isAllowed: AllowedHosts, handler: RequestHandler): RequestHandler {
  return (request, response) => {
    if (isForAllowedHost(isAllowed, request.rawHeaders)) return handler(request, response);
    response.writeHead(403, { 'content-type': 'text/plain' });
    response.end(`${WRONG_HOST}\n`);
  };
}
