import { beforeAll, describe, expect, it } from '@jest/globals';
import { AUDIENCE } from '../support/issuer.ts';
import type { Failure } from '../e2e/support/failures.ts';
import { bearer, tokenSuite, type Claims } from './support/tokens.ts';

describe('a token of an end user', () => {
  const { good, call, refused, WRONG, evilFetches } = tokenSuite();

  let bff: Record<string, string>;
  const actingFor = async (userToken: string): Promise<Failure> =>
    refused({ ...bff, 'asset-user-token': userToken });

  beforeAll(async () => {
    bff = bearer(await good({ sub: 'bff', azp: 'bff', scope: 'asset:act-for-user' }));
  });

  it.each(WRONG.filter(([name]) => !name.startsWith('in another')))(
    '%s is refused (%s)',
    async (_, problem, make) => {
      expect(await actingFor(await make())).toMatchObject({
        code: 'UNAUTHENTICATED',
        reason: 'CREDENTIALS_INVALID',
        metadata: { credential: 'asset-user-token', problem },
      });
    },
  );

  it.each<[string, Claims]>([
    ['by the name that Keycloak gives it', { sub: 'a1', preferred_username: 'service-account-worker' }],
    ['by being its own client', { sub: 'worker', azp: 'worker' }],
    ['by its grant', { sub: 'worker', gty: 'client-credentials' }],
    ['by its client at Okta', { sub: 'worker', cid: 'worker' }],
    ['by its subject at Auth0', { sub: 'worker@clients', azp: 'worker' }],
    ['by its type at Entra', { sub: 'a1', appid: 'b2', idtyp: 'app', name: 'worker' }],
    ['by where it signed in', { sub: 'a1', sid: 's', clientAddress: '10.0.0.1' }],
    ['by nothing but a client, where Keycloak adds no name', { sub: 'a1', azp: 'worker', acr: '1' }],
    ['by nothing but a client, by RFC 9068', { sub: 'a1', client_id: 'worker', email_verified: false }],
    ['by being the one that calls', { sub: 'bff' }],
  ])('is refused if it is that of a service, told %s', async (_, service) => {
    expect(await actingFor(await good(service))).toMatchObject({
      reason: 'CREDENTIALS_INVALID',
      metadata: { problem: 'service-account' },
    });
  });

  it.each<[string, Claims]>([
    ['without a client', { sub: 'ann' }],
    ['in a session', { sub: 'ann', azp: 'web', sid: 's1' }],
    ['by name', { sub: 'ann', client_id: 'web', preferred_username: 'ann' }],
  ])('is taken for that of a person %s', async (_, claims) => {
    await call({ ...bff, 'asset-user-token': await good(claims) });
  });

  it('cannot be sent by a user in the place of a service', async () => {
    const user = await good({ sub: 'ann', scope: '' });
    expect(await refused({ ...bearer(user), 'asset-user-token': user })).toMatchObject({
      reason: 'END_USER_NOT_ALLOWED',
    });
  });

  it('does not replace the identity of the service', async () => {
    const user = await good({ sub: 'ann', scope: '' });
    expect(await refused({ 'asset-user-token': user })).toMatchObject({ reason: 'CREDENTIALS_MISSING' });
  });

  it('needs the role itself, and nothing that looks like it', async () => {
    const user = await good({ sub: 'ann', scope: '' });
    for (const claims of [
      { scope: 'asset:act-for-users' },
      { scope: 'act-for-user' },
      { scope: ['asset:act-for-user'] },
      { scope: '', roles: ['asset:act-for-user'] },
      { scope: '', resource_access: { other: { roles: ['asset:act-for-user'] } } },
      { scope: '', resource_access: { [AUDIENCE]: { roles: 'asset:act-for-user' } } },
      { scope: '', realm_access: { roles: [['asset:act-for-user']] } },
    ]) {
      const headers = { ...bearer(await good({ sub: 'bff', ...claims })), 'asset-user-token': user };
      expect(await refused(headers)).toMatchObject({ reason: 'END_USER_NOT_ALLOWED' });
    }
    for (const claims of [
      { scope: 'openid asset:act-for-user' },
      { scope: '', realm_access: { roles: ['asset:act-for-user'] } },
      { scope: '', resource_access: { [AUDIENCE]: { roles: ['asset:act-for-user'] } } },
    ]) {
      await call({ ...bearer(await good({ sub: 'bff', ...claims })), 'asset-user-token': user });
    }
  });

  it('never makes the service fetch a key from where the token says', () => expect(evilFetches()).toBe(0));
});
