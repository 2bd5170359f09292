import { createClient } from '@connectrpc/connect';
import { describe, expect, it } from '@jest/globals';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { AUDIENCE, makeKey, sign } from '../support/issuer.ts';
import { healthOf, startService, type Service } from '../support/service.ts';
import { TRANSPORTS } from '../e2e/support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { bearer, tokenSuite } from './support/tokens.ts';

/** How long the service may take to notice changes of the issuer's keys. */
const PATIENCE_MS = 20_000;

describe('a token', () => {
  const { good, claims, forged, call, refused, issuer, service } = tokenSuite();

  it('of a withdrawn key stops working, and one of a new key works at once', async () => {
    const old = await good();
    await call(bearer(old));
    await issuer().rotate(true);
    // The new key works when needed, and the old one as long as the issuer publishes it.
    await eventually(() => good().then((token) => call(bearer(token))), PATIENCE_MS);
    await call(bearer(old));
    await issuer().rotate();
    await eventually(() => good().then((token) => call(bearer(token))), PATIENCE_MS);
    expect(await refused(bearer(old))).toMatchObject({ metadata: { problem: 'signature' } });
  });

  it('with an unknown key does not have the keys fetched for every call', async () => {
    const before = issuer().fetches;
    const started = performance.now();
    for (let i = 0; i < 50; i++) await refused(bearer(await forged({ kid: `unknown-${i}` })));
    const seconds = (performance.now() - started) / 1000;
    expect(issuer().fetches - before).toBeLessThanOrEqual(2 * Math.ceil(seconds) + 2);
  });

  it('is verified with the last keys while the issuer is down, and an unknown key is UNAVAILABLE', async () => {
    await call(bearer(await good()));
    const unknown = await sign(claims(), await makeKey('newer'));
    await issuer().goDown();
    try {
      // During the cooldown the last keys count as complete.
      await eventually(async () => {
        const failure = await refused(bearer(unknown));
        expect(failure).toMatchObject({ code: 'UNAVAILABLE', reason: 'IDENTITY_UNAVAILABLE' });
        expect(failure.retryMs).toBeGreaterThan(0);
      }, PATIENCE_MS);
      await call(bearer(await good()));
      expect(await healthOf(service().url)).toBe('SERVING');
    } finally {
      await issuer().comeUp();
    }
    await eventually(async () => {
      expect(await refused(bearer(unknown))).toMatchObject({ reason: 'CREDENTIALS_INVALID' });
    }, PATIENCE_MS);
  });

  it('is UNAVAILABLE, never UNAUTHENTICATED, while there are no keys at all', async () => {
    await issuer().goDown();
    let late: Service | undefined;
    try {
      const env = { ASSET_AUTH: 'oidc', ASSET_OIDC_ISSUER: issuer().url, ASSET_OIDC_AUDIENCE: AUDIENCE };
      late = await startService(env, { until: 'answering' });
      expect(await healthOf(late.url, 'identity')).toBe('NOT_SERVING');
      const client = createClient(AssetService, TRANSPORTS['gRPC']!(late.url));
      for (const token of [await good(), await forged({})]) {
        expect(await failureOf(client.listFiles({}, { headers: bearer(token) }))).toMatchObject({
          code: 'UNAVAILABLE',
          reason: 'IDENTITY_UNAVAILABLE',
        });
      }
      await issuer().comeUp();
      await eventually(
        () => good().then((token) => client.listFiles({}, { headers: bearer(token) })),
        PATIENCE_MS,
      );
    } finally {
      await issuer()
        .comeUp()
        .catch(() => undefined);
      await late?.dispose();
    }
  });
});
