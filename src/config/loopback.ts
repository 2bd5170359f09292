import { isIP } from 'node:net';
import type { Settings } from './options/options.ts';

/** True for an address to listen on that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/**
 * Host names under which the service answers; undefined for any. A web page can make its own name resolve to
 * loopback (DNS rebinding). If callers show no identity, only the host name distinguishes that page from a program
 * on this machine.
 */
export function allowedHosts({
  ASSET_AUTH: auth,
  ASSET_PUBLIC_URL: publicUrl,
}: Settings): ((name: string) => boolean) | undefined {
  if (auth !== 'none') return undefined;
  const known = publicUrl === undefined ? undefined : plain(new URL(publicUrl).hostname);
  return (name) => {
    const host = plain(name);
    // Browsers resolve names below localhost only to loopback (RFC 6761, section 6.3).
    return isLoopback(host) || host.endsWith('.localhost') || host === known;
  };
}

function plain(name: string): string {
  return name.toLowerCase().replace(/^\[|\]$|\.$/g, '');
}

/**
 * Issuer of the tokens that `asset-service dev-token` signs for everybody. A service that trusts it must listen on
 * loopback only. Nothing answers at this address: the keys are in a file.
 */
export const DEVELOPMENT_ISSUER = 'http://localhost/asset-service/development';

/** Audience of these tokens, unless `ASSET_OIDC_AUDIENCE` is set. */
export const DEVELOPMENT_AUDIENCE = 'asset-service';
