import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { z } from 'zod';
import type { AuditConfig } from './audit/open-audit.ts';
import { identityConfig, type IdentityConfig } from './config/identity.ts';
import { Mistakes } from './config/mistakes.ts';
import { tlsConfig, type TlsConfig } from './config/tls.ts';
import { UsagePolicies } from './files/policy/usage-policies.ts';
import type { Option } from './options/types.ts';
import { readSettings, SettingsError } from './options/environment.ts';
import { OPTIONS, type Settings } from './options.ts';

/** Variables of the OpenTelemetry specification that say where logs are sent. */
const OTLP_ENDPOINTS = ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_LOGS_ENDPOINT'];

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
  readonly identity: IdentityConfig;
  readonly tls: TlsConfig | undefined;
  readonly policies: UsagePolicies;
  readonly audit: AuditConfig;
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
    identity: identityConfig(settings, mistakes),
    tls: tlsConfig(settings, mistakes),
    policies: usagePolicies(settings, mistakes),
    audit: {
      destination: settings.ASSET_AUDIT_LOG ?? (settings.ASSET_AUTH === 'none' ? 'off' : 'stdout'),
      openTelemetry: OTLP_ENDPOINTS.some((name) => Boolean(environment[name])),
    },
    unknownNames: Object.keys(merged).filter(
      (name) => name.startsWith('ASSET_') && !name.startsWith('ASSET_TEST_') && !isSetting(name),
    ),
  };
  mistakes.report();
  return config;
}

function isSetting(name: string): boolean {
  const options: Readonly<Record<string, Option>> = OPTIONS;
  return name in options || options[name.replace(/_FILE$/, '')]?.secret === true;
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
