import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '../support/certificates.ts';
import { AUDIENCE, makeKey, sign, type IssuerKey } from '../support/issuer.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { healthOf, startService, type Service } from '../support/service.ts';
import { clientOf } from './support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from './support/failures.ts';

const ISSUER = 'https://issuer.invalid/realms/assets';
const PATIENCE_MS = 30_000;

describe('keys in a file', () => {
  let dir: string;
  let service: Service;
  let path: string;

  beforeAll(async () => {
    dir = await makeDir('jwks');
    path = join(dir, 'jwks.json');
  });

  afterAll(async () => {
    await service?.dispose();
    await removeDir(dir);
  });

  async function call(key: IssuerKey): Promise<void> {
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: ISSUER, aud: AUDIENCE, sub: 'worker', scope: 'asset:read', exp: now + 300 };
    const headers = { authorization: `Bearer ${await sign(claims, key)}` };
    await clientOf(service.url).listFiles({}, { headers });
  }

  /** Waits until tokens of a key are refused. They are no reason to read the file: their key is known until it was read. */
  const refused = (key: IssuerKey) =>
    eventually(
      async () =>
        expect(await failureOf(call(key))).toMatchObject({
          code: 'UNAUTHENTICATED',
          reason: 'CREDENTIALS_INVALID',
          metadata: { credential: 'authorization', problem: 'signature' },
        }),
      PATIENCE_MS,
    );

  const jwks = (...keys: IssuerKey[]) => JSON.stringify({ keys: keys.map(({ jwk }) => jwk) });

  it('are those of the file at any time, however it is replaced, and the last ones while it is broken', async () => {
    const [first, second, third, fourth] = await Promise.all([
      ...[makeKey('first'), makeKey('second', 'ES256'), makeKey('third'), makeKey('fourth')],
    ]);
    await writeFile(path, jwks(first!));
    service = await startService({
      ...{ ASSET_AUTH: 'oidc', ASSET_OIDC_ISSUER: ISSUER, ASSET_OIDC_AUDIENCE: AUDIENCE },
      // The file is not read again for the time alone within this test.
      ...{ ASSET_OIDC_JWKS: path, ASSET_OIDC_JWKS_REFRESH: '3600' },
    });
    await call(first!);

    // Renamed into its place, as most programs write.
    await replaceFile(path, jwks(second!));
    await refused(first!);
    await call(second!);

    // Written in place: half of it is no set of keys.
    await writeFile(path, jwks(third!).slice(0, 100));
    await eventually(() => expect(service.log()).toContain('the last ones go on being used'), PATIENCE_MS);
    await call(second!);
    expect(await healthOf(service.url)).toBe('SERVING');
    await writeFile(path, jwks(second!, third!));
    await eventually(() => call(third!), PATIENCE_MS);
    await call(second!);

    // By a link that is swapped, as Kubernetes does with secrets.
    const secret = join(dir, 'secret');
    await mkdir(secret);
    await writeFile(join(secret, 'jwks.json'), jwks(fourth!));
    await symlink(join(secret, 'jwks.json'), `${path}.link`);
    await rename(`${path}.link`, path);
    await refused(third!);
    await refused(second!);
    await call(fourth!);
  }, 180_000);
});
