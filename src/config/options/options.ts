import { z } from 'zod';
import {
  address,
  bytes,
  count,
  flag,
  http,
  names,
  option,
  seconds,
  text,
  url,
  type Option,
  socketAddress,
} from './option.ts';
import { BACKUP_OPTIONS } from './backup.ts';
import { IDENTITY_OPTIONS } from './identity.ts';
import { LEGACY_OPTIONS } from './legacy.ts';
import { LIMIT_OPTIONS } from './limits.ts';
import { NEXT_STORE_OPTIONS, nextOptions } from './next.ts';
import { POCKETBASE_OPTIONS } from './pocketbase.ts';
import { PROCESS_OPTIONS } from './process.ts';
import { TELEMETRY_OPTIONS } from './telemetry.ts';
import { VARIANT_OPTIONS } from './variants.ts';

const DATA_DIR_OPTION = {
  ASSET_DATA_DIR: option(text(), './data', 'Directory of the embedded store and catalog.'),
} as const satisfies Record<string, Option>;

const POSTGRES_OPTIONS = {
  ASSET_POSTGRES_URL: option(
    url(/^postgres(ql)?$/).optional(),
    '',
    'Connection string of the database, with `sslmode` and other parameters as in libpq, and `schema` for a separate schema. Required with ASSET_CATALOG=postgres.',
    true,
  ),
  ASSET_POSTGRES_CONNECTIONS: option(
    count(1, 1_000),
    '16',
    'Maximum number of database connections of one process. All replicas together must fit into the limit of the server or pooler.',
  ),
} as const satisfies Record<string, Option>;

/** The settings that say where a catalog is, besides ASSET_CATALOG. */
export const CATALOG_OPTIONS = { ...DATA_DIR_OPTION, ...POSTGRES_OPTIONS, ...POCKETBASE_OPTIONS } as const;

/**
 * All settings of the service: the only place that names, parses and explains them. `asset-service config` and
 * docs/configuration.md are made from this table.
 */
