import type { Config } from '../config.ts';
import { isLoopback } from './loopback.ts';

/**
 * The names by which the service may be called; undefined for any. A page in a browser on this machine can have its own name lead to
 * the loopback (DNS rebinding): where callers show no identity, nothing but the name tells it from a program of this machine.
 */
export function allowedHosts({ identity, settings }: Config): ((name: string) => boolean) | undefined {
  if (identity.kind !== 'none') return undefined;
  const { ASSET_PUBLIC_URL: publicUrl } = settings;
  const known = publicUrl === undefined ? undefined : plain(new URL(publicUrl).hostname);
  return (name) => {
    const host = plain(name);
    // Browsers look up no name below localhost (RFC 6761, section 6.3).
    return isLoopback(host) || host.endsWith('.localhost') || host === known;
  };
}

function plain(name: string): string {
  return name.toLowerCase().replace(/^\[|\]$|\.$/g, '');
}
