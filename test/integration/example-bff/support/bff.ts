import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../../../support/install.ts';
import { freePort } from '../../../support/ports.ts';
import { makeDir, programEnv, run, startServer, type Server } from '../../../support/process.ts';
import { startService, type Service } from '../../../support/service.ts';

/** A process of the reference BFF. */
export type Bff = Server & { readonly url: string; readonly port: number };

/** A service whose issuer is that for development, and the key files of it. */
export interface DevelopmentService {
  readonly service: Service;
  readonly keyFile: string;
  readonly dir: string;
}

/** The usage policies of the example, with pictures that are smaller and open to everybody who is signed in. */
const { usages } = JSON.parse(await readFile(join(ROOT, 'examples', 'bff', 'policies.json'), 'utf8')) as {
  readonly usages: Record<string, object>;
};
const POLICIES = {
  usages: {
    ...usages,
    picture: { ...usages['picture'], maxSizeBytes: 2_097_152, read: ['owner', 'authenticated'] },
  },
};

/** Starts the embedded service (filesystem, SQLite) with tokens for development. */
export async function startDevelopmentService(
  dir: string,
  env: Record<string, string> = {},
): Promise<DevelopmentService> {
  const keyFile = join(dir, 'dev-keys.json');
  await run(process.execPath, [...[join(ROOT, 'src', 'main.ts'), 'dev-token', '--keys', keyFile]]);
  const policies = join(dir, 'policies.json');
  await writeFile(policies, JSON.stringify(POLICIES));
  const service = await startService({
    ASSET_AUTH: 'oidc',
    ASSET_OIDC_ISSUER: 'http://localhost/asset-service/development',
    ASSET_OIDC_AUDIENCE: 'asset-service',
    ASSET_OIDC_JWKS: keyFile,
    ASSET_POLICY_FILE: policies,
    ...env,
  });
  return { service, keyFile, dir };
}

/** Starts one BFF with these settings, otherwise those for development. */
export async function startBff(env: Record<string, string>): Promise<Bff> {
  const dir = await makeDir('example-bff');
  const port = Number(env['BFF_PORT'] ?? (await freePort()));
  const url = `http://127.0.0.1:${port}`;
  const server = await startServer({
    name: 'reference BFF',
    command: process.execPath,
    args: [join(ROOT, 'examples', 'bff', 'server', 'main.ts')],
    env: { ...programEnv(), BFF_PORT: String(port), ...env } as Record<string, string>,
    dir,
    ownsDir: true,
    ready: async () => (await fetch(`${url}/api/session`)).ok,
  });
  return Object.assign(server, { url, port });
}

/** Settings of a BFF in front of a service for development. */
export function settingsFor({ service, keyFile }: DevelopmentService): Record<string, string> {
  return { ASSET_SERVICE_URL: service.url, BFF_DEV_KEYS: keyFile };
}

/** A new session key. */
export const sessionKey = () => randomBytes(32).toString('hex');
