import type { RequestHandler } from './listener.ts';

/** True for the name of a host, without its port, by which the service may be called. */
export type AllowedHosts = (name: string) => boolean;

/** What a caller is told that uses another name. */
export const WRONG_HOST =
  'the service asks nobody who they are, and so answers under names of the loopback alone: its operators may allow another by ASSET_PUBLIC_URL';

const AUTHORITY = /^(\[[^\]]*\]|[^:]+)(?::\d*)?$/;

/** True if a request is for an allowed name: each `host` and `:authority` counts, and there has to be one. */
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

/** Answers 403 to requests for another name, and lets `handler` answer the others. */
export function onAllowedHosts(isAllowed: AllowedHosts, handler: RequestHandler): RequestHandler {
  return (request, response) => {
    if (isForAllowedHost(isAllowed, request.rawHeaders)) return handler(request, response);
    response.writeHead(403, { 'content-type': 'text/plain' });
    response.end(`${WRONG_HOST}\n`);
  };
}
