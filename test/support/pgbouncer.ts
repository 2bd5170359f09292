import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serverProgram } from './install.ts';
import { freePort } from './ports.ts';
import { query } from './postgres.ts';
import { makeDir, startServer, type Server } from './process.ts';

/** A PgBouncer of the test, configured like its package. */
export type PgBouncer = Server & {
  /** URL of its database. */
  readonly url: string;
};

/**
 * Starts a PgBouncer in front of the database of this URL. It has four connections with transaction pooling, and 20
 * with session pooling, as in the package.
 */
export async function startPgBouncer(
  databaseUrl: string,
  poolMode: 'transaction' | 'session',
): Promise<PgBouncer> {
  const program = await serverProgram('pgbouncer');
  const isRoot = process.getuid?.() === 0;
  // It refuses to run as root.
  const dir = await makeDir('pgbouncer', isRoot ? { uid: 65_534, gid: 65_534 } : undefined);
  const port = await freePort();
  const { hostname, port: serverPort, username } = new URL(databaseUrl);
  await writeFile(join(dir, 'users.txt'), `"${username}" ""\n`, { mode: 0o644 });
  await writeFile(
    join(dir, 'pgbouncer.ini'),
    [
      ...['[databases]', `* = host=${hostname} port=${serverPort}`, '[pgbouncer]', 'listen_addr = 127.0.0.1'],
      ...[
        `listen_port = ${port}`,
        'unix_socket_dir =',
        'auth_type = trust',
        `auth_file = ${join(dir, 'users.txt')}`,
      ],
      ...[`pool_mode = ${poolMode}`, `default_pool_size = ${poolMode === 'session' ? 20 : 4}`, ''],
    ].join('\n'),
    { mode: 0o644 },
  );
  const url = new URL(databaseUrl);
  url.host = `127.0.0.1:${port}`;
  const server = await startServer({
    name: 'PgBouncer',
    command: program,
    args: [...(isRoot ? ['--user=nobody'] : []), join(dir, 'pgbouncer.ini')],
    dir,
    ownsDir: true,
    ready: async () => {
      await query(url.href, 'select 1');
      return true;
    },
    stopSignal: 'SIGINT',
  });
  return Object.assign(server, { url: url.href });
}
