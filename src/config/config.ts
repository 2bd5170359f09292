import { z } from 'zod';
import type { AuditConfig } from '../audit/open-audit.ts';
import { readConfigFile } from './config-file.ts';
import { readFieldMap } from '../catalog/pocketbase/field-map.ts';
import { identityConfig, type IdentityConfig } from './identity.ts';
import { legacyConfig, type LegacyConfig } from './legacy.ts';
import { Mistakes, unknownNames, unknownNameText, readSettings, SettingsError } from './settings.ts';
import { checkNext, nextSettings } from './next.ts';
import { nextStoreConfig, type StoreConfig } from './next-store.ts';
import { openTelemetryConfig } from './open-telemetry.ts';
import type { MetricsConfig } from '../telemetry/metrics.ts';
import { s3Config } from './s3.ts';
import { tlsConfig, type TlsConfig } from './tls.ts';
import { UsagePolicies } from '../files/policy/usage-policies.ts';
import type { Settings } from './options/options.ts';

/** The PocketBase with the records. */
export interface PocketBaseConfig {
  readonly url: string;
  readonly email: string;
  readonly password: string;
  readonly collection: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly hiddenFields: readonly string[];
  readonly legacyFields: LegacyConfig['fields'];
  readonly defaults: Settings['ASSET_POCKETBASE_DEFAULTS'];
  /** True if a catalog move goes to it or may go back to it. */
  readonly takesImports: boolean;
  /** True if the usage policies in use have a quota. */
  readonly hasQuotas: () => boolean;
}

/** A catalog and its settings. */
export interface CatalogConfig {
  readonly settings: Settings;
  readonly catalog:
    | { readonly kind: 'sqlite' }
    | { readonly kind: 'postgres'; readonly url: string }
    | { readonly kind: 'pocketbase'; readonly pocketbase: PocketBaseConfig };
}

/** The validated configuration of the service. */
export interface Config extends CatalogConfig, StoreConfig {
  /** The catalog that a move goes to; undefined if none is set up. */
  readonly next: CatalogConfig | undefined;
  /** The store that a move goes to; undefined if none is set up. */
  readonly nextStore: StoreConfig | undefined;
  /** The old system; undefined if there is none. */
  readonly legacy: LegacyConfig | undefined;
  readonly identity: IdentityConfig;
  readonly tls: TlsConfig | undefined;
  readonly policies: UsagePolicies;
  readonly audit: AuditConfig;
  readonly metrics: MetricsConfig;
  /** True to send traces to OpenTelemetry. */
  readonly tracing: boolean;
  /** Variables that look like settings and are none. */
  readonly unknownNames: readonly string[];
  /**
   * Warnings of the service, which `config --check` counts as mistakes: unknown names, and lines of the configuration
   * file without effect.
   */
  readonly doubts: readonly string[];
  /**
   * Variables of other programs that are set in the configuration file but not in the environment, such as
   * `AWS_ACCESS_KEY_ID`.
   */
  readonly foreign: Readonly<Record<string, string>>;
}

/**
 * Parses the settings only; does not read files that they name or check combinations.
 *
 * @throws SettingsError with all mistakes
 */
export function loadSettings(environment: Readonly<Record<string, string | undefined>>): Settings {
  return readSettings({ ...readConfigFile(environment['ASSET_CONFIG_FILE']).values, ...environment });
}

/**
 * The configuration in an environment, including the files that it names.
 *
 * @throws SettingsError with all mistakes
 */
export function loadConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const file = readConfigFile(environment['ASSET_CONFIG_FILE']);
  const merged = { ...file.values, ...environment };
  const settings = readSettings(merged);
  const mistakes = new Mistakes(settings);
  const unknown = unknownNames(merged);
  const legacy = legacyConfig(settings, mistakes);
  const exported = openTelemetryConfig(merged);
  const policies = usagePolicies(settings, mistakes);
  const config: Config = {
    settings,
    store:
      settings.ASSET_STORE === 's3'
        ? { kind: 's3', s3: s3Config(settings, mistakes) }
        : { kind: 'filesystem' },
    catalog: catalogConfig(settings, legacy?.fields ?? {}, policies, mistakes),
    next: nextConfig(settings, policies, mistakes),
    nextStore: nextStoreConfig(settings, mistakes),
    legacy,
    identity: identityConfig(settings, mistakes),
    tls: tlsConfig(settings, mistakes),
    policies,
    audit: {
      destination: settings.ASSET_AUDIT_LOG ?? (settings.ASSET_AUTH === 'none' ? 'off' : 'stdout'),
      openTelemetry: exported.logs,
    },
    metrics: { listen: settings.ASSET_METRICS_LISTEN, openTelemetry: exported.metrics },
    tracing: exported.traces,
    unknownNames: unknown,
    doubts: [...doubtsOf(file.faults, unknown), ...exported.doubts],
    foreign: Object.fromEntries(
      Object.entries(file.values).filter(([name]) => !/^asset_/i.test(name) && !(name in environment)),
    ),
  };
  checkMetricsAddress(settings, mistakes);
  mistakes.report();
  return config;
}

