import { InvalidArgumentError } from 'commander';
import { isIP } from 'node:net';
import { shownValue } from '../errors/redaction.ts';

/** Address of a service with the default settings. */
const DEFAULT_URL = 'http://127.0.0.1:8080';

/**
 * Address of the service: from the command line, `ASSET_URL` or the default. Without a scheme it is `http` for this
 * machine (`localhost`, 127.0.0.1, ::1), like the service's default, and `https` for others, because a token must
 * not be readable.
 *
 * @param secure - true if certificates are given, which only `https` uses
 * @throws InvalidArgumentError for an invalid address
 */
export function serviceUrl(given: string | undefined, secure = false): string {
  const text = given || process.env['ASSET_URL'] || DEFAULT_URL;
  const refuse = (why: string, shown = shownValue(text)) =>
    new InvalidArgumentError(`--url ${shown}: ${why}, such as http://127.0.0.1:8080 or files.example.com`);
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
  if (hasScheme && !/^https?:/i.test(text)) throw refuse('must be an http or https address');
  if (!hasScheme && /^[^/:[]*$/.test(text) && /^\d*$/.test(text)) throw refuse('must name a host');
  const url = URL.parse(hasScheme ? text : `https://${text}`);
  if (url === null || url.hostname === '') throw refuse('must be host:port or a URL');
  if (!hasScheme && !secure && isThisMachine(url.hostname)) return serviceUrl(`http://${text}`);
  if (url.search !== '' || url.hash !== '' || url.username !== '' || url.password !== '') {
    // The URL without its password.
    throw refuse('must have no user, query or fragment', url.origin);
  }
  if (secure && url.protocol === 'http:') {
    throw new InvalidArgumentError(
      `--url ${shownValue(text)}: --ca, --cert and --key are for https addresses`,
    );
  }
  return url.href.replace(/\/+$/, '');
}

/** True for loopback names and addresses. */
function isThisMachine(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '');
  return (
    /(?:^|\.)localhost\.?$/.test(host) || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
  );
}
