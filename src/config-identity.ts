import { isIP } from 'node:net';
import type { Mistakes } from './config-mistakes.ts';
import type { OidcOptions } from './identity/oidc.ts';
import type { Settings } from './options.ts';

/** How callers prove who they are. */
export type IdentityConfig =
  { readonly kind: 'none' } | { readonly kind: 'oidc'; readonly oidc: OidcOptions };

/** What the port shows, in PEM. */
export interface TlsConfig {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** What the settings say of identity; whatever does not fit together is a mistake. */
export function identityConfig(settings: Settings, mistakes: Mistakes): IdentityConfig {
  switch (settings.ASSET_AUTH) {
    case 'none':
      checkLoopback(settings, mistakes);
      return { kind: 'none' };
    case 'oidc':
      return { kind: 'oidc', oidc: oidcOptions(settings, mistakes, 'ASSET_AUTH=oidc') };
    case 'mtls':
      mistakes.add('ASSET_AUTH', 'mtls is not implemented yet');
      return { kind: 'none' };
  }
}

/** What the settings say of TLS; undefined for cleartext. */
export function tlsConfig(settings: Settings, mistakes: Mistakes): TlsConfig | undefined {
  const { ASSET_TLS_CERT: cert, ASSET_TLS_KEY: key } = settings;
  if (cert === undefined && key === undefined) return undefined;
  return {
    cert: mistakes.readFile('ASSET_TLS_CERT', cert ?? mistakes.require('ASSET_TLS_CERT', 'ASSET_TLS_KEY')),
    key: mistakes.readFile('ASSET_TLS_KEY', key ?? mistakes.require('ASSET_TLS_KEY', 'ASSET_TLS_CERT')),
  };
}

function oidcOptions(settings: Settings, mistakes: Mistakes, because: string): OidcOptions {
  const { ASSET_OIDC_JWKS: jwks } = settings;
  if (jwks !== undefined && !/^https?:\/\//.test(jwks)) {
    const content = mistakes.readFile('ASSET_OIDC_JWKS', jwks).toString('utf8');
    if (content !== '' && !isKeySet(content)) {
      mistakes.add('ASSET_OIDC_JWKS', 'the file is not a JSON object with an array "keys" that has any');
    }
  }
  return {
    issuer: mistakes.require('ASSET_OIDC_ISSUER', because),
    audience: mistakes.require('ASSET_OIDC_AUDIENCE', because),
    jwks,
    refreshMs: settings.ASSET_OIDC_JWKS_REFRESH,
    subjectClaim: settings.ASSET_OIDC_SUBJECT_CLAIM,
    clockSkewMs: settings.ASSET_OIDC_CLOCK_SKEW,
  };
}

function isKeySet(content: string): boolean {
  try {
    const { keys } = JSON.parse(content) as { readonly keys?: unknown };
    return Array.isArray(keys) && keys.length > 0;
  } catch {
    return false;
  }
}

/** Without identity everybody may do everything, so only this machine may reach the port. */
function checkLoopback(settings: Settings, mistakes: Mistakes): void {
  const { host } = settings.ASSET_LISTEN;
  if (isLoopback(host) || settings.ASSET_ALLOW_INSECURE) return;
  mistakes.add(
    'ASSET_LISTEN',
    `with ASSET_AUTH=none it must be a loopback address, since every caller may do everything (it is ${host}): ` +
      'set ASSET_AUTH, or ASSET_ALLOW_INSECURE=true where something else keeps strangers out',
  );
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
