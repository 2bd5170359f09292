import { defineConfig, globalIgnores } from 'eslint/config';
import boundaries from 'eslint-plugin-boundaries';
import jsdoc from 'eslint-plugin-jsdoc';
import tseslint from 'typescript-eslint';

/**
 * The rooms of the house: a file belongs to the first one whose pattern fits. What a driver is made of lies
 * in a folder of its name beside it (`s3.ts`, `s3/errors.ts`); the rest of storage/ and catalog/ is shared. A file of
 * src/ that fits none may import nothing.
 */
const ROOMS = {
  app: 'src/app{.ts,-*.ts}',
  main: 'src/main.ts',
  config: 'src/{config,options}{.ts,/**}',
  health: 'src/health.ts',
  errors: 'src/{errors,setup-fault,redaction}.ts',
  points: 'src/points.ts',
  'watch-files': 'src/watch-files.ts',
  'private-files': 'src/private-files.ts',
  'disk-space': 'src/disk-space.ts',
  log: 'src/log.ts',
  crc32c: 'src/crc32c.ts',
  'garbage-collection': 'src/garbage-collection.ts',
  'blob-store': 'src/storage/blob-store.ts',
  'file-catalog': 'src/catalog/{file-catalog,file-record,uploads,transfer,legacy-records,catalog-call}.ts',
  scanner: 'src/scanning/scanner.ts',
  scanning: 'src/scanning/**',
  s3: 'src/storage/s3{.ts,/**}',
  filesystem: 'src/storage/filesystem{.ts,/**}',
  // The names that settings may give to the fields of a collection.
  'pocketbase-fields': 'src/catalog/pocketbase/field-map.ts',
  pocketbase: 'src/catalog/pocketbase{.ts,/**}',
  // PostgreSQL and SQLite are one driver over one query layer.
  sql: 'src/catalog/sql{.ts,/**}',
  // What the filesystem store and the route that serves its blobs agree on.
  'signed-url': 'src/storage/signed-url.ts',
  storage: 'src/storage/**',
  catalog: 'src/catalog/**',
  audit: 'src/audit/**',
  telemetry: 'src/telemetry/**',
  files: 'src/files/**',
  identity: 'src/identity/**',
  legacy: 'src/legacy/**',
  rpc: 'src/rpc/**',
  cli: 'src/cli/**',
  core: 'clients/core/**',
  worker: 'clients/worker/**',
  bff: 'clients/bff/**',
  // Nothing imports these, and they may import anything.
  outside: ['test/**', 'bench/**', 'examples/**', 'scripts/**'],
};

/** What a room may import beside itself. Whatever is not here is reported. */
const MAY_IMPORT = {
  app: ['*'],
  main: ['cli'],
  config: ['errors', 'audit', 'files', 'identity', 'legacy', 'pocketbase-fields'],
  health: ['errors'],
  errors: [],
  points: [],
  'watch-files': [],
  'private-files': [],
  'disk-space': [],
  log: ['errors'],
  crc32c: [],
  'garbage-collection': [],
  audit: [],
  'blob-store': ['errors'],
  'file-catalog': ['errors'],
  scanner: ['errors'],
  scanning: ['errors', 'scanner'],
  s3: ['errors', 'crc32c', 'blob-store', 'storage'],
  filesystem: ['errors', 'points', 'private-files', 'disk-space', 'blob-store', 'storage', 'signed-url'],
  'pocketbase-fields': [],
  pocketbase: ['errors', 'file-catalog', 'catalog', 'pocketbase-fields'],
  sql: ['errors', 'private-files', 'disk-space', 'file-catalog', 'catalog'],
  'signed-url': ['errors', 'blob-store'],
  storage: ['errors', 'crc32c', 'blob-store'],
  catalog: ['errors', 'file-catalog'],
  files: [
    'errors',
    'points',
    'audit',
    'crc32c',
    'blob-store',
    'file-catalog',
    'scanner',
    'storage',
    'catalog',
  ],
  telemetry: ['errors', 'blob-store', 'file-catalog'],
  identity: ['errors', 'watch-files', 'files'],
  legacy: ['errors', 'blob-store', 'file-catalog', 'storage', 'catalog', 'files'],
  rpc: [
    'errors',
    'audit',
    'crc32c',
    'blob-store',
    'file-catalog',
    'files',
    'identity',
    'legacy',
    'health',
    'signed-url',
    'garbage-collection',
  ],
  cli: ['errors', 'log', 'blob-store', 'file-catalog', 'files', 'legacy', 'rpc', 'config', 'app'],
  core: [],
  worker: ['core'],
  bff: ['core'],
  outside: ['*'],
};