/**
 * Like {@link loadConfig}, but warnings count as mistakes too.
 *
 * @throws SettingsError with all mistakes
 */
export function checkConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const { faults, values } = readConfigFile(environment['ASSET_CONFIG_FILE']);
  const merged = { ...values, ...environment };
  const doubts = [...doubtsOf(faults, unknownNames(merged)), ...openTelemetryConfig(merged).doubts];
  try {
    const config = loadConfig(environment);
    if (doubts.length === 0) return config;
  } catch (error) {
    if (error instanceof SettingsError) throw new SettingsError([...doubts, ...error.mistakes]);
    throw error;
  }
  throw new SettingsError(doubts);
}

/** The metrics have an address of their own. */
function checkMetricsAddress(settings: Settings, mistakes: Mistakes): void {
  const { ASSET_LISTEN: service, ASSET_METRICS_LISTEN: metrics } = settings;
  if (metrics === undefined || metrics.port === 0 || metrics.port !== service.port) return;
  if (metrics.host !== service.host) return;
  mistakes.add('ASSET_METRICS_LISTEN', 'is the address of ASSET_LISTEN: give another port');
}

function doubtsOf(fileFaults: readonly string[], unknown: readonly string[]): string[] {
  return [...fileFaults.map((fault) => `ASSET_CONFIG_FILE: ${fault}`), ...unknown.map(unknownNameText)];
}

function nextConfig(
  settings: Settings,
  policies: UsagePolicies,
  mistakes: Mistakes,
): CatalogConfig | undefined {
  const next = nextSettings(settings);
  if (next === undefined) return undefined;
  checkNext(settings, next, mistakes);
  return { settings: next, catalog: catalogConfig(next, {}, policies, mistakes.ofNext(next)) };
}

function catalogConfig(
  settings: Settings,
  legacyFields: LegacyConfig['fields'],
  policies: UsagePolicies,
  mistakes: Mistakes,
): Config['catalog'] {
  switch (settings.ASSET_CATALOG) {
    case 'sqlite':
      return { kind: 'sqlite' };
    case 'postgres':
      return { kind: 'postgres', url: mistakes.require('ASSET_POSTGRES_URL', 'ASSET_CATALOG=postgres') };
    case 'pocketbase': {
      const because = 'ASSET_CATALOG=pocketbase';
      const { ASSET_POCKETBASE_FIELDS: fields, ASSET_POCKETBASE_HIDDEN_FIELDS: hiddenFields } = settings;
      for (const mistake of readFieldMap(fields, hiddenFields).mistakes) {
        mistakes.add('ASSET_POCKETBASE_FIELDS', mistake);
      }
      return {
        kind: 'pocketbase',
        pocketbase: {
          url: mistakes.require('ASSET_POCKETBASE_URL', because),
          email: mistakes.require('ASSET_POCKETBASE_EMAIL', because),
          password: mistakes.require('ASSET_POCKETBASE_PASSWORD', because),
          collection: settings.ASSET_POCKETBASE_COLLECTION,
          fields,
          hiddenFields,
          legacyFields,
          defaults: settings.ASSET_POCKETBASE_DEFAULTS,
          takesImports: settings.ASSET_NEXT_CATALOG !== undefined,
          hasQuotas: () => policies.hasQuotas,
        },
      };
    }
  }
}

function usagePolicies(settings: Settings, mistakes: Mistakes): UsagePolicies {
  const path = settings.ASSET_POLICY_FILE;
  if (path === undefined) return new UsagePolicies();
  const content = mistakes.readText('ASSET_POLICY_FILE', path);
  if (content === undefined) return new UsagePolicies();
  try {
    return new UsagePolicies(JSON.parse(content));
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error).replaceAll('\n', ' ') : 'is not JSON';
    mistakes.add('ASSET_POLICY_FILE', why);
    return new UsagePolicies();
  }
}
