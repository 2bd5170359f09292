import { defineConfig, globalIgnores } from 'eslint/config';
import boundaries from 'eslint-plugin-boundaries';
import jsdoc from 'eslint-plugin-jsdoc';
import tseslint from 'typescript-eslint';
import { ROOMS } from './rooms.js';

const anyOf = (rooms) => `(${rooms.join('|')})`;
const noneOf = (rooms) => `!${anyOf(rooms)}`;

/** Rooms that may import a package that is bound to rooms, by package. */
const BOUND = new Map();
for (const { name, packages = [] } of ROOMS) {
  for (const one of packages) BOUND.set(one, [...(BOUND.get(one) ?? ['outside']), name]);
}

const importDirections = {
  files: ['**/*.ts'],
  plugins: { boundaries },
  settings: {
    'boundaries/root-path': import.meta.dirname,
    'boundaries/files': ROOMS.map((room) => ({
      ...{ category: room.name, pattern: room.files, stopMatching: true },
    })),
    'import/resolver': { node: { extensions: ['.ts', '.js'] } },
  },
  rules: {
    // A file in no room.
    'boundaries/no-unknown-files': 'error',
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
          ...ROOMS.map(({ name, imports }) => ({
            from: { file: { categories: name } },
            allow: { to: { file: { categories: anyOf([name, ...imports]) } } },
          })),
          ...[...BOUND].map(([source, rooms]) => ({
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
