import type { Config } from './config.ts';
import { isLoopback } from './loopback.ts';

/**
 * Host names under which the service answers; undefined for any. A web page can make its own name resolve to
 * loopback (DNS rebinding). If callers show no identity, only the host name distinguishes that page from a program
 * on this machine.
 */
export function allowedHosts({ identity, settings }: Config): ((name: string) => boolean) | undefined {
  if (identity.kind !== 'none') return undefined;
  const { ASSET_PUBLIC_URL: publicUrl } = settings;
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
