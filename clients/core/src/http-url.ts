import { isIP } from 'node:net';
import { AssetClientError, invalidOption } from './errors.ts';

/**
 * Parses the URL of an option.
 *
 * @throws AssetClientError OPTION_INVALID if it is not an http or https URL
 */
export function assertHttpUrl(option: string, value: unknown): URL {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined;
  if (url !== undefined && (url.protocol === 'http:' || url.protocol === 'https:')) return url;
  const given = typeof value === 'string' ? `"${value}"` : String(value);
  throw invalidOption(`${option} must be a URL such as https://assets.example, not ${given}`);
}

/**
 * Checks that a secret is sent over TLS or stays on this machine.
 *
 * @throws AssetClientError TOKEN_NOT_PROTECTED
 */
export function assertProtected(url: URL, what: 'token' | 'client secret'): void {
  if (url.protocol !== 'http:' || isLoopback(url)) return;
  throw new AssetClientError(
    'FAILED_PRECONDITION',
    `no ${what} is sent to ${url.host} over http, where anybody on the way can read and use it: take https, or set allowTokensOverHttp where the network protects it`,
    { reason: 'TOKEN_NOT_PROTECTED' },
  );
}

function isLoopback({ hostname }: URL): boolean {
  if (hostname === 'localhost' || hostname.endsWith('.localhost')) return true;
  return hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'));
}
