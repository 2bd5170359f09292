import { z } from 'zod';
import { DEVELOPMENT_ISSUER, isLoopback } from './loopback.ts';
import type { Mistakes } from './settings.ts';
import { TLS_FILES } from './tls.ts';
import { CertificatePrincipals } from '../identity/client-certificates.ts';
import type { MtlsOptions } from '../identity/mtls.ts';
import type { OidcOptions } from '../identity/oidc.ts';
import type { Settings } from './options/options.ts';

/** How callers prove their identity. */
export type IdentityConfig =
  | { readonly kind: 'none' }
  | { readonly kind: 'oidc'; readonly oidc: OidcOptions }
  | { readonly kind: 'mtls'; readonly mtls: MtlsOptions };

/** The identity configuration in the settings; reports combinations that do not work. */
export function identityConfig(settings: Settings, mistakes: Mistakes): IdentityConfig {
  const { ASSET_AUTH: auth, ASSET_MTLS_PRINCIPALS: principals } = settings;
  // Malformed JSON is named whatever identifies callers; a file is read only for those who need it.
  if (auth !== 'mtls' && isJson(principals)) certificatePrincipals(principals, mistakes);
  switch (auth) {
    case 'none':
      checkLoopback(settings, mistakes);
      return { kind: 'none' };
    case 'oidc':
      return { kind: 'oidc', oidc: oidcOptions(settings, mistakes, 'ASSET_AUTH=oidc') };
    case 'mtls':
      return { kind: 'mtls', mtls: mtlsOptions(settings, mistakes) };
  }
}

function mtlsOptions(settings: Settings, mistakes: Mistakes): MtlsOptions {
  const because = 'ASSET_AUTH=mtls';
  // Read together with the other TLS files.
  for (const name of TLS_FILES) mistakes.require(name, because);
  const hasIssuer = settings.ASSET_OIDC_ISSUER !== undefined;
  return {
    principals: certificatePrincipals(mistakes.require('ASSET_MTLS_PRINCIPALS', because), mistakes),
    oidc: hasIssuer ? oidcOptions(settings, mistakes, 'ASSET_OIDC_ISSUER') : undefined,
  };
}

/** True if the setting holds the JSON itself, not the path of a file. */
function isJson(given: string | undefined): given is string {
  return given?.trimStart().startsWith('{') ?? false;
}

function certificatePrincipals(given: string, mistakes: Mistakes): CertificatePrincipals {
  const name = 'ASSET_MTLS_PRINCIPALS';
  const isFile = given !== '' && !isJson(given);
  const content = isFile ? mistakes.readText(name, given) : given;
  // A setting that is missing, and a file that cannot be read, are reported already.
  if (content === undefined || given === '') return new CertificatePrincipals({});
  try {
    return new CertificatePrincipals(JSON.parse(content));
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error).replaceAll('\n', ' ') : 'is not JSON';
    mistakes.add(name, why);
    return new CertificatePrincipals({});
  }
}

function oidcOptions(settings: Settings, mistakes: Mistakes, because: string): OidcOptions {
  const { ASSET_OIDC_JWKS: jwks } = settings;
  if (jwks !== undefined && !/^https?:\/\//i.test(jwks)) {
    const content = mistakes.readText('ASSET_OIDC_JWKS', jwks);
    if (content !== undefined && !isKeySet(content)) {
      mistakes.add('ASSET_OIDC_JWKS', 'the file is not a JSON object with an array "keys" that has any');
    }
  }
  if (settings.ASSET_OIDC_ISSUER === DEVELOPMENT_ISSUER) checkDevelopment(settings, mistakes);
  return {
    issuer: mistakes.require('ASSET_OIDC_ISSUER', because),
    audience: mistakes.require('ASSET_OIDC_AUDIENCE', because),
    jwks,
    refreshMs: settings.ASSET_OIDC_JWKS_REFRESH,
    subjectClaim: settings.ASSET_OIDC_SUBJECT_CLAIM,
    personClaims: settings.ASSET_OIDC_PERSON_CLAIMS,
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

/**
 * Whoever can run a command on this machine can get any token of this issuer, so only this machine may reach the
 * port.
 */
function checkDevelopment(settings: Settings, mistakes: Mistakes): void {
  const { host } = settings.ASSET_LISTEN;
  if (!isLoopback(host)) {
    mistakes.add(
      'ASSET_LISTEN',
      `with the tokens of "asset-service dev-token" it must be a loopback address (it is ${host}): ` +
        'name another issuer in ASSET_OIDC_ISSUER',
    );
  }
  mistakes.require(
    'ASSET_OIDC_JWKS',
    'the issuer of "asset-service dev-token", which prints it with --settings',
  );
}

/** Without identity everybody may do everything, so only this machine may reach the port. */
function checkLoopback(settings: Settings, mistakes: Mistakes): void {
  const { host } = settings.ASSET_LISTEN;
  if (isLoopback(host)) return;
  mistakes.add(
    'ASSET_LISTEN',
    `with ASSET_AUTH=none it must be a loopback address, since every caller may do everything (it is ${host}): ` +
      'set it to oidc or mtls',
  );
}
