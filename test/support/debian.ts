import { chmod, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { run } from './process.ts';

/**
 * Extracts Debian packages, and the libraries that this machine lacks for them, into a directory without installing
 * them. `packages` may contain shell substitutions.
 */
export async function extractDebian(dir: string, packages: string): Promise<void> {
  const archives = join(dir, 'archives');
  const get = `apt-get -y -q --download-only --no-install-recommends --reinstall -o Dir::Cache::archives="$1" \\
    -o Debug::NoLocking=1 install ${packages}`;
  const script = `mkdir -p "$1/partial" && { ${get} || { apt-get -q update && ${get}; }; }`;
  await run('sh', ['-c', script, 'get', archives]);
  for (const name of await readdir(archives)) {
    if (name.endsWith('.deb')) await run('dpkg', ['-x', join(archives, name), dir]);
  }
  await rm(archives, { recursive: true });
  // Servers that refuse to run as root read it as another user.
  await chmod(dir, 0o755);
}

/** Line of a shell script in an extracted directory that makes the libraries there visible to programs. */
const LIBRARIES = [
  'dir=$(cd "$(dirname "$0")" && pwd)',
  'export LD_LIBRARY_PATH=$(echo "$dir"/usr/lib/*-linux-gnu "$dir"/lib/*-linux-gnu | tr " " ":")',
].join('\n');

/** Extracts etcd. */
export async function installEtcd(dir: string): Promise<void> {
  await extractDebian(dir, 'etcd-server');
  await run(join(dir, 'usr', 'bin', 'etcd'), ['--version']);
}

/** Extracts HAProxy. */
export async function installHaproxy(dir: string): Promise<void> {
  await extractDebian(dir, 'haproxy');
  await writeFile(join(dir, 'haproxy'), `#!/bin/sh\n${LIBRARIES}\nexec "$dir/usr/sbin/haproxy" "$@"\n`, {
    mode: 0o755,
  });
  await run(join(dir, 'haproxy'), ['-v']);
}

/** Extracts a PostgreSQL with the programs that replication needs (`pg_basebackup`, `pg_rewind`); `bin` has them. */
export async function installPostgresWithReplication(dir: string): Promise<void> {
  await extractDebian(
    dir,
    `$(apt-cache depends postgresql | sed -n 's/.*Depends: \\(postgresql-[0-9]*\\)$/\\1/p')`,
  );
  const versions = join(dir, 'usr', 'lib', 'postgresql');
  const [version] = await readdir(versions);
  await symlink(relative(dir, join(versions, version!, 'bin')), join(dir, 'bin'));
  for (const program of ['postgres', 'pg_basebackup', 'pg_rewind']) {
    await run(join(dir, 'bin', program), ['--version']);
  }
}

/** Installs Patroni, with its clients of etcd and PostgreSQL, into a directory of its own. */
export async function installPatroni(dir: string): Promise<void> {
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--root-user-action=ignore'];
  const script = [
    'dir=$(cd "$(dirname "$0")" && pwd)',
    // The python3 of a version manager in a home directory cannot be run by other users.
    '[ -x /usr/bin/python3 ] && python=/usr/bin/python3 || python=python3',
    'export PYTHONPATH="$dir/packages" PYTHONDONTWRITEBYTECODE=1',
    'exec $python -m patroni "$@"',
  ];
  await run('python3', [
    ...pip,
    ...['--target', join(dir, 'packages'), 'patroni[etcd3]==4.1.5', 'psycopg2-binary==2.9.13'],
  ]);
  await writeFile(join(dir, 'patroni'), `#!/bin/sh\n${script.join('\n')}\n`, { mode: 0o755 });
  await chmod(dir, 0o755);
  await run(join(dir, 'patroni'), ['--version']);
}
