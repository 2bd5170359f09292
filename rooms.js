/**
 * The rooms of the source: the only source of the lint rule for imports (`eslint.config.js`) and of the table in
 * docs/architecture.md (`npm run docs:rooms`). A file belongs to the first room whose pattern matches. A file of `src/` that
 * matches none is an error.
 *
 * @typedef {object} Room
 * @property {string} name
 * @property {string | readonly string[]} files - patterns of its files
 * @property {string} about - its content, for the table
 * @property {readonly string[]} imports - rooms that it may import; `*` for all
 * @property {readonly string[]} [packages] - packages that are bound to the rooms which name them
 */

/** @type {readonly Room[]} */
export const ROOMS = [
  {
    name: 'main',
    files: 'src/main.ts',
    about: 'starts the command line; `bin/` selects Node.js and its flags',
    imports: ['cli'],
  },
  {
    name: 'app',
    files: 'src/app/**',
    about: 'the composition root: opens the configured drivers and connects the parts',
    imports: ['*'],
    packages: ['node:sqlite', '@opentelemetry/*'],
  },
  {
    name: 'cli',
    files: 'src/cli/**',
    about: 'the command line; `serve` is one of its commands',
    imports: [
      ...['errors', 'system', 'telemetry', 'files', 'caller', 'legacy', 'move', 'variants', 'rpc'],
      ...['config', 'app'],
    ],
    packages: ['@asset-service/contract', '@asset-service/!(contract)', 'commander', 'jose'],
  },
  {
    name: 'config',
    files: 'src/config/**',
    about:
      'all settings; parses the environment into a typed configuration; explains setup faults by the names of settings',
    imports: [
      ...[
        'errors',
        'system',
        'audit',
        'telemetry',
        'policy',
        'identity',
        'pocketbase-fields',
        'legacy',
        'blob-store',
      ],
    ],
  },
  {
    name: 'errors',
    files: 'src/errors/**',
    about:
      '`AssetError`, the error of use cases and drivers; `SetupFault`, what an operator must correct; removes passwords from texts',
    imports: [],
    packages: ['@asset-service/contract'],
  },
  {
    name: 'system',
    files: 'src/system/**',
    about:
      'files, disks and memory of the machine; work per second; requests of drivers, for traces; the crash points of the fault tests',
    imports: [],
  },
  {
    name: 'audit',
    files: 'src/audit/**',
    about: 'records decisions: JSON lines, OpenTelemetry',
    imports: ['telemetry', 'system'],
    packages: ['@opentelemetry/*'],
  },
  {
    name: 'telemetry',
    files: 'src/telemetry/**',
    about: 'the log, the health of the dependencies, metrics, decorators that observe stores and catalogs',
    imports: ['errors', 'system', 'blob-store', 'file-catalog'],
    packages: ['@opentelemetry/*'],
  },
  {
    name: 'scanner',
    files: 'src/scanning/scanner.ts',
    about: 'the interface of malware scanners',
    imports: [],
  },
  {
    name: 'scanning',
    files: 'src/scanning/**',
    about: 'the scanner `clamd`',
    imports: ['errors', 'scanner'],
  },
  {
    name: 'blob-store',
    files: 'src/storage/{blob,blob-store}.ts',
    about: 'the interface of blob stores; its comments are the contract',
    imports: [],
  },
  {
    name: 'signed-url',
    files: 'src/storage/signed-url.ts',
    about: 'signed URLs, shared by the filesystem store and the route that serves its blobs',
    imports: ['system', 'blob-store'],
  },
  {
    name: 's3',
    files: 'src/storage/s3/**',
    about: 'the driver for any S3',
    imports: ['errors', 'system', 'blob-store', 'storage'],
    packages: ['@aws-sdk/*', '@smithy/*'],
  },
  {
    name: 'filesystem',
    files: 'src/storage/filesystem/**',
    about: 'the driver for a directory',
    imports: ['errors', 'system', 'blob-store', 'storage', 'signed-url'],
  },
  {
    name: 'storage',
    files: 'src/storage/**',
    about: 'shared by the stores and uploads: readers of blobs, memory budget',
    imports: ['errors', 'blob-store'],
  },
  {
    name: 'file-catalog',
    files:
      'src/catalog/{file-catalog,file-record,uploads,changes,subscriptions,transfer,legacy-records,catalog-access,catalog-call}.ts',
    about:
      'the interfaces of file catalogs: files, uploads, leases, changes, subscriptions, transfer, legacy records',
    imports: ['errors'],
  },
  {
    name: 'pocketbase-fields',
    files: 'src/catalog/pocketbase/field-map.ts',
    about: 'field names of the collection that settings may change',
    imports: [],
  },
  {
    name: 'pocketbase',
    files: 'src/catalog/pocketbase/**',
    about: 'the driver for a PocketBase',
    imports: ['errors', 'system', 'file-catalog', 'catalog', 'pocketbase-fields'],
    packages: ['pocketbase'],
  },
  {
    name: 'sql',
    files: 'src/catalog/sql/**',
    about: 'the driver for PostgreSQL and SQLite, over one query layer',
    imports: ['errors', 'system', 'file-catalog', 'catalog'],
    packages: ['kysely', 'pg', 'pg-connection-string', 'node:sqlite'],
  },
  {
    name: 'catalog',
    files: 'src/catalog/**',
    about: 'shared by the catalogs: time limits of calls, what can be stored',
    imports: ['errors', 'file-catalog'],
  },
  {
    name: 'caller',
    files: 'src/identity/caller.ts',
    about: 'the caller of a call: principal and end user',
    imports: ['errors'],
  },
  {
    name: 'media-types',
    files: 'src/files/content-type/media-types.ts',
    about: 'media types and their aliases',
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
      ...['errors', 'system', 'audit', 'blob-store', 'file-catalog', 'scanner', 'storage'],
      ...['catalog', 'caller', 'media-types', 'policy'],
    ],
    packages: ['hash-wasm', 'file-type'],
  },
  {
    name: 'variants',
    files: 'src/variants/**',
    about: 'makes variants of images in child processes and stores them beside the originals',
    imports: ['errors', 'system', 'blob-store', 'storage', 'file-catalog', 'policy', 'files', 'media-types'],
    packages: ['sharp', 'thumbhash', '@hyzyla/pdfium'],
  },
  {
    name: 'events',
    files: 'src/events/**',
    about: 'watches of changes: existing files, then the change log, held to what the caller may read',
    imports: ['errors', 'audit', 'file-catalog', 'caller', 'media-types', 'policy', 'files'],
  },
  {
    name: 'identity',
    files: 'src/identity/**',
    about: 'identifies callers: access tokens, client certificates; knows neither Connect nor gRPC',
    imports: ['errors', 'system', 'caller'],
    packages: ['jose'],
  },
  {
    name: 'legacy',
    files: 'src/legacy/**',
    about: 'the old system: serving its files, moving them, locking it, removing what it leaves',
    imports: [
      'errors',
      'system',
      'blob-store',
      'file-catalog',
      'storage',
      'catalog',
      'files',
      'media-types',
      'policy',
      'caller',
      'move',
    ],
  },
  {
    name: 'move',
    files: 'src/move/**',
    about: 'moves, verification, backup and restore of the files of the service',
    imports: ['errors', 'system', 'blob-store', 'file-catalog', 'storage', 'files'],
  },
  {
    name: 'grpc',
    files: 'src/rpc/grpc/**',
    about: 'plain gRPC on HTTP/2 streams',
    imports: ['listener'],
    packages: ['@connectrpc/*', 'node:http2'],
  },
  {
    name: 'listener',
    files: 'src/rpc/listener/**',
    about: 'HTTP/1.1 and HTTP/2 on one port; limits of connections and time',
    imports: [],
    packages: ['@connectrpc/*', 'node:http2'],
  },
  {
    name: 'gate',
    files: 'src/rpc/gate/**',
    about: 'before a message is decoded: identifies the caller, counts calls and bytes, bounds messages',
    imports: ['errors', 'caller', 'identity', 'listener'],
    packages: ['@connectrpc/*', '@asset-service/contract', 'node:http2', 'rate-limiter-flexible'],
  },
  {
    name: 'interceptors',
    files: 'src/rpc/interceptors/**',
    about: 'what concerns every call, one concern each: id, log line, errors, audit, limits',
    imports: ['errors', 'audit', 'caller', 'gate', 'telemetry'],
    packages: ['@connectrpc/*', '@asset-service/contract'],
  },
  {
    name: 'rpc-service',
    files: 'src/rpc/service/**',
    about: 'the handlers of the RPC services: convert, call the use case, convert',
    imports: ['errors', 'caller', 'file-catalog', 'files', 'events', 'system', 'telemetry', 'interceptors'],
    packages: ['@connectrpc/*', '@asset-service/contract'],
  },
  {
    name: 'signed-url-routes',
    files: 'src/rpc/signed-urls/**',
    about: 'serves the signed URLs of the filesystem store: GET of a blob, PUT of a part',
    imports: ['errors', 'blob-store', 'signed-url', 'files', 'gate', 'listener'],
  },
  {
    name: 'rpc',
    files: 'src/rpc/*',
    about:
      'connects the rooms of `src/rpc`, the only ones that know Connect; the client of the health service',
    imports: [
      ...['files', 'events', 'telemetry', 'signed-url', 'grpc', 'listener', 'gate', 'interceptors'],
      'rpc-service',
    ],
    packages: ['@connectrpc/*', '@asset-service/contract'],
  },
  {
    name: 'core',
    files: 'clients/core/**',
    about: 'shared by the clients',
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
      ...['node:http2', '@tus/server'],
      ...['@connectrpc/*', '@asset-service/contract', '@asset-service/!(contract)'],
      '@asset-service/client-core/internal',
    ],
  },
  {
    name: 'browser',
    files: 'clients/browser/**',
    about: 'direct uploads from browsers; its worker is built as one file',
    imports: [],
    packages: ['@connectrpc/*', '@asset-service/contract', 'hash-wasm'],
  },
  {
    name: 'python',
    files: 'clients/python/**',
    about: 'the client for Python; `_gen` is generated from the contract, `_sync` from `_async`',
    imports: [],
  },
  {
    name: 'reference-bff',
    files: 'examples/bff/**',
    about: 'the BFF that products copy: on published clients alone; neither a store nor a catalog',
    imports: [],
    packages: ['@asset-service/!(contract)', 'jose', 'thumbhash'],
  },
  {
    name: 'outside',
    files: ['test/**', 'bench/**', 'examples/**', 'scripts/**'],
    about: 'tests, benchmarks, examples, scripts: nothing imports them',
    imports: ['*'],
  },
];
