import type { Config } from './config.ts';
import { OPTIONS, type Settings } from './options/options.ts';
import type { Option } from './options/option.ts';
import { shownValue } from '../errors/redaction.ts';
import { causes, causeText, setupFaultIn, type SetupPart } from '../errors/setup-fault.ts';

/** A failure that the operator sees as one line without a stack. */
export class ExplainedError extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'ExplainedError';
  }
}

/** Variables that may be wrong: settings, and those of the AWS credential chain. */
type Names = readonly (keyof Settings | `AWS_${string}`)[];
type Faults = Readonly<Partial<Record<SetupPart, Names>>>;

const FILESYSTEM: Faults = { directory: ['ASSET_DATA_DIR'] };
const SQLITE: Faults = { ...FILESYSTEM, schema: ['ASSET_MIGRATE'] };

const POSTGRES: Faults = {
  address: ['ASSET_POSTGRES_URL'],
  login: ['ASSET_POSTGRES_URL'],
  database: ['ASSET_POSTGRES_URL'],
  connections: ['ASSET_POSTGRES_CONNECTIONS'],
  permission: ['ASSET_POSTGRES_URL'],
  schema: ['ASSET_MIGRATE'],
};

const POCKETBASE: Faults = {
  address: ['ASSET_POCKETBASE_URL'],
  login: ['ASSET_POCKETBASE_EMAIL', 'ASSET_POCKETBASE_PASSWORD'],
  collection: ['ASSET_POCKETBASE_COLLECTION'],
  schema: ['ASSET_MIGRATE'],
};

const S3: Faults = {
  address: ['ASSET_S3_ENDPOINT'],
  region: ['ASSET_S3_REGION'],
  bucket: ['ASSET_S3_BUCKET'],
  credentials: ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'],
  'access-key': ['AWS_ACCESS_KEY_ID'],
  'secret-key': ['AWS_SECRET_ACCESS_KEY'],
  'session-token': ['AWS_SESSION_TOKEN'],
  permission: ['AWS_ACCESS_KEY_ID', 'ASSET_S3_BUCKET'],
};

const OLD_BUCKET: Faults = {
  address: ['ASSET_LEGACY_S3_ENDPOINT'],
  region: ['ASSET_LEGACY_S3_REGION'],
  bucket: ['ASSET_LEGACY_S3_BUCKET'],
  credentials: ['ASSET_LEGACY_S3_ACCESS_KEY_ID', 'ASSET_LEGACY_S3_SECRET_ACCESS_KEY'],
  'access-key': ['ASSET_LEGACY_S3_ACCESS_KEY_ID'],
  'secret-key': ['ASSET_LEGACY_S3_SECRET_ACCESS_KEY'],
  'session-token': ['AWS_SESSION_TOKEN'],
  permission: ['ASSET_LEGACY_S3_ACCESS_KEY_ID', 'ASSET_LEGACY_S3_BUCKET'],
};

/** The bucket and the directory are arguments of the command. */
const BACKUP_PLACE: Faults = {
  address: ['ASSET_BACKUP_S3_ENDPOINT'],
  region: ['ASSET_BACKUP_S3_REGION'],
  credentials: ['ASSET_BACKUP_S3_ACCESS_KEY_ID', 'ASSET_BACKUP_S3_SECRET_ACCESS_KEY'],
  'access-key': ['ASSET_BACKUP_S3_ACCESS_KEY_ID'],
  'secret-key': ['ASSET_BACKUP_S3_SECRET_ACCESS_KEY'],
  'session-token': ['AWS_SESSION_TOKEN'],
  permission: ['ASSET_BACKUP_S3_ACCESS_KEY_ID'],
};

const SCANNER: Faults = { address: ['ASSET_CLAMD_ADDRESS'] };

/** Advice for faults whose message has none. */
const ADVICE: Readonly<Partial<Record<SetupPart, string>>> = {
  schema: ': run "asset-service migrate", or set ASSET_MIGRATE=true',
};

/** Why the service cannot listen, by system error code. */
const LISTEN: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there already',
  EADDRNOTAVAIL: 'this machine has no such address',
  EACCES: 'this user may not listen on this port',
  ENOTFOUND: 'the name of the host is not known',
};

/**
 * A failure as one line for the operator: the settings to check, what is wrong (with code or HTTP status), and the
 * value unless it is secret. If no setting is involved, only the causes.
 */
export function explainFailure(error: unknown, config: Config): string {
  const listening = listenText(error);
  if (listening !== undefined) return withSettings(['ASSET_LISTEN'], listening, config.settings);
  const fault = setupFaultIn(error);
  const names = fault && faultsOf(error, config)[fault.part];
  if (names === undefined) return `${failingPart(error)}${causeText(error)}`;
  return withSettings(names, causeText(error) + (ADVICE[fault!.part] ?? ''), config.settings);
}

