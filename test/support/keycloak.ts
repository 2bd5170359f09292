import { cp, mkdir, readdir, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ROOT, serverProgram } from './install.ts';
import { freePorts } from './ports.ts';
import { makeDir, startServer, type Server } from './process.ts';

/** The secrets that the realm of the compose file needs. */
export const KEYCLOAK_SECRETS = {
  KEYCLOAK_BFF_SECRET: 'bff-secret',
  KEYCLOAK_WORKER_SECRET: 'worker-secret',
  KEYCLOAK_USER_PASSWORD: 'user-password',
} as const;

/** The administrator of the installation. */
export const KEYCLOAK_ADMIN = { username: 'admin', password: 'admin-password' } as const;

/** A Keycloak with the realm of the compose file. */
export interface Keycloak extends Server {
  /** Where it answers. */
  readonly url: string;
  /** The issuer of the realm. */
  readonly issuer: string;
  readonly tokenUrl: string;
}

/** Starts a Keycloak of the test. Takes about fifteen seconds, more on a busy machine. */
export async function startKeycloak(): Promise<Keycloak> {
  const installed = dirname(dirname(await serverProgram('keycloak')));
  const dir = await makeDir('keycloak');
  // It has its own copy of what it writes; the rest is shared.
  for (const name of await readdir(installed)) {
    if (name === 'bin' || name === 'data')
      await cp(join(installed, name), join(dir, name), { recursive: true });
    else await symlink(join(installed, name), join(dir, name));
  }
  await mkdir(join(dir, 'data', 'import'), { recursive: true });
  const realm = join(ROOT, 'deploy', 'compose', 'keycloak-realm.json');
  await cp(realm, join(dir, 'data', 'import', 'assets-realm.json'));
  const [port, management] = await freePorts(2);
  const url = `http://127.0.0.1:${port}`;
  const issuer = `${url}/realms/assets`;
  const server = await startServer({
    name: 'Keycloak',
    command: 'bash',
    args: [
      ...[join(dir, 'bin', 'kc.sh'), 'start', '--optimized', '--import-realm', '--cache=local'],
      ...['--http-enabled=true', '--hostname-strict=false', '--http-host=127.0.0.1', `--http-port=${port}`],
      `--http-management-port=${management}`,
    ],
    env: { JAVA_OPTS_KC_HEAP: '-Xms128m -Xmx512m', ...KEYCLOAK_SECRETS },
    dir,
    ownsDir: true,
    startTimeoutMs: 300_000,
    ready: async () => (await fetch(`${issuer}/.well-known/openid-configuration`)).ok,
  });
  return Object.assign(server, { url, issuer, tokenUrl: `${issuer}/protocol/openid-connect/token` });
}