export const OPTIONS = {
  ASSET_LISTEN: option(
    address(),
    '127.0.0.1:8080',
    'Address of the one port: gRPC, Connect, gRPC-Web, health, reflection and the URLs of the filesystem store. Port 0 takes any free one.',
  ),
  ASSET_REUSE_PORT: option(
    flag(),
    'false',
    'true lets several processes of one machine listen on the same port; the kernel distributes connections among them. Linux; not with the embedded store.',
  ),
  ASSET_PUBLIC_URL: option(
    http().optional(),
    '',
    'Start of the URLs of the filesystem store: the address at which browsers reach the service. By default http(s):// and ASSET_LISTEN. With ASSET_AUTH=none the service answers under its host as well as under names of the loopback, and under no other.',
  ),
  ...DATA_DIR_OPTION,
  ASSET_MIN_FREE_SPACE: option(
    bytes(0, 2 ** 50).optional(),
    '',
    'Bytes that must stay free on the disk of ASSET_DATA_DIR. With less, the embedded store and catalog accept no new uploads and are NOT_SERVING; files can still be read and deleted. By default 256MiB, or 5 percent of a smaller disk. 0: no limit.',
  ),
  ASSET_CONFIG_FILE: option(
    text().optional(),
    '',
    'File of NAME=value lines, read like the environment, which takes precedence. `asset-service config --check` reports lines and names without effect.',
  ),
  ASSET_STORE: option(z.enum(['filesystem', 's3']), 'filesystem', 'Blob store: filesystem (embedded) or s3.'),
  ASSET_S3_ENDPOINT: option(
    http().optional(),
    '',
    'Address of the S3 server. By default that of AWS for the region.',
  ),
  ASSET_S3_PUBLIC_ENDPOINT: option(
    http().optional(),
    '',
    'Address at which browsers reach the S3 server; URLs are signed for it. By default ASSET_S3_ENDPOINT.',
  ),
  ASSET_S3_REGION: option(text(), 'us-east-1', 'Region of the bucket.'),
  ASSET_S3_BUCKET: option(
    text().optional(),
    '',
    'Bucket of the blobs, or the ARN or alias of an access point to it; it must exist and should be private. Required with ASSET_STORE=s3.',
  ),
  ASSET_S3_FORCE_PATH_STYLE: option(
    flag().optional(),
    '',
    'true puts the bucket into the path instead of the host name. By default true if ASSET_S3_ENDPOINT is set.',
  ),
  ASSET_S3_DUAL_STACK: option(
    flag().optional(),
    '',
    'true reaches AWS over IPv6 and IPv4. By default as in the environment and the profile of AWS (AWS_USE_DUALSTACK_ENDPOINT).',
  ),
  ASSET_S3_ACCELERATE: option(
    flag().optional(),
    '',
    'true reaches AWS by S3 Transfer Acceleration, which must be enabled for the bucket. By default false.',
  ),
  ASSET_S3_SSE: option(
    z.enum(['none', 'AES256', 'aws:kms']),
    'none',
    'Server-side encryption of every blob.',
  ),
  ASSET_S3_SSE_KMS_KEY_ID: option(
    text().optional(),
    '',
    'Key for ASSET_S3_SSE=aws:kms; by default that of the bucket.',
  ),
  ASSET_CATALOG: option(
    z.enum(['sqlite', 'postgres', 'pocketbase']),
    'sqlite',
    'File catalog: sqlite (embedded), postgres or pocketbase.',
  ),
  ...POSTGRES_OPTIONS,
  ...POCKETBASE_OPTIONS,
  ...nextOptions(CATALOG_OPTIONS),
  ...NEXT_STORE_OPTIONS,
  ...LEGACY_OPTIONS,
  ...BACKUP_OPTIONS,
  ASSET_MIGRATE: option(
    flag(),
    'true',
    'Whether the service migrates the schema of the catalog when it starts. With false, run `asset-service migrate` before.',
  ),
  ASSET_POLICY_FILE: option(
    text().optional(),
    '',
    'JSON file of the usage policies (docs/usage-policies.md). Without it every usage and type is allowed.',
  ),
  ...IDENTITY_OPTIONS,
  ASSET_URL_SIGNING_KEY: option(
    z.string().min(32, 'must have at least 32 characters').optional(),
    '',
    'Secret that signs the URLs of the filesystem store. By default one is created in ASSET_DATA_DIR.',
    true,
  ),
  ASSET_URL_ORIGINS: option(
    names(),
    '*',
    'Origins, separated by commas, whose pages may read the responses of URLs of the filesystem store, such as https://app.example. * allows every page. For S3 use a CORS rule of the bucket.',
  ),
  ASSET_CLAMD_ADDRESS: option(
    socketAddress().optional(),
    '',
    'Address of clamd (ClamAV): host:port, or the path of a Unix socket. It scans every new file before the file becomes visible. By default nothing is scanned.',
  ),
  ASSET_CLAMD_ON_FAILURE: option(
    z.enum(['fail-closed', 'fail-open']),
    'fail-closed',
    'What happens to a file that cannot be scanned because clamd is not available or the file is too large: fail-closed refuses it, fail-open stores it with a warning in the log.',
  ),
  ASSET_CLAMD_MAX_SIZE: option(
    bytes(1, 2 ** 32 - 1),
    '25MiB',
    'Maximum size of a file that clamd accepts: its StreamMaxLength or less.',
  ),
  ASSET_CLAMD_TIMEOUT: option(
    seconds(0.1, 3600),
    '150',
    'Seconds that clamd may accept no bytes or take to respond: more than its MaxScanTime.',
  ),
  ASSET_MAX_UPLOADS: option(
    count(1, 100_000),
    '256',
    'Maximum number of running uploads; one more gets RESOURCE_EXHAUSTED at once.',
  ),
  ASSET_UPLOAD_MEMORY: option(
    bytes(2 ** 24, 2 ** 40),
    '96MiB',
    'Maximum number of bytes that all uploads together hold in memory.',
  ),
  ASSET_UPLOAD_PART_SIZE: option(
    bytes(5 * 2 ** 20, 2 ** 30),
    '8MiB',
    'Size of one part of a large file. The minimum of S3 is 5 MiB.',
  ),
  ASSET_UPLOAD_CONCURRENCY: option(
    count(1, 64),
    '3',
    'Parts of one upload that are sent to the store at the same time.',
  ),
  ASSET_UPLOAD_STALL_TIMEOUT: option(
    seconds(0.1, 86_400),
    '60',
    'Seconds that a caller may send nothing during an upload.',
  ),
  ASSET_UPLOAD_SESSION_TTL: option(
    seconds(1, 7 * 86_400),
    '86400',
    'Seconds after its last call until an upload begun with StartUpload expires.',
  ),
  ...LIMIT_OPTIONS,
  ...VARIANT_OPTIONS,
  ASSET_RESERVATION_TTL: option(
    seconds(1, 7 * 86_400),
    '3600',
    'Seconds after which what a crashed process left in the store is removed.',
  ),
  ASSET_SWEEP_INTERVAL: option(
    seconds(0, 86_400),
    '300',
    'Seconds between two sweeps, which remove leftovers and purge deleted files. 0: this process never sweeps.',
  ),
  ASSET_SWEEP_RATE: option(
    count(1, 100_000),
    '100',
    'Maximum number of blobs that a sweep deletes per second.',
  ),
  ASSET_VERIFY_EVERY: option(
    seconds(0, 10 * 365 * 86_400),
    '0',
    'Seconds in which the bytes of every file are read once and compared with its record, continuously and by one replica at a time, such as 2592000 for 30 days. Damage is logged and in the health service `verify`. 0: off.',
  ),
  ASSET_CHANGES_RETENTION: option(
    seconds(1, 365 * 86_400),
    '604800',
    'Seconds for which the catalog keeps each change for those who follow the changes of files. Who was away for longer starts again.',
  ),
  ASSET_HEALTH_INTERVAL: option(
    seconds(0.1, 25),
    '5',
    'Seconds between two checks of the store and the catalog.',
  ),
  ...PROCESS_OPTIONS,
  ...TELEMETRY_OPTIONS,
  ASSET_AUDIT_LOG: option(
    text().optional(),
    '',
    'Destination of the audit log, one JSON line for each decision: stdout, the path of a file, or off. By default stdout, or off with ASSET_AUTH=none, where everything is allowed. With OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_LOGS_ENDPOINT the entries go there too.',
  ),
  ASSET_LOG_LEVEL: option(
    z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    'info',
    'Minimum level of log lines on standard output. At debug: health checks, and every call to the store and the catalog with its duration and outcome.',
  ),
  ASSET_LOG_FORMAT: option(
    z.enum(['auto', 'json', 'text']),
    'auto',
    'Format of log lines: json, text for people, or auto (text on a terminal, otherwise json).',
  ),
} as const satisfies Record<string, Option>;

/** The parsed value of every setting, by name. */
export type Settings = {
  readonly [Name in keyof typeof OPTIONS]: z.output<(typeof OPTIONS)[Name]['schema']>;
};
