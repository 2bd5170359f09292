import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from '@connectrpc/connect';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { createBffClient } from '@asset-service/bff';
import { clientCredentials, createWorkerClient } from '@asset-service/worker';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { signInCases } from '../integration/example-bff/support/sign-in-cases.ts';
import { serverProgram } from '../support/install.ts';
import { KEYCLOAK_ADMIN, KEYCLOAK_SECRETS, startKeycloak, type Keycloak } from '../support/keycloak.ts';
import { startService, type Service } from '../support/service.ts';
import { TRANSPORTS } from './support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from './support/failures.ts';

const missing = await serverProgram('keycloak').then(
  () => undefined,
  (error: unknown) => {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'ENOENT'
      ? 'no Java 17 or no Maven to install it with'
      : `not installed: ${message.split('\n')[0]}`;
  },
);
const describeWithKeycloak = missing === undefined ? describe : describe.skip;

describeWithKeycloak(`a real Keycloak${missing === undefined ? '' : ` (${missing})`}`, () => {
  let keycloak: Keycloak;
  // One for all tests: it takes more CPU to start than they take together.
  beforeAll(async () => void (keycloak = await startKeycloak()), 400_000);
  afterAll(() => keycloak?.dispose());

  describe('and the service', () => serviceCases(() => keycloak));
  describe('and the sign-in of the reference BFF', () => signInCases(() => keycloak));
});

