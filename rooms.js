/**
 * The rooms of the house: the one source of the lint rule for imports (`eslint.config.js`) and of the table in
 * docs/architecture.md (`npm run docs:rooms`). A file belongs to the first room whose pattern fits. A file of `src/` that fits none
 * is an error.
 *
 * @typedef {object} Room
 * @property {string} name
 * @property {string | readonly string[]} files - patterns of its files
 * @property {string} about - what is in it, for the table
 * @property {readonly string[]} imports - rooms that it may import; `*` for all
 * @property {readonly string[]} [packages] - packages that are bound to the rooms which name them
 */

/** @type {readonly Room[]} */
export const ROOMS = [
  {
    name: 'main',
    files: 'src/main.ts',
    about: 'starts the command line; `bin/` picks the Node.js and its flags',
    imports: ['cli'],
  },
  {
    name: 'app',
    files: 'src/app/**',
    about: 'the composition root: opens the drivers that the configuration names and puts the parts together',
    imports: ['*'],
    packages: ['node:sqlite'],
  },
  {
    name: 'cli',
    files: 'src/cli/**',
    about: 'the command line; `serve` is one of its commands',
    imports: [
      ...['errors', 'redaction', 'log', 'blob-store', 'file-catalog', 'files', 'caller', 'legacy', 'rpc'],
      ...['config', 'app'],
    ],
    packages: ['@asset-service/contract', '@asset-service/!(contract)', 'commander', 'jose'],
  },
  {
    name: 'config',
    files: 'src/config/**',
    about:
      'every setting with its meaning; the environment as a typed configuration; faults of a set-up by the names of settings',
    imports: ['errors', 'redaction', 'audit', 'policy', 'identity', 'pocketbase-fields', 'legacy'],
  },
  {
    name: 'errors',
    files: ['src/errors.ts', 'src/setup-fault.ts', 'src/errors/**'],
    about: 'the one error of use cases and drivers; what of a set-up an operator has to mend',
    imports: ['redaction'],
    packages: ['@asset-service/contract'],
  },
  {
    name: 'redaction',
    files: 'src/redaction.ts',
    about: 'takes passwords out of texts',
    imports: [],
  },
  { name: 'log', files: 'src/log.ts', about: 'the log of the service', imports: ['errors', 'redaction'] },
  {
    name: 'health',
    files: 'src/health.ts',
    about: 'whether the dependencies of the service answer',
    imports: ['errors'],
  },
  {
    name: 'points',
    files: 'src/points.ts',
    about: 'moments at which tests kill the service',
    imports: [],
  },
  {
    name: 'system',
    files: ['src/watch-files.ts', 'src/private-files.ts', 'src/disk-space.ts', 'src/garbage-collection.ts'],
    about: 'files, disks and memory of the machine',
    imports: [],
  },
  { name: 'crc32c', files: 'src/crc32c.ts', about: 'CRC32C of bytes, combined from parts', imports: [] },
  {
    name: 'audit',
    files: 'src/audit/**',
    about: 'where decisions are written down: JSON lines, OpenTelemetry',
    imports: [],
    packages: ['@opentelemetry/*'],
  },
  {
    name: 'telemetry',
    files: 'src/telemetry/**',
    about: 'decorators that observe stores and catalogs',
    imports: ['errors', 'blob-store', 'file-catalog'],
  },
  {
    name: 'scanner',
    files: 'src/scanning/scanner.ts',
    about: 'what a malware scanner promises',
    imports: ['errors'],
  },
  {
    name: 'scanning',
    files: 'src/scanning/**',
    about: 'the scanner `clamd`',
    imports: ['errors', 'scanner'],
  },
  {
    name: 'blob-store',
    files: 'src/storage/blob-store.ts',
    about: 'the interface of blob stores; its comments are the contract',
    imports: ['errors'],
  },
  {
    name: 'signed-url',
    files: 'src/storage/signed-url.ts',
    about: 'what the filesystem store and the route that serves its blobs agree on',
    imports: ['errors', 'blob-store'],
  },
  {
    name: 's3',
    files: ['src/storage/s3.ts', 'src/storage/s3/**'],
    about: 'the driver for any S3',
    imports: ['errors', 'crc32c', 'blob-store', 'storage'],
    packages: ['@aws-sdk/*', '@smithy/*'],
  },
  {
    name: 'filesystem',
    files: ['src/storage/filesystem.ts', 'src/storage/filesystem/**'],
    about: 'the driver for a directory',
    imports: ['errors', 'points', 'system', 'blob-store', 'storage', 'signed-url'],
  },
  {
    name: 'storage',
    files: 'src/storage/**',
    about: 'shared above the stores: parts, memory budget',
    imports: ['errors', 'crc32c', 'blob-store'],
  },
  {
    name: 'file-catalog',
    files: 'src/catalog/{file-catalog,file-record,uploads,transfer,legacy-records,catalog-call}.ts',
    about: 'the interfaces of file catalogs: files, uploads, leases, transfer, legacy records',
    imports: ['errors'],
  },
  {
    name: 'pocketbase-fields',
    files: 'src/catalog/pocketbase/field-map.ts',
    about: 'the names that settings may give to the fields of a collection',
    imports: [],
  },
  {
    name: 'pocketbase',
    files: ['src/catalog/pocketbase.ts', 'src/catalog/pocketbase/**'],
    about: 'the driver for a PocketBase',
    imports: ['errors', 'file-catalog', 'catalog', 'pocketbase-fields'],
    packages: ['pocketbase'],
  },
  {
    name: 'sql',
    files: ['src/catalog/sql.ts', 'src/catalog/sql/**'],
    about: 'the driver for PostgreSQL and SQLite, over one query layer',
    imports: ['errors', 'system', 'file-catalog', 'catalog'],
    packages: ['kysely', 'pg', 'pg-connection-string', 'node:sqlite'],
  },
  {
    name: 'catalog',
    files: 'src/catalog/**',
    about: 'shared above the catalogs: bounds of calls, what can be stored',
    imports: ['errors', 'file-catalog'],
  },
  {
    name: 'caller',
    files: 'src/identity/caller.ts',
    about: 'who makes a call: principal and end user',
    imports: [],
  },
  {
    name: 'media-types',
    files: ['src/files/content-type/families.ts', 'src/files/content-type/media-type.ts'],
    about: 'how media types are written, and which of them stand for the same',
    imports: ['errors'],
  },
  {
    name: 'policy',
    files: 'src/files/policy/**',
    about: 'who may do what: usage policies and access rules',
    imports: ['errors', 'audit', 'file-catalog', 'caller', 'media-types', 'system'],
  },
  {
    name: 'files',
    files: 'src/files/**',
    about: 'the use cases: upload, read, describe, delete, sweep',
    imports: [
      ...['errors', 'points', 'audit', 'crc32c', 'blob-store', 'file-catalog', 'scanner', 'storage'],
      ...['catalog', 'caller', 'media-types', 'policy'],
    ],
    packages: ['hash-wasm', 'file-type'],
  },
  {
    name: 'identity',
    files: 'src/identity/**',
    about: 'who calls: access tokens, client certificates; knows neither Connect nor gRPC',
    imports: ['errors', 'system', 'caller'],
    packages: ['jose'],
  },
  {
    name: 'legacy',
    files: 'src/legacy/**',
    about:
      'files that are older than the service: where they lie in the old bucket, and who still names them by old paths',
    imports: [
      'errors',
      'blob-store',
      'file-catalog',
      'storage',
      'catalog',
      'files',
      'media-types',
      'policy',
      'caller',
    ],
  },
  {
    name: 'grpc',
    files: 'src/rpc/grpc/**',
    about: 'plain gRPC, straight on the stream of HTTP/2',
    imports: ['errors'],
    packages: ['@connectrpc/*', '@asset-service/contract', 'node:http2'],
  },
  {
    name: 'listener',
    files: ['src/rpc/listener.ts', 'src/rpc/listener/**'],
    about: 'HTTP/1.1 and HTTP/2 on one port; bounds of connections and of time',
    imports: ['grpc'],
    packages: ['@connectrpc/*', 'node:http2'],
  },
  {
    name: 'rpc',
    files: 'src/rpc/**',
    about:
      'the only room that knows Connect: handlers, interceptors, conversion, errors, limits, the routes of signed URLs',
    imports: [
      ...['errors', 'audit', 'crc32c', 'blob-store', 'file-catalog', 'files', 'policy', 'caller', 'identity'],
      ...['legacy', 'health', 'signed-url', 'system', 'grpc', 'listener'],
    ],
    packages: ['@connectrpc/*', '@asset-service/contract', 'node:http2', 'rate-limiter-flexible'],
  },
  {
    name: 'core',
    files: 'clients/core/**',
    about: 'what the clients share',
    imports: [],
    packages: ['@connectrpc/*', '@asset-service/contract', 'node:http2'],
  },
  {
    name: 'worker',
    files: 'clients/worker/**',
    about: 'the client of workers',
    imports: ['core'],
    packages: [
      ...['@connectrpc/*', '@asset-service/contract', '@asset-service/!(contract)'],
      '@asset-service/client-core/internal',
    ],
  },
  {
    name: 'bff',
    files: 'clients/bff/**',
    about: 'the client of BFFs',
    imports: ['core'],
    packages: [
      'node:http2',
      ...['@connectrpc/*', '@asset-service/contract', '@asset-service/!(contract)'],
      '@asset-service/client-core/internal',
    ],
  },
  {
    name: 'outside',
    files: ['test/**', 'bench/**', 'examples/**', 'scripts/**'],
    about: 'tests, benchmarks, examples, scripts: nothing imports them',
    imports: ['*'],
  },
];