const CLIENTS = ['core', 'worker', 'bff'];
const anyOf = (rooms) => `(${rooms.join('|')})`;
const noneOf = (rooms) => `!${anyOf(rooms)}`;

/** Rooms that may know a package; every other room of src/ and clients/ may not. */
const PACKAGES = [
  { source: '@connectrpc/*', rooms: ['rpc', ...CLIENTS, 'outside'] },
  { source: '@asset-service/contract', rooms: ['errors', 'rpc', 'cli', ...CLIENTS, 'outside'] },
  { source: '@asset-service/!(contract)', rooms: ['cli', 'worker', 'bff', 'outside'] },
  { source: '@asset-service/client-core/internal', rooms: ['worker', 'bff'] },
];

const importDirections = {
  files: ['**/*.ts'],
  plugins: { boundaries },
  settings: {
    'boundaries/root-path': import.meta.dirname,
    'boundaries/files': Object.entries(ROOMS).map(([category, pattern]) => ({
      category,
      pattern,
      stopMatching: true,
    })),
    'import/resolver': { node: { extensions: ['.ts', '.js'] } },
  },
  rules: {
    'boundaries/dependencies': [
      'error',
      {
        default: 'disallow',
        checkAllOrigins: true,
        checkUnknownLocals: true,
        message:
          'Imports go one way: rpc, cli → files → blob-store.ts, file-catalog.ts ← drivers. The room ' +
          '"{{from.file.categories}}" may not import this (see docs/architecture.md).',
        policies: [
          { allow: { to: { module: { origin: '{external,core}' } } } },
          ...Object.entries(MAY_IMPORT).map(([room, others]) => ({
            from: { file: { categories: room } },
            allow: { to: { file: { categories: anyOf([room, ...others]) } } },
          })),
          ...PACKAGES.map(({ source, rooms }) => ({
            from: { file: { categories: noneOf(rooms) } },
            disallow: { to: { module: { source } } },
          })),
        ],
      },
    ],
  },
};

const typescript = {
  files: ['**/*.ts'],
  extends: [tseslint.configs.recommendedTypeChecked],
  languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
  rules: {
    '@typescript-eslint/consistent-type-imports': [
      'error',
      { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false },
    ],
    '@typescript-eslint/no-import-type-side-effects': 'error',
    '@typescript-eslint/no-unnecessary-type-arguments': 'error',
    '@typescript-eslint/no-deprecated': 'error',
    '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    '@typescript-eslint/return-await': ['error', 'in-try-catch'],
    // Calls end with `signal.reason`, whatever that is, and errors that were caught are thrown on.
    '@typescript-eslint/only-throw-error': ['error', { allowThrowingAny: true, allowThrowingUnknown: true }],
    '@typescript-eslint/prefer-promise-reject-errors': [
      'error',
      { allowThrowingAny: true, allowThrowingUnknown: true },
    ],
    '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
    '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    // Interfaces ask for promises; a method that needs no await keeps its rejections as rejections by `async`.
    '@typescript-eslint/require-await': 'off',
    eqeqeq: ['error', 'always', { null: 'ignore' }],
    'no-console': 'error',
    'no-warning-comments': ['error', { terms: ['todo', 'fixme', 'xxx'] }],
  },
};

const docstrings = {
  files: ['src/**/*.ts', 'clients/*/src/**/*.ts'],
  plugins: { jsdoc },
  rules: {
    'jsdoc/require-jsdoc': [
      'error',
      {
        publicOnly: true,
        enableFixer: false,
        require: { ClassDeclaration: true, FunctionDeclaration: true, MethodDefinition: false },
        contexts: [
          'ExportNamedDeclaration > TSInterfaceDeclaration',
          'ExportNamedDeclaration > TSTypeAliasDeclaration',
          'ExportNamedDeclaration > VariableDeclaration',
        ],
      },
    ],
    // One idea to a file.
    'max-lines': ['error', { max: 250, skipBlankLines: true, skipComments: true }],
  },
};

/** The command line and what is run by hand speak to a terminal; tests look into what is private or badly typed. */
const relaxed = [
  {
    files: ['src/cli/**', 'src/main.ts', 'bench/**', 'examples/**', 'scripts/**', 'test/**'],
    rules: { 'no-console': 'off' },
  },
  {
    files: ['test/**', 'bench/**'],
    rules: {
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
];

export default defineConfig(
  globalIgnores(['**/dist/', 'gen/', 'third_party/', 'coverage/', '.cache/', 'data/']),
  typescript,
  importDirections,
  docstrings,
  relaxed,
);