/** Defines the tests of the service at a Keycloak. */
function serviceCases(keycloakOf: () => Keycloak): void {
  let keycloak: Keycloak;
  let service: Service;
  const bff = { client_id: 'bff', client_secret: KEYCLOAK_SECRETS.KEYCLOAK_BFF_SECRET };

  beforeAll(async () => {
    keycloak = keycloakOf();
    service = await startService({
      ASSET_AUTH: 'oidc',
      ASSET_OIDC_ISSUER: keycloak.issuer,
      ASSET_OIDC_AUDIENCE: 'asset-service',
      ASSET_OIDC_JWKS_REFRESH: '1',
    });
  });
  afterAll(() => service?.dispose());

  /** Asks an endpoint of Keycloak for tokens. */
  async function tokens(form: Readonly<Record<string, string>>, url = keycloak.tokenUrl) {
    const response = await fetch(url, { method: 'POST', body: new URLSearchParams(form) });
    const answer = (await response.json()) as Record<string, string>;
    if (!response.ok) throw new Error(`no token: ${JSON.stringify(answer)}`);
    return answer as { access_token: string; id_token: string; refresh_token: string };
  }

  const ofService = async () => (await tokens({ ...bff, grant_type: 'client_credentials' })).access_token;

  const ofAnn = () =>
    tokens({
      ...bff,
      ...{ grant_type: 'password', username: 'ann', password: KEYCLOAK_SECRETS.KEYCLOAK_USER_PASSWORD },
      scope: 'openid',
    });

  const ofWorker = () =>
    clientCredentials({
      tokenUrl: keycloak.tokenUrl,
      clientId: 'worker',
      clientSecret: KEYCLOAK_SECRETS.KEYCLOAK_WORKER_SECRET,
    });

  const list = (token: string, userToken?: string) =>
    createClient(AssetService, TRANSPORTS['gRPC']!(service.url)).listFiles(
      {},
      {
        headers: {
          authorization: `Bearer ${token}`,
          ...(userToken !== undefined && { 'asset-user-token': userToken }),
        },
      },
    );

  it('lets a worker in by its client credentials', async () => {
    const token = ofWorker();
    await using worker = createWorkerClient({ baseUrl: service.url, token });
    const file = await worker.uploadFile(Buffer.from('by a worker'), { name: 'worker.txt' });
    expect((await worker.getFile(file.id)).name).toBe('worker.txt');
    const { sub } = decodeJwt(await token());
    const logged = expect.objectContaining({ rpc: 'Upload', principal: sub });
    await eventually(() => expect(service.logLines()).toContainEqual(logged));
  });

  it('lets the back end act for the person whose token it has or has exchanged', async () => {
    const own = (await ofAnn()).access_token;
    const exchanged = await tokens({
      ...bff,
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: own,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      audience: 'asset-service',
    });
    const token = clientCredentials({
      tokenUrl: keycloak.tokenUrl,
      clientId: 'bff',
      clientSecret: bff.client_secret,
    });
    await using client = createBffClient({ baseUrl: service.url, token });
    const { sub: principal } = decodeJwt(await token());
    const { sub: ann } = decodeJwt(own);
    for (const userToken of [own, exchanged.access_token]) {
      for await (const _ of client.forUser(userToken).listFiles());
    }
    const logged = { principal, end_user: ann, code: 'OK' };
    await eventually(() => {
      const calls = service.logLines().filter(({ rpc }) => rpc === 'ListFiles');
      expect(calls.slice(-2)).toMatchObject([logged, logged]);
    });
  });

  it('issues tokens that are not accepted as tokens of another kind', async () => {
    const { id_token: id, refresh_token: refresh, access_token: user } = await ofAnn();
    const token = await ofService();
    for (const wrong of [id, refresh]) {
      expect((await failureOf(list(wrong))).reason).toBe('CREDENTIALS_INVALID');
      expect((await failureOf(list(token, wrong))).reason).toBe('CREDENTIALS_INVALID');
    }
    expect(await failureOf(list(token, token))).toMatchObject({
      reason: 'CREDENTIALS_INVALID',
      metadata: { credential: 'asset-user-token', problem: 'service-account' },
    });
    expect((await failureOf(list(await ofWorker()(), user))).reason).toBe('END_USER_NOT_ALLOWED');
    expect((await failureOf(list(user, user))).reason).toBe('END_USER_NOT_ALLOWED');
    const ofAnotherRealm = await tokens(
      { grant_type: 'password', client_id: 'admin-cli', ...KEYCLOAK_ADMIN },
      `${keycloak.url}/realms/master/protocol/openid-connect/token`,
    );
    expect((await failureOf(list(ofAnotherRealm.access_token))).reason).toBe('CREDENTIALS_INVALID');
  });

  it('rotates its keys', async () => {
    const old = await ofService();
    await list(old);
    const admin = await administration(keycloak.url);
    const keys = await admin.get<{ id: string; providerId: string; parentId: string }[]>(
      '/components?type=org.keycloak.keys.KeyProvider',
    );
    const first = keys.find(({ providerId }) => providerId === 'rsa-generated')!;
    await admin.send('POST', '/components', {
      ...{ name: 'next', providerId: 'rsa-generated', providerType: 'org.keycloak.keys.KeyProvider' },
      parentId: first.parentId,
      config: { priority: ['200'], algorithm: ['RS256'], keySize: ['2048'] },
    });
    const fresh = await ofService();
    expect(decodeProtectedHeader(fresh).kid).not.toBe(decodeProtectedHeader(old).kid);
    await eventually(() => list(fresh));
    await list(old);

    await admin.send('DELETE', `/components/${first.id}`);
    await eventually(
      async () => expect((await failureOf(list(old))).metadata['problem']).toBe('signature'),
      60_000,
    );
    await list(fresh);
  });

  /** The administration of the realm. */
  async function administration(url: string) {
    const { access_token: token } = await tokens(
      { grant_type: 'password', client_id: 'admin-cli', ...KEYCLOAK_ADMIN },
      `${url}/realms/master/protocol/openid-connect/token`,
    );
    const call = async (method: string, path: string, body?: object): Promise<string> => {
      const response = await fetch(`${url}/admin/realms/assets${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
      return text;
    };
    return {
      get: async <T>(path: string) => JSON.parse(await call('GET', path)) as T,
      send: call,
    };
  }
}
