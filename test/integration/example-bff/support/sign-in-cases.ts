import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { eventually } from '../../../support/eventually.ts';
import { KEYCLOAK_ADMIN, KEYCLOAK_SECRETS, type Keycloak } from '../../../support/keycloak.ts';
import { startService, type Service } from '../../../support/service.ts';
import { sessionKey, startBff, type Bff } from './bff.ts';
import { Person } from './person.ts';

/** Defines the tests of the reference BFF at a Keycloak of the calling file. The last one kills it. */
export function signInCases(keycloakOf: () => Keycloak): void {
  let keycloak: Keycloak;
  let service: Service;
  /** Two processes with the same keys. */
  let bffs: Bff[] = [];

  beforeAll(async () => {
    keycloak = keycloakOf();
    service = await startService({
      ...{ ASSET_AUTH: 'oidc', ASSET_OIDC_ISSUER: keycloak.issuer, ASSET_OIDC_AUDIENCE: 'asset-service' },
      ASSET_OIDC_CLOCK_SKEW: '1',
    });
    const settings = {
      ASSET_SERVICE_URL: service.url,
      ...{ BFF_SIGN_IN: 'oidc', BFF_OIDC_ISSUER: keycloak.issuer, BFF_OIDC_CLIENT_ID: 'bff' },
      BFF_OIDC_CLIENT_SECRET: KEYCLOAK_SECRETS.KEYCLOAK_BFF_SECRET,
      BFF_SESSION_KEYS: sessionKey(),
    };
    const first = await startBff(settings);
    bffs = [first, await startBff({ ...settings, BFF_PUBLIC_URL: first.url })];
    const clients = await admin<{ id: string; redirectUris: string[] }[]>('GET', '/clients?clientId=bff');
    await admin('PUT', `/clients/${clients[0]!.id}`, { ...clients[0], redirectUris: [`${first.url}/*`] });
  });

  afterAll(async () => {
    await Promise.all(bffs.map((bff) => bff.dispose()));
    await service?.dispose();
  });

  /** Calls the administration of the realm. */
  async function admin<T>(method: string, path: string, body?: object): Promise<T> {
    const form = { grant_type: 'password', client_id: 'admin-cli', ...KEYCLOAK_ADMIN };
    const url = `${keycloak.url}/realms/master/protocol/openid-connect/token`;
    const issued = await fetch(url, { method: 'POST', body: new URLSearchParams(form) });
    const { access_token: token } = (await issued.json()) as { access_token: string };
    const response = await fetch(`${keycloak.url}/admin/realms/assets${path}`, {
      ...{ method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' } },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  /** Goes to the sign-in, fills Keycloak's form in, and comes back; returns where to. */
  async function signIn(person: Person, returnTo = '/'): Promise<string> {
    const away = await person.ask(`/sign-in?returnTo=${encodeURIComponent(returnTo)}`);
    const form = await fetch(away.headers.get('location')!);
    const cookies = form.headers.getSetCookie().map((one) => one.split(';')[0]);
    const action = /action="([^"]+)"/.exec(await form.text())![1]!.replaceAll('&amp;', '&');
    const sent = await fetch(action, {
      ...{ method: 'POST', redirect: 'manual', headers: { cookie: cookies.join('; ') } },
      body: new URLSearchParams({ username: 'ann', password: KEYCLOAK_SECRETS.KEYCLOAK_USER_PASSWORD }),
    });
    const callback = new URL(sent.headers.get('location')!);
    const back = await person.ask(callback.pathname + callback.search);
    await person.readSession();
    return back.headers.get('location')!;
  }

  it('signs people in, and calls the service for them with exchanged tokens', async () => {
    const ann = new Person(bffs[0]!.url);
    expect(await signIn(ann, '/?usage=picture')).toBe('/?usage=picture');
    const { json } = await ann.readSession();
    expect(json.user.name).toBe('Ann Example');
    const file = (await ann.upload('content', 'a.txt', 'text/plain')).json.files[0];
    expect(file.owner).toBe(json.user.id);
    // The cookie fits into what browsers keep, and the other process knows the session.
    expect(ann.cookie.length).toBeLessThan(4096);
    const other = await fetch(`${bffs[1]!.url}/api/files/${file.id}`, { headers: { cookie: ann.cookie } });
    expect(other.status).toBe(200);
    const logged = { rpc: 'GetFile', end_user: json.user.id, code: 'OK' };
    await eventually(() => expect(service.logLines()).toContainEqual(expect.objectContaining(logged)));
  });

  it('refuses an answer of the issuer that it did not ask for', async () => {
    const eve = new Person(bffs[0]!.url);
    expect((await eve.ask('/sign-in/callback?code=x&state=y')).headers.get('location')).toBe(
      '/?problem=sign-in',
    );
    await eve.ask('/sign-in');
    const wrong = await eve.ask('/sign-in/callback?code=x&state=y');
    expect(wrong.headers.get('location')).toBe('/?problem=sign-in');
    expect((await eve.readSession()).json.user).toBeNull();
  });

  it('renews tokens in the middle of an upload, and says when the sign-in has ended', async () => {
    // Tokens end after five seconds.
    const realm = await admin<object>('GET', '');
    await admin('PUT', '', { ...realm, accessTokenLifespan: 5 });
    const ann = new Person(bffs[0]!.url);
    await signIn(ann);
    const { user } = (await ann.readSession()).json;
    const bytes = randomBytes(24 * 1024 * 1024);
    const started = Date.now();
    const stored = await ann.uploadSlowly(bytes, 'long.bin', 9_000);
    expect([stored.status, stored.json.error]).toEqual([201, undefined]);
    const file = stored.json.files[0];
    expect(Date.now() - started).toBeGreaterThan(8_000);
    expect(file).toMatchObject({ sizeBytes: bytes.length, owner: user.id });

    await admin('POST', `/users/${user.id}/logout`);
    await eventually(async () => {
      const answer = await ann.ask('/api/files');
      expect([answer.status, answer.json.error.reason]).toEqual([401, 'SIGN_IN_EXPIRED']);
      expect(answer.json.error.message).toBe('Your sign-in has ended. Sign in again to go on.');
    });
    await signIn(ann);
    expect((await ann.ask(`/api/files/${file.id}`)).status).toBe(200);
  });

  it('ends the sign-in for every process', async () => {
    const ann = new Person(bffs[0]!.url);
    await signIn(ann);
    const stolen = ann.cookie;
    const { json } = await ann.ask('/sign-out', { method: 'POST' });
    expect(json.goTo).toMatch(new RegExp(`^${keycloak.issuer}/protocol/openid-connect/logout`));
    const other = await fetch(`${bffs[1]!.url}/api/files`, { headers: { cookie: stolen } });
    expect(other.status).toBe(401);
  });

  it('says when the issuer does not answer', async () => {
    const ann = new Person(bffs[0]!.url);
    await signIn(ann);
    await keycloak.kill();
    // The process that has no token yet.
    const answer = await fetch(`${bffs[1]!.url}/api/files`, { headers: { cookie: ann.cookie } });
    const { error } = (await answer.json()) as { error: { reason: string } };
    expect([answer.status, error.reason]).toEqual([503, 'ISSUER_UNAVAILABLE']);
  });
}
