import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { adminOf } from '../../conformance/file-catalog/pocketbase-admin.ts';
import { ROOT } from '../../support/install.ts';
import { startPocketBase } from '../../support/pocketbase.ts';
import { createBucket, createDatabase } from '../../support/shared-servers.ts';
import { textOf } from './snippets.ts';

/** What a part needs besides a shell: servers, files, settings. */
export interface Setting {
  readonly env?: Readonly<Record<string, string>>;
  /** Texts of the page that stand for names of this setting. */
  readonly replaced?: Readonly<Record<string, string>>;
  /** Runs after the commands; rejects if they did not do what the page says. */
  readonly check?: () => Promise<void>;
  readonly dispose?: () => Promise<void>;
}

/** Settings with a store and a catalog that several processes can share. */
export async function sharedByReplicas(): Promise<Record<string, string>> {
  const { bucket, endpoint, region, accessKeyId, secretAccessKey } = await createBucket();
  return {
    ...{ ASSET_STORE: 's3', ASSET_S3_BUCKET: bucket, ASSET_S3_ENDPOINT: endpoint, ASSET_S3_REGION: region },
    ...{ ASSET_S3_FORCE_PATH_STYLE: 'true', AWS_ACCESS_KEY_ID: accessKeyId },
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    ...{ ASSET_CATALOG: 'postgres', ASSET_POSTGRES_URL: await createDatabase() },
  };
}

/** A PocketBase with the collection that the settings on the page describe, open to everybody. */
export async function productOnPocketBase(dir?: string): Promise<Setting> {
  const server = await startPocketBase();
  const admin = await adminOf(server);
  const open = { listRule: null, viewRule: null, createRule: '', updateRule: '', deleteRule: '' };
  const types = { title: 'text', user: 'text', url: 'url' };
  const fields = Object.entries(types).map(([name, type]) => ({ name, type }));
  await admin.collections.create({ name: 'files', type: 'base', ...open, fields });
  const password = join(dir ?? '/', 'password');
  if (dir !== undefined) writeFileSync(password, `${server.password}\n`);
  return {
    env: {
      ...{ ASSET_CATALOG: 'pocketbase', ASSET_POCKETBASE_URL: server.url },
      ASSET_POCKETBASE_EMAIL: server.email,
      ...(dir === undefined && { ASSET_POCKETBASE_PASSWORD: server.password }),
      ASSET_POCKETBASE_FIELDS: '{"name":"title","owner":"user"}',
      ASSET_POCKETBASE_HIDDEN_FIELDS: 'url',
    },
    replaced: {
      'http://127.0.0.1:8090': server.url,
      'service@example.com': server.email,
      '/run/secrets/pocketbase': password,
    },
    async check() {
      const { createRule, updateRule, deleteRule } = await admin.collections.getOne('files');
      if ([createRule, updateRule, deleteRule].some((rule) => rule !== null))
        throw new Error('the rules of the collection are not closed');
      // PocketBase refuses a rule that it cannot parse, or that names a field that does not exist.
      const [, rule] = /^ {4}(@request[^]*?)\n\n/m.exec(textOf('pocketbase.md')) ?? [];
      if (rule === undefined) throw new Error('the page has no rule for a product that still writes');
      await admin.collections.update('files', { updateRule: rule });
    },
    dispose: () => server.dispose(),
  };
}

/** Copies the files of this repository, which are committed there, and links what is installed and cached. */
export function copyRepository(dir: string): Setting {
  const git = (cwd: string, ...args: string[]) =>
    execFileSync('git', args, { cwd, encoding: 'utf8', maxBuffer: 2 ** 26 });
  const names = git(ROOT, 'ls-files', '-z', '--cached', '--others', '--exclude-standard').split('\0');
  for (const name of names.filter(Boolean)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    try {
      cpSync(join(ROOT, name), join(dir, name), { recursive: true });
    } catch (error) {
      // A file that was deleted and not committed yet.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  execFileSync('ln', ['-s', join(ROOT, 'node_modules'), join(ROOT, '.cache'), dir]);
  git(dir, 'init', '--quiet');
  writeFileSync(join(dir, '.git', 'info', 'exclude'), '/node_modules\n/.cache\n');
  git(dir, 'add', '.');
  const author = ['-c', 'user.name=test', '-c', 'user.email=test@example.com', '-c', 'commit.gpgsign=false'];
  git(dir, ...author, 'commit', '--quiet', '--message', 'All');
  return {};
}
