import { expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';

it('the realm of the compose file locks out who guesses passwords', async () => {
  const path = new URL('../../deploy/compose/keycloak-realm.json', import.meta.url);
  const realm = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  expect(realm).toMatchObject({ bruteForceProtected: true });
  expect(realm['failureFactor']).toBeLessThanOrEqual(10);
});
