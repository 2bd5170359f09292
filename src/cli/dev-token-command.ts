import { InvalidArgumentError, type Command } from 'commander';
import { join, resolve } from 'node:path';
import { DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER, isLoopback } from '../config/loopback.ts';
import { loadSettings } from '../config/config.ts';
import { ROLES } from '../identity/caller.ts';
import type { Settings } from '../config/options/options.ts';
import { collect, notEmpty } from './description-flags.ts';
import { print } from './terminal.ts';

interface DevTokenFlags {
  readonly sub: string;
  readonly role: readonly string[];
  readonly service?: true;
  readonly ttl: number;
  readonly keys?: string;
  readonly settings?: true;
}

/** Adds the command that signs development tokens. */
export function addDevTokenCommand(root: Command): void {
  root
    .command('dev-token')
    .description('print an access token for development, for a service on this machine only')
    .option('--sub <id>', 'id of the person, or of the service with --service', notEmpty, 'developer')
    .option('--role <role>', `a role: ${ROLES.join(', ')}; may be repeated`, role, [])
    .option('--service', 'token of a service account, which may do only what its roles say')
    .option('--ttl <seconds>', 'lifetime in seconds', seconds, 86_400)
    .option(
      '--keys <file>',
      'file of the public keys for ASSET_OIDC_JWKS; the private key is beside it. Both are made on first use (default: ASSET_OIDC_JWKS, or dev-keys.json in ASSET_DATA_DIR)',
    )
    .option('--settings', 'instead print the settings of a service that accepts these tokens')
    .action(async (flags: DevTokenFlags) => {
      const settings = loadSettings(process.env);
      assertDevelopment(settings);
      const path = resolve(flags.keys ?? keysOf(settings));
      const { developmentKey } = await import('./dev-keys.ts');
      const key = await developmentKey(path);
      if (flags.settings) return void (await print(settingsFor(path, audienceOf(settings))));
      const { importJWK, SignJWT } = await import('jose');
      const token = await new SignJWT(claimsOf(flags, settings))
        .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'at+jwt' })
        .setIssuer(DEVELOPMENT_ISSUER)
        .setAudience(audienceOf(settings))
        .setSubject(flags.sub)
        .setIssuedAt()
        .setExpirationTime(`${flags.ttl} s`)
        .sign(await importJWK(key));
      await print(token);
    });
}

/** Refuses to sign if other machines could use the token, or the service trusts another issuer. */
function assertDevelopment({ ASSET_LISTEN: { host }, ASSET_OIDC_ISSUER: issuer }: Settings): void {
  const refuse = (why: string) => Object.assign(new Error(why), { code: 'FAILED_PRECONDITION' });
  if (!isLoopback(host)) {
    throw refuse(`ASSET_LISTEN: development tokens are for a service on the loopback alone (it is ${host})`);
  }
  if (issuer !== undefined && issuer !== DEVELOPMENT_ISSUER) {
    throw refuse(
      `ASSET_OIDC_ISSUER: is ${issuer}; the issuer of development tokens is ${DEVELOPMENT_ISSUER}: see --settings`,
    );
  }
}

function keysOf({ ASSET_OIDC_JWKS: jwks, ASSET_DATA_DIR: folder }: Settings): string {
  return jwks !== undefined && !/^https?:\/\//.test(jwks) ? jwks : join(folder, 'dev-keys.json');
}

function audienceOf({ ASSET_OIDC_AUDIENCE: audience = DEVELOPMENT_AUDIENCE }: Settings): string {
  return audience;
}

function claimsOf({ sub, role: roles, service }: DevTokenFlags, settings: Settings): Record<string, unknown> {
  return {
    scope: roles.map((name) => `asset:${name}`).join(' '),
    [settings.ASSET_OIDC_SUBJECT_CLAIM]: sub,
    // A client that is its own subject marks a service account.
    ...(service ? { azp: sub, client_id: sub } : { auth_time: Math.floor(Date.now() / 1000) }),
  };
}

/** Lines for `ASSET_CONFIG_FILE`. */
function settingsFor(path: string, audience: string): string {
  return [
    'ASSET_AUTH=oidc',
    `ASSET_OIDC_ISSUER=${DEVELOPMENT_ISSUER}`,
    `ASSET_OIDC_AUDIENCE=${quoted(audience)}`,
    `ASSET_OIDC_JWKS=${quoted(path)}`,
  ].join('\n');
}

function quoted(value: string): string {
  if (/^[\w./:@+-]+$/.test(value)) return value;
  return value.includes("'") ? `"${value}"` : `'${value}'`;
}

function role(value: string, earlier: readonly string[]): string[] {
  const name = value.replace(/^asset:/, '');
  if (!(ROLES as readonly string[]).includes(name))
    throw new InvalidArgumentError(`must be one of ${ROLES.join(', ')}`);
  return collect(name, earlier);
}

function seconds(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value <= 0 || value > 31_536_000) {
    throw new InvalidArgumentError('must be a whole number of seconds, at most a year');
  }
  return value;
}
