import { InvalidArgumentError } from 'commander';
import { isIP } from 'node:net';
import { shownValue } from '../redaction.ts';

/** Where a service is that runs with the defaults. */
const DEFAULT_URL = 'http://127.0.0.1:8080';

/**
 * The address of the service that a command line, `ASSET_URL` or else the default gives. Without a scheme it is `http` for this machine
 * (`localhost`, 127.0.0.1, ::1), as the service listens by default, and `https` for any other, where a token must not be seen.
 *
 * @param secure - true where certificates are given, which only `https` uses
 * @throws InvalidArgumentError for what is no address of a service
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
    // A password is not shown.
    throw refuse('must have no user, query or fragment', url.origin);
  }
  if (secure && url.protocol === 'http:') {
    throw new InvalidArgumentError(
      `--url ${shownValue(text)}: --ca, --cert and --key are for https addresses`,
    );
  }
  return url.href.replace(/\/+$/, '');
}

/** True for names and addresses of the loopback. */
function isThisMachine(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '');
  return (
    /(?:^|\.)localhost\.?$/.test(host) || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
  );
}
