import type { CallOptions } from '@connectrpc/connect';
import type { File } from '@asset-service/contract/asset/v1/file_pb.js';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clientOf, randomContent, upload, type AssetClient, type spec } from '../../e2e/support/calls.ts';
import { failureOf } from '../../e2e/support/failures.ts';
import { AUDIENCE, startIssuer, type Issuer } from '../../support/issuer.ts';
import { makeDir, removeDir } from '../../support/process.ts';
import { startService } from '../../support/service.ts';

/** The callers. `alice` owns the files; the others have access only through roles. */
export const CALLERS: Record<
  string,
  { readonly sub: string; readonly scope?: string; readonly endUser?: string }
> = {
  alice: { sub: 'alice' },
  bob: { sub: 'bob' },
  'a service without a role': { sub: 'service' },
  'the role read': { sub: 'reader', scope: 'asset:read' },
  'the role write': { sub: 'writer', scope: 'asset:write' },
  'the role delete': { sub: 'deleter', scope: 'asset:delete' },
  'the role admin': { sub: 'admin', scope: 'asset:admin' },
  'the role act-for-user': { sub: 'front', scope: 'asset:act-for-user' },
  'an almighty service for alice': {
    sub: 'front',
    scope: 'asset:admin asset:act-for-user',
    endUser: 'alice',
  },
  'an almighty service for bob': { sub: 'front', scope: 'asset:admin asset:act-for-user', endUser: 'bob' },
};
export const NAMES = Object.keys(CALLERS);

export const OWN = ['alice', 'an almighty service for alice'];
export const ADMIN = 'the role admin';
export const MAY = {
  read: [...OWN, 'the role read', ADMIN],
  update: [...OWN, 'the role write', ADMIN],
  delete: [...OWN, 'the role delete', ADMIN],
};
/** Callers that may be told that a file does not exist: those who may do the action with every file. */
export const ALWAYS = {
  read: ['the role read', ADMIN],
  update: ['the role write', ADMIN],
  delete: ['the role delete', ADMIN],
};

export type Target = 'live' | 'deleted' | 'missing';
export const TARGETS: readonly Target[] = ['live', 'deleted', 'missing'];
export const MISSING = 'nosuchfile00000';

/** The content of every file of alice. */
export const content = randomContent(100);

/** The identity of a caller, as call options. */
type Caller = CallOptions & { headers: Record<string, string> };

/** A service with usage policies, files of alice, and credentials of every caller. */
export interface AlicesFiles {
  readonly client: AssetClient;
  readonly issuer: Issuer;
  /** Path of the audit log. */
  readonly auditLog: string;
  /** Files that no call changes. */
  readonly shared: Readonly<Record<Target, string>>;
  /** The call options of a caller in `CALLERS`. */
  as(name: string): Caller;
  /** Uploads a file that alice owns. */
  make(file?: Parameters<typeof spec>[0]): Promise<File>;
  /** A file in the state of the target. */
  newFile(target: Target): Promise<string>;
  dispose(): Promise<void>;
}

/** Starts the issuer and the service, and uploads the shared files. */
export async function startAlicesFiles(): Promise<AlicesFiles> {
  await using started = new AsyncDisposableStack();
  const dir = started.adopt(await makeDir('idor'), removeDir);
  const policyFile = join(dir, 'policies.json');
  const policies = {
    usages: {
      open: { read: ['owner', 'authenticated'] },
      team: { read: ['owner', 'relation:team'] },
      sealed: { read: [], write: [] },
      drop: { write: ['owner', 'authenticated'] },
      saved: { disposition: 'attachment', urlLifetimeSeconds: { min: 60, max: 120 } },
    },
    default: {},
  };
  await writeFile(policyFile, JSON.stringify(policies));
  const issuer = started.adopt(await startIssuer(), (one) => one.dispose());
  const environment = {
    ASSET_AUTH: 'oidc',
    ASSET_OIDC_ISSUER: issuer.url,
    ASSET_OIDC_AUDIENCE: AUDIENCE,
    ASSET_POLICY_FILE: policyFile,
    ASSET_AUDIT_LOG: join(dir, 'audit.log'),
  };
  const service = started.adopt(await startService(environment), (one) => one.dispose());
  const client = clientOf(service.url);
  const options: Record<string, Caller> = {};
  const exp = Math.floor(Date.now() / 1000) + 3_600;
  for (const [name, { sub, scope, endUser }] of Object.entries(CALLERS)) {
    const headers: Record<string, string> = {
      authorization: `Bearer ${await issuer.token({ sub, scope, exp })}`,
    };
    if (endUser !== undefined) {
      headers['asset-user-token'] = await issuer.token({ sub: endUser, exp });
    }
    options[name] = { headers };
  }
  const as = (name: string) => options[name]!;
  const make = (file: Parameters<typeof spec>[0] = {}) =>
    upload(client, content, { file: { owner: 'alice', name: 'secret.txt', ...file }, ...as(ADMIN) });
  async function newFile(target: Target): Promise<string> {
    if (target === 'missing') return MISSING;
    const { id } = await make();
    if (target === 'deleted') await client.deleteFile({ fileId: id }, as(ADMIN));
    return id;
  }
  const shared = { live: await newFile('live'), deleted: await newFile('deleted'), missing: MISSING };
  const resources = started.move();
  return {
    ...{ client, issuer, shared, as, make, newFile },
    auditLog: environment.ASSET_AUDIT_LOG,
    dispose: () => resources.disposeAsync(),
  };
}

/** The outcome of a call: `seen` of its response, or the reason of its error. */
export async function outcome<T>(
  call: Promise<T>,
  seen: (answer: T) => string = () => 'ok',
): Promise<string> {
  let failed = false;
  const said = await call.then(seen, () => ((failed = true), ''));
  return failed ? (await failureOf(call)).reason : said;
}

/** The source of a URL by a file's id. */
export const source = (fileId: string) => ({ source: { case: 'fileId', value: fileId } }) as const;

/** The requests of a client stream. */
export async function* messages<T>(...all: T[]): AsyncGenerator<T> {
  yield* all;
}