/** Dependencies by the reason of their error, where no setting tells which one failed. */
const PARTS: Readonly<Record<string, string>> = {
  OLD_BUCKET: 'the old bucket',
  STORE_UNAVAILABLE: 'the store',
  CATALOG_UNAVAILABLE: 'the file catalog',
};

const reasonsOf = (error: unknown) => causes(error).map((one) => (one as { reason?: unknown }).reason);

/** True for the failure of a store or catalog, as opposed to a refusal. */
export function isOutage(error: unknown): boolean {
  return reasonsOf(error).some((reason) => typeof reason === 'string' && reason in PARTS);
}

function failingPart(error: unknown): string {
  const reasons = reasonsOf(error);
  const part = Object.keys(PARTS).find((reason) => reasons.includes(reason));
  return part === undefined ? '' : `${PARTS[part]} failed: `;
}

/** True if the operator can correct the error; false for a bug. */
export function isExplained(error: unknown): boolean {
  const known = (one: Error) => 'reason' in one || 'syscall' in one;
  return setupFaultIn(error) !== undefined || causes(error).some(known);
}

/** The settings that a dependency's error may be about. */
function faultsOf(error: unknown, { store, catalog, settings }: Config): Faults {
  const reasons = reasonsOf(error);
  if (reasons.includes('OLD_BUCKET')) return oldBucketFaults(settings);
  if (reasons.includes('BACKUP_PLACE')) return BACKUP_PLACE;
  if (reasons.includes('STORE_UNAVAILABLE')) return store.kind === 's3' ? s3Faults(settings) : FILESYSTEM;
  if (reasons.includes('CATALOG_UNAVAILABLE')) {
    return { sqlite: SQLITE, postgres: POSTGRES, pocketbase: POCKETBASE }[catalog.kind];
  }
  if (reasons.includes('SCANNER_UNAVAILABLE')) return SCANNER;
  if (reasons.includes('IDENTITY_UNAVAILABLE')) {
    const keys = settings.ASSET_OIDC_JWKS === undefined ? 'ASSET_OIDC_ISSUER' : 'ASSET_OIDC_JWKS';
    return { address: [keys], issuer: ['ASSET_OIDC_ISSUER'], directory: [keys] };
  }
  // The data directory is created before a driver is opened.
  return FILESYSTEM;
}

/** Without an endpoint the region determines the address. */
function s3Faults({ ASSET_S3_ENDPOINT: endpoint }: Settings): Faults {
  return endpoint === undefined ? { ...S3, address: ['ASSET_S3_REGION', 'ASSET_S3_ENDPOINT'] } : S3;
}

/** Settings that are omitted for the old bucket have the values of the bucket of the service. */
function oldBucketFaults(settings: Settings): Faults {
  return Object.fromEntries(
    Object.entries(OLD_BUCKET).map(([part, names]) => {
      const given = (name: string) =>
        name.endsWith('_BUCKET') || settings[name as keyof Settings] !== undefined;
      const instead = (name: string) =>
        name.replace('ASSET_LEGACY_', /KEY/.test(name) ? '' : 'ASSET_').replace(/^S3_/, 'AWS_');
      return [part, names.map((name) => (given(name) ? name : instead(name)))];
    }),
  );
}

/** The failure to open the port of the metrics, as one line for the operator. */
export function metricsListenFault(error: unknown, { ASSET_METRICS_LISTEN: at }: Settings): unknown {
  const text = listenText(error);
  if (text === undefined || at === undefined) return error;
  return new ExplainedError(`ASSET_METRICS_LISTEN: ${text} (it is "${at.host}:${at.port}")`, error);
}

function listenText(error: unknown): string | undefined {
  const { code = '', syscall, message = '' } = (error ?? {}) as NodeJS.ErrnoException;
  if (syscall !== 'listen' && syscall !== 'bind' && syscall !== 'getaddrinfo') return undefined;
  return LISTEN[code] === undefined ? message : `${LISTEN[code]} (${code})`;
}

function withSettings(names: Names, text: string, settings: Settings): string {
  const [first] = names;
  const options: Readonly<Record<string, Option>> = OPTIONS;
  const value: unknown = options[first ?? '']?.secret ? undefined : settings[first as keyof Settings];
  const given = typeof value === 'string' ? ` (it is ${JSON.stringify(shownValue(value))})` : '';
  return `${names.join(', ')}: ${text}${given}`;
}
