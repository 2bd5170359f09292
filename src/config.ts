import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { parseEnv } from 'node:util';
import { z } from 'zod';
import { UsagePolicies } from './files/policy.ts';
import { OPTIONS, readSettings, SettingsError, type Settings } from './options.ts';

/** The S3 that holds the blobs. */
export interface S3Config {
  readonly endpoint?: string;
  readonly publicEndpoint?: string;
  readonly region: string;
  readonly bucket: string;
  readonly forcePathStyle: boolean;
  readonly encryption?: { readonly algorithm: 'AES256' | 'aws:kms'; readonly kmsKeyId?: string };
}

/** The PocketBase that holds the records. */
export interface PocketBaseConfig {
  readonly url: string;
  readonly email: string;
  readonly password: string;
  readonly collection: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly hiddenFields: readonly string[];
}

/** What the service is to do, once every setting has its meaning. */
export interface Config {
  readonly settings: Settings;
  readonly store: { readonly kind: 'filesystem' } | { readonly kind: 's3'; readonly s3: S3Config };
  readonly catalog:
    | { readonly kind: 'sqlite' }
    | { readonly kind: 'postgres'; readonly url: string }
    | { readonly kind: 'pocketbase'; readonly pocketbase: PocketBaseConfig };
  readonly tls: { readonly cert: Buffer; readonly key: Buffer } | undefined;
  readonly policies: UsagePolicies;
  /** Variables that look like settings and are none. */
  readonly unknownNames: readonly string[];
}

/**
 * The configuration that an environment means, with the files that it names.
 *
 * @throws SettingsError with every mistake at once
 */
export function loadConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const merged = withConfigFile(environment);
  const settings = readSettings(merged);
  const mistakes = new Mistakes(settings);
  const config: Config = {
    settings,
    store:
      settings.ASSET_STORE === 's3'
        ? { kind: 's3', s3: s3Config(settings, mistakes) }
        : { kind: 'filesystem' },
    catalog: catalogConfig(settings, mistakes),
    tls: tlsConfig(settings, mistakes),
    policies: usagePolicies(settings, mistakes),
    unknownNames: Object.keys(merged).filter(
      (name) => name.startsWith('ASSET_') && !name.startsWith('ASSET_TEST_') && !(name in OPTIONS),
    ),
  };
  checkAuth(settings, mistakes);
  mistakes.report();
  return config;
}

class Mistakes {
  readonly #settings: Settings;
  readonly #found: string[] = [];

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  add(name: keyof Settings, text: string): void {
    this.#found.push(`${name}: ${text}`);
  }

  /** The value of a setting that has to be there because of another. */
  require(name: keyof Settings, because: string): string {
    const value = this.#settings[name];
    if (typeof value === 'string') return value;
    this.add(name, `is required with ${because}`);
    return '';
  }

  readFile(name: keyof Settings, path: string): Buffer {
    try {
      return readFileSync(path);
    } catch (error) {
      this.add(
        name,
        `cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'error'} (it is ${JSON.stringify(path)})`,
      );
      return Buffer.alloc(0);
    }
  }

  report(): void {
    if (this.#found.length > 0) throw new SettingsError(this.#found);
  }
}

function withConfigFile(environment: Readonly<Record<string, string | undefined>>) {
  const path = environment['ASSET_CONFIG_FILE'];
  if (!path) return environment;
  try {
    return { ...parseEnv(readFileSync(path, 'utf8')), ...environment };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    throw new SettingsError([`ASSET_CONFIG_FILE: cannot be read: ${code} (it is ${JSON.stringify(path)})`]);
  }
}

function s3Config(settings: Settings, mistakes: Mistakes): S3Config {
  const { ASSET_S3_ENDPOINT: endpoint, ASSET_S3_PUBLIC_ENDPOINT: publicEndpoint } = settings;
  const { ASSET_S3_SSE: algorithm, ASSET_S3_SSE_KMS_KEY_ID: kmsKeyId } = settings;
  return {
    ...(endpoint !== undefined && { endpoint }),
    ...(publicEndpoint !== undefined && { publicEndpoint }),
    region: settings.ASSET_S3_REGION,
    bucket: mistakes.require('ASSET_S3_BUCKET', 'ASSET_STORE=s3'),
    forcePathStyle: settings.ASSET_S3_FORCE_PATH_STYLE ?? endpoint !== undefined,
    ...(algorithm !== 'none' && {
      encryption: { algorithm, ...(kmsKeyId !== undefined && { kmsKeyId }) },
    }),
  };
}

function catalogConfig(settings: Settings, mistakes: Mistakes): Config['catalog'] {
  switch (settings.ASSET_CATALOG) {
    case 'sqlite':
      return { kind: 'sqlite' };
    case 'postgres':
      return { kind: 'postgres', url: mistakes.require('ASSET_POSTGRES_URL', 'ASSET_CATALOG=postgres') };
    case 'pocketbase': {
      const because = 'ASSET_CATALOG=pocketbase';
      return {
        kind: 'pocketbase',
        pocketbase: {
          url: mistakes.require('ASSET_POCKETBASE_URL', because),
          email: mistakes.require('ASSET_POCKETBASE_EMAIL', because),
          password: mistakes.require('ASSET_POCKETBASE_PASSWORD', because),
          collection: settings.ASSET_POCKETBASE_COLLECTION,
          fields: settings.ASSET_POCKETBASE_FIELDS,
          hiddenFields: settings.ASSET_POCKETBASE_HIDDEN_FIELDS,
        },
      };
    }
  }
}

function tlsConfig(settings: Settings, mistakes: Mistakes): Config['tls'] {
  const { ASSET_TLS_CERT: cert, ASSET_TLS_KEY: key } = settings;
  if (cert === undefined && key === undefined) return undefined;
  return {
    cert: mistakes.readFile('ASSET_TLS_CERT', cert ?? mistakes.require('ASSET_TLS_CERT', 'ASSET_TLS_KEY')),
    key: mistakes.readFile('ASSET_TLS_KEY', key ?? mistakes.require('ASSET_TLS_KEY', 'ASSET_TLS_CERT')),
  };
}

function usagePolicies(settings: Settings, mistakes: Mistakes): UsagePolicies {
  const path = settings.ASSET_POLICY_FILE;
  if (path === undefined) return new UsagePolicies();
  const content = mistakes.readFile('ASSET_POLICY_FILE', path).toString('utf8');
  try {
    return new UsagePolicies(JSON.parse(content));
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error).replaceAll('\n', ' ') : 'is not JSON';
    if (content !== '') mistakes.add('ASSET_POLICY_FILE', why);
    return new UsagePolicies();
  }
}

/** Without identity everybody may do everything, so only this machine may reach the port. */
function checkAuth(settings: Settings, mistakes: Mistakes): void {
  if (settings.ASSET_AUTH !== 'none') {
    mistakes.add(
      'ASSET_AUTH',
      `${settings.ASSET_AUTH} is not implemented yet: use none behind a network that you trust`,
    );
  }
  const { host } = settings.ASSET_LISTEN;
  if (!isLoopback(host) && !settings.ASSET_ALLOW_INSECURE) {
    mistakes.add(
      'ASSET_LISTEN',
      `with ASSET_AUTH=none it must be a loopback address, since every caller may do everything (it is ${host}); ` +
        'set ASSET_ALLOW_INSECURE=true where something else keeps strangers out',
    );
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
