import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serverProgram } from './install.ts';
import { freePort } from './ports.ts';
import { makeDir, run, startServer, type Server } from './process.ts';

/** A PocketBase of the test, with a superuser. */
export type PocketBaseServer = Server & {
  readonly url: string;
  readonly email: string;
  readonly password: string;
};

/** Options of {@link startPocketBase}. */
export interface PocketBaseOptions {
  /** Data directory; default one that is removed with the server. */
  readonly dir?: string;
  /** Loopback port; default a free one. */
  readonly port?: number;
  /** True logs every SQL statement. */
  readonly logsSql?: boolean;
  /** Directory of JavaScript migrations, applied at start. */
  readonly migrationsDir?: string;
  /** JavaScript hooks that it runs. */
  readonly hooks?: string;
}

const EMAIL = 'test@example.com';
const PASSWORD = 'test-password-1234';

/** Starts a PocketBase. A test may stop, kill and restart it on the same port and data. Takes half a second. */
export async function startPocketBase(options: PocketBaseOptions = {}): Promise<PocketBaseServer> {
  const program = await serverProgram('pocketbase');
  const dir = options.dir ?? (await makeDir('pocketbase'));
  const port = options.port ?? (await freePort());
  const data = `--dir=${dir}/pb_data`;
  const url = `http://127.0.0.1:${port}`;
  if (options.hooks !== undefined) {
    await mkdir(join(dir, 'pb_hooks'), { recursive: true });
    await writeFile(join(dir, 'pb_hooks', 'main.pb.js'), options.hooks);
  }
  await run(program, ['superuser', 'upsert', EMAIL, PASSWORD, data]);
  const server = await startServer({
    name: 'PocketBase',
    command: program,
    args: [
      ...['serve', `--http=127.0.0.1:${port}`, data],
      ...(options.logsSql ? ['--dev'] : []),
      `--migrationsDir=${options.migrationsDir ?? `${dir}/pb_migrations`}`,
      ...[`--hooksDir=${dir}/pb_hooks`, '--automigrate=false', '--hooksWatch=false'],
    ],
    dir,
    ownsDir: options.dir === undefined,
    ready: async () => (await fetch(`${url}/api/health`)).ok,
  });
  return Object.assign(server, { url, email: EMAIL, password: PASSWORD });
}
