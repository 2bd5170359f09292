import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { startApp } from '../../../src/app/app.ts';
import { sweepOnce } from '../../../src/app/sweep.ts';
import { checkConfig } from '../../../src/config/config.ts';
import type { AssetClient } from '../../e2e/support/calls.ts';
import { AUDIENCE, startIssuer } from '../../support/issuer.ts';
import { freePort } from '../../support/ports.ts';
import { makeDir, removeDir } from '../../support/process.ts';

/** Who calls: a person, or a service where it has a `scope`. */
export interface Who {
  readonly sub: string;
  /** Roles, such as `asset:read asset:write`. */
  readonly scope?: string;
  /** The person that a service acts for. */
  readonly endUser?: string;
}

/** A line of the log or of the audit log. */
export type Line = Readonly<Record<string, unknown>>;

/** The whole service in this process, composed as the process composes itself, on the filesystem store and SQLite. */
export interface House {
  /** Calls without an identity; in a house with identities, as a service that may do everything. */
  readonly client: AssetClient;
  /** Where it answers, such as `http://127.0.0.1:10001`. */
  readonly url: string;
  /** Where the catalog and the store lie. */
  readonly dataDir: string;
  /** Calls as somebody. */
  as(who: Who): Promise<AssetClient>;
  /** An access token of somebody. */
  token(who: Who): Promise<string>;
  /** Every line of the log so far. */
  readonly lines: readonly Line[];
  /** Sweeps once and returns what that did. */
  sweep(): ReturnType<typeof sweepOnce>;
  /** Names of all that lies in the store, finished or not. */
  blobs(): Promise<string[]>;
  /** Their paths. */
  blobPaths(): Promise<string[]>;
  close(): Promise<void>;
}

/** How {@link openHouse} opens one; everything may be left out. */
export interface HouseOptions {
  /** Content of the policy file. */
  readonly policies?: object;
  /** True to ask callers who they are. */
  readonly identities?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

/** Opens one. A tenth of a second once the modules are loaded. */
export async function openHouse(options: HouseOptions = {}): Promise<House> {
  const dir = await makeDir('house');
  const issuer = options.identities ? await startIssuer() : undefined;
  const policyFile = join(dir, 'policies.json');
  await writeFile(policyFile, JSON.stringify(options.policies ?? { usages: {}, default: {} }));
  const data = join(dir, 'data');
  const config = checkConfig({
    ASSET_LISTEN: `127.0.0.1:${await freePort()}`,
    ASSET_DATA_DIR: data,
    ASSET_POLICY_FILE: policyFile,
    ASSET_AUDIT_LOG: join(dir, 'audit.log'),
    // Sweeps are made by the tests.
    ASSET_SWEEP_INTERVAL: '86400',
    ...(issuer && {
      ASSET_AUTH: 'oidc',
      ASSET_OIDC_ISSUER: issuer.url,
      ASSET_OIDC_AUDIENCE: AUDIENCE,
    }),
    ...options.env,
  });
  const lines: Line[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line) as Line) });
  const app = await startApp(config, log);

  function token({ sub, scope }: Who): Promise<string> {
    if (!issuer) throw new Error('this house asks nobody who they are: open it with identities');
    return issuer.token(scope === undefined ? { sub } : { sub, scope, azp: sub });
  }

  async function as({ endUser, ...who }: Who): Promise<AssetClient> {
    const authorization = `Bearer ${await token(who)}`;
    const userToken = endUser === undefined ? undefined : await token({ sub: endUser });
    return clientWith({ authorization, ...(userToken !== undefined && { 'asset-user-token': userToken }) });
  }

  function clientWith(headers: Readonly<Record<string, string>>): AssetClient {
    const transport = createConnectTransport({
      baseUrl: app.url,
      httpVersion: '2',
      interceptors: [
        (next) => (request) => {
          for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
          return next(request);
        },
      ],
    });
    return createClient(AssetService, transport);
  }

  async function blobEntries() {
    const entries = await readdir(data, { recursive: true, withFileTypes: true });
    return entries.filter(
      (entry) => entry.isFile() && !/^(catalog\.sqlite|url-signing\.key)/.test(entry.name),
    );
  }

  return {
    client: issuer ? await as({ sub: 'operator', scope: 'asset:admin asset:act-for-user' }) : clientWith({}),
    url: app.url,
    dataDir: data,
    as,
    token,
    lines,
    sweep: () => sweepOnce(config, { dryRun: false }, log),
    blobs: async () => (await blobEntries()).map(({ name }) => name),
    blobPaths: async () => (await blobEntries()).map(({ parentPath, name }) => join(parentPath, name)),
    async close() {
      await app.close();
      await issuer?.dispose();
      await removeDir(dir);
    },
  };
}
