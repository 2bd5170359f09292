import { describe, expect, it } from '@jest/globals';
import { ESLint } from 'eslint';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import tseslint from 'typescript-eslint';

const ROOT = join(import.meta.dirname, '..', '..');

// The project's own rules on text that need not be a file; rules that ask the compiler need one.
const eslint = new ESLint({ cwd: ROOT, overrideConfig: tseslint.configs.disableTypeChecked });

/** The reports on a file's text, by rule. */
async function lint(filePath: string, text: string): Promise<string[]> {
  const [result] = await eslint.lintText(text, { filePath: join(ROOT, filePath) });
  return (result?.messages ?? []).map(({ ruleId, message }) => ruleId ?? message);
}

const DIRECTION = 'boundaries/dependencies';

/** `file` imports `target`, a path from the root or a package. */
function importing(file: string, target: string): string {
  if (!/^(src|clients|test|bench|gen)\//.test(target)) return target;
  // A missing file would be reported whatever the direction.
  expect([target, existsSync(join(ROOT, target))]).toEqual([target, true]);
  const up = '../'.repeat(file.split('/').length - 1);
  return `${up}${target}`;
}

const WRONG = [
  [
    'a driver, another driver of its room',
    'src/storage/s3/s3-store.ts',
    'src/storage/filesystem/filesystem-store.ts',
  ],
  ['a part of a driver, another driver', 'src/catalog/pocketbase/page.ts', 'src/catalog/sql/sql-catalog.ts'],
  [
    'a driver, a part of another driver',
    'src/catalog/pocketbase/pocketbase-catalog.ts',
    'src/catalog/sql/tables.ts',
  ],
  ['a driver, the other interface', 'src/storage/s3/s3-store.ts', 'src/catalog/file-catalog.ts'],
  ['a driver, a use case', 'src/storage/s3/s3-store.ts', 'src/files/upload/upload-file.ts'],
  ['a driver, rpc', 'src/catalog/sql/sql-catalog.ts', 'src/rpc/interceptors/error-mapping.ts'],
  ['a driver, the contract', 'src/catalog/sql/sql-catalog.ts', '@asset-service/contract/asset/v1/file_pb.js'],
  ['an interface, a driver', 'src/storage/blob-store.ts', 'src/storage/s3/s3-store.ts'],
  ['shared logic, a driver', 'src/storage/memory-budget.ts', 'src/storage/s3/s3-store.ts'],
  ['a use case, a driver', 'src/files/upload/upload-file.ts', 'src/storage/s3/s3-store.ts'],
  ['a use case, rpc', 'src/files/upload/upload-file.ts', 'src/rpc/interceptors/error-mapping.ts'],
  ['a use case, Connect', 'src/files/upload/upload-file.ts', '@connectrpc/connect'],
  [
    'a use case, the contract',
    'src/files/upload/upload-file.ts',
    '@asset-service/contract/asset/v1/file_pb.js',
  ],
  ['rpc, a driver', 'src/rpc/handlers.ts', 'src/catalog/sql/sql-catalog.ts'],
  ['cli, a driver', 'src/cli/program.ts', 'src/storage/filesystem/filesystem-store.ts'],
  ['cli, Connect', 'src/cli/program.ts', '@connectrpc/connect'],
  ['app.ts, Connect', 'src/app/app.ts', '@connectrpc/connect-node'],
  ['identity, rpc', 'src/identity/oidc.ts', 'src/rpc/interceptors/error-mapping.ts'],
  ['identity, Connect', 'src/identity/oidc.ts', '@connectrpc/connect'],
  ['a use case, identity', 'src/files/upload/upload-file.ts', 'src/identity/authenticator.ts'],
  ['legacy, a driver', 'src/legacy/audit.ts', 'src/catalog/sql/sql-catalog.ts'],
  ['the service, a client', 'src/rpc/handlers.ts', '@asset-service/worker'],
  ['the service, a test', 'src/rpc/handlers.ts', 'test/support/ports.ts'],
  ['errors.ts, a room', 'src/errors/asset-error.ts', 'src/storage/blob-store.ts'],
  ['a client, the service', 'clients/worker/src/upload.ts', 'src/errors/asset-error.ts'],
  ['files, node:http2', 'src/files/upload/upload-file.ts', 'node:http2'],
  ['a driver of catalogs, the SDK of AWS', 'src/catalog/sql/sql-catalog.ts', '@aws-sdk/client-s3'],
  ['a use case, the SDK of AWS', 'src/files/upload/upload-file.ts', '@aws-sdk/client-s3'],
  ['what is shared by stores, the SDK of AWS', 'src/storage/memory-budget.ts', '@aws-sdk/client-s3'],
  ['the composition root, the SDK of AWS', 'src/app/app.ts', '@aws-sdk/s3-request-presigner'],
  ['a driver of stores, PocketBase', 'src/storage/s3/s3-store.ts', 'pocketbase'],
  ['the SQL driver, PocketBase', 'src/catalog/sql/sql-catalog.ts', 'pocketbase'],
  ['the PocketBase driver, PostgreSQL', 'src/catalog/pocketbase/pocketbase-catalog.ts', 'pg'],
  ['what is shared by catalogs, Kysely', 'src/catalog/storable.ts', 'kysely'],
  ['rpc, Kysely', 'src/rpc/service/convert.ts', 'kysely'],
  ['gRPC, a use case', 'src/rpc/grpc/grpc-handler.ts', 'src/files/list.ts'],
  ['the listener, a handler', 'src/rpc/listener/time-limits.ts', 'src/rpc/rpc-handlers.ts'],
  ['policy, a use case', 'src/files/policy/decide.ts', 'src/files/list.ts'],
  ['the core of the clients, a client', 'clients/core/src/retry.ts', '@asset-service/worker'],
] as const;

const RIGHT = [
  ['a driver, its interface', 'src/storage/s3/s3-store.ts', 'src/storage/blob-store.ts'],
  ['a driver, its own part', 'src/catalog/sql/sql-catalog.ts', 'src/catalog/sql/tables.ts'],
  ['a driver, errors.ts', 'src/storage/s3/s3-store.ts', 'src/errors/asset-error.ts'],
  [
    'errors.ts, the contract',
    'src/errors/asset-error.ts',
    '@asset-service/contract/asset/v1/error_reason_pb.js',
  ],
  ['a use case, an interface', 'src/files/upload/upload-file.ts', 'src/storage/blob-store.ts'],
  ['a use case, shared logic', 'src/files/upload/upload-file.ts', 'src/storage/memory-budget.ts'],
  ['a use case, a use case', 'src/files/sweep/sweep.ts', 'src/files/upload/upload-file.ts'],
  ['rpc, a use case', 'src/rpc/handlers.ts', 'src/files/upload/upload-file.ts'],
  ['rpc, Connect', 'src/rpc/handlers.ts', '@connectrpc/connect'],
  ['rpc, the contract', 'src/rpc/handlers.ts', '@asset-service/contract/asset/v1/file_pb.js'],
  ['app.ts, a driver', 'src/app/app.ts', 'src/storage/s3/s3-store.ts'],
  ['a client, the contract', 'clients/worker/src/upload.ts', '@asset-service/contract/asset/v1/file_pb.js'],
  ['a client, Connect', 'clients/worker/src/upload.ts', '@connectrpc/connect'],
  ['the listener, node:http2', 'src/rpc/listener/time-limits.ts', 'node:http2'],
  ['the S3 driver, the SDK of AWS', 'src/storage/s3/put.ts', '@aws-sdk/client-s3'],
  ['the SQL driver, Kysely', 'src/catalog/sql/list.ts', 'kysely'],
  ['a use case, policy', 'src/files/upload/upload-file.ts', 'src/files/policy/decide.ts'],
  ['a test, anything', 'test/unit/some.test.ts', 'src/storage/s3/s3-store.ts'],
] as const;

describe('the import directions', () => {
  it.each(WRONG)('report %s', async (_, file, target) => {
    expect(await lint(file, `import '${importing(file, target)}';\n`)).toContain(DIRECTION);
  });

  it.each(RIGHT)('allow %s', async (_, file, target) => {
    expect(await lint(file, `import '${importing(file, target)}';\n`)).not.toContain(DIRECTION);
  });

  it.each([
    ['types', `import type { S3 } from '../../storage/s3/s3-store.ts';`],
    ['exports of another file', `export * from '../../storage/s3/s3-store.ts';`],
    ['what is loaded later', `await import('../../storage/s3/s3-store.ts');`],
  ])('hold for %s', async (_, text) => {
    expect(await lint('src/files/upload/upload-file.ts', `${text}\n`)).toContain(DIRECTION);
  });
});

describe('a file in no room', () => {
  it.each(['src/new.ts', 'src/new-room/file.ts'])('is an error: %s', async (file) => {
    expect(await lint(file, '/** One. */\nexport const ONE = 1;\n')).toContain('boundaries/no-unknown-files');
  });

  it('is none where a folder of it is new in a room', async () => {
    expect(await lint('src/files/new-folder/file.ts', '/** One. */\nexport const ONE = 1;\n')).toEqual([]);
  });
});

describe('the code rules', () => {
  it.each([
    ['function', 'export function f(): void {}'],
    ['class', 'export class C {}'],
    ['interface', 'export interface I { readonly x: number }'],
    ['type', 'export type T = number;'],
    ['constant', 'export const X = 1;'],
  ])('ask for a docstring on an exported %s', async (_, text) => {
    expect(await lint('src/files/some.ts', `${text}\n`)).toContain('jsdoc/require-jsdoc');
    expect(await lint('src/files/some.ts', `/** What it is. */\n${text}\n`)).toEqual([]);
  });

  it('keep a source file under 250 lines, comments and blank lines not counted', async () => {
    const lines = (count: number) => '// a comment\n\n' + 'f();\n'.repeat(count);
    expect(await lint('src/files/some.ts', lines(251))).toContain('max-lines');
    expect(await lint('src/files/some.ts', lines(250))).not.toContain('max-lines');
  });
});
