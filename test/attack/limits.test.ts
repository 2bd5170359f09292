import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from '@connectrpc/connect';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { ServerReflection } from '@asset-service/contract/grpc/reflection/v1/reflection_pb.js';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { AUDIENCE, startIssuer, type Issuer } from '../support/issuer.ts';
import { healthOf, startService, type Service } from '../support/service.ts';
import {
  clientOf,
  randomContent,
  spec,
  TRANSPORTS,
  upload,
  type UploadMessage,
} from '../e2e/support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf, type Failure } from '../e2e/support/failures.ts';

const MiB = 2 ** 20;

describe('one caller', () => {
  let issuer: Issuer;
  let service: Service;
  let greedy: { headers: Record<string, string> };
  let modest: { headers: Record<string, string> };

  beforeAll(async () => {
    issuer = await startIssuer();
    service = await startService({
      ASSET_AUTH: 'oidc',
      ASSET_OIDC_ISSUER: issuer.url,
      ASSET_OIDC_AUDIENCE: AUDIENCE,
      ASSET_LIMIT_READS: '5',
      ASSET_LIMIT_WRITES: '50',
      ASSET_LIMIT_UPLOADS: '2',
      ASSET_LIMIT_DOWNLOADS: '2',
      ASSET_LIMIT_REFUSALS: '5',
    });
    greedy = await headersOf('greedy');
    modest = await headersOf('modest');
  });

  afterAll(async () => {
    await service?.dispose();
    await issuer?.dispose();
  });

  async function headersOf(sub: string) {
    return { headers: { authorization: `Bearer ${await issuer.token({ sub, scope: 'asset:admin' })}` } };
  }

  /** The failures of this many concurrent calls. */
  async function failuresOf(count: number, call: () => Promise<unknown>): Promise<Failure[]> {
    const calls = Array.from({ length: count }, async () => {
      const pending = call();
      return (await pending.then(
        () => true,
        () => false,
      ))
        ? []
        : [await failureOf(pending)];
    });
    return (await Promise.all(calls)).flat();
  }

  it('that reads too much must wait for the time it is told, and nobody else must', async () => {
    const client = clientOf(service.url);
    const failures = await failuresOf(200, () => client.listFiles({}, greedy));
    expect(failures.length).toBeGreaterThan(0);
    for (const { code, reason, metadata, retryMs } of failures) {
      expect({ code, reason, metadata }).toEqual({
        code: 'RESOURCE_EXHAUSTED',
        reason: 'RATE_LIMITED',
        metadata: { limit: 'reads' },
      });
      expect(retryMs).toBeLessThanOrEqual(1_000);
    }
    await client.listFiles({}, modest);
    expect(await healthOf(service.url)).toBe('SERVING');
    // Writes are counted separately.
    await upload(client, randomContent(10), greedy);
    await sleep(Math.max(...failures.map(({ retryMs = 0 }) => retryMs)));
    await eventually(() => client.listFiles({}, greedy));
  });

  it('that asks for reflection too often keeps no other address from it', async () => {
    const askFrom = async (localAddress: string) => {
      const { hostname: host, port } = new URL(service.url);
      const createConnection = () => connect({ host, port: Number(port), localAddress });
      const transport = createGrpcTransport({ baseUrl: service.url, nodeOptions: { createConnection } });
      const questions = (async function* () {
        yield { messageRequest: { case: 'listServices' as const, value: '' } };
      })();
      for await (const _ of createClient(ServerReflection, transport).serverReflectionInfo(questions));
    };
    const [failure] = await failuresOf(60, () => askFrom('127.0.0.1'));
    expect(failure).toMatchObject({ code: 'RESOURCE_EXHAUSTED', reason: 'RATE_LIMITED' });
    await askFrom('127.0.0.2');
    await upload(clientOf(service.url), randomContent(10), await headersOf('anonymous'));
  });

  it('gets as many calls in a burst as it is promised', async () => {
    const client = clientOf(service.url);
    const other = await headersOf('bursting');
    expect(await failuresOf(25, () => client.listFiles({}, other))).toEqual([]);
  });

  it('that uploads too much at once is turned away until one of its uploads is over', async () => {
    const client = clientOf(service.url);
    const abort = new AbortController();
    const begin = async () => {
      let begun = () => undefined as void;
      const running = new Promise<void>((resolve) => (begun = resolve));
      async function* endless(): AsyncGenerator<UploadMessage> {
        yield spec();
        begun();
        await sleep(60_000, undefined, { ref: false, signal: abort.signal });
      }
      client.upload(endless(), { ...greedy, signal: abort.signal }).catch(() => undefined);
      await running;
    };
    await begin();
    await begin();
    const failure = await eventually(() => failureOf(upload(client, randomContent(10), greedy)));
    expect([failure.code, failure.reason]).toEqual(['RESOURCE_EXHAUSTED', 'TOO_MANY_UPLOADS']);
    await upload(client, randomContent(10), modest);
    abort.abort();
    await eventually(() => upload(client, randomContent(10), greedy));
  });

  it('that downloads too much at once is turned away until one of its downloads is over', async () => {
    const client = clientOf(service.url);
    const file = await upload(client, randomContent(16 * MiB), modest);
    const abort = new AbortController();
    for (let i = 0; i < 2; i++) {
      const stream = client.downloadFile({ fileId: file.id }, { ...modest, signal: abort.signal });
      await stream[Symbol.asyncIterator]().next();
    }
    const download = (who: typeof modest) =>
      client.downloadFile({ fileId: file.id, readLimit: 1n }, who)[Symbol.asyncIterator]().next();
    const failure = await failureOf(download(modest));
    expect([failure.reason, failure.metadata]).toEqual(['RATE_LIMITED', { limit: 'downloads' }]);
    await download(await headersOf('third'));
    abort.abort();
    await eventually(() => download(modest));
  });

  it.each(Object.keys(TRANSPORTS))(
    'keeps no others out with the tokens of one person, over %s',
    async (over) => {
      const client = createClient(AssetService, TRANSPORTS[over]!(service.url));
      const name = over.replaceAll(/[^a-z0-9]/gi, '');
      const bff = await issuer.token({ sub: `bff-${name}`, scope: 'asset:act-for-user asset:read' });
      const plain = await issuer.token({ sub: `plain-${name}`, scope: 'asset:read' });
      const callFor = async (service: string, claims: Record<string, unknown>) => ({
        headers: { authorization: `Bearer ${service}`, 'asset-user-token': await issuer.token(claims) },
      });
      const reasonsOf = async (options: object) =>
        new Set(
          (await failuresOf(60, () => client.getFile({ fileId: 'abcdefghijklmno' }, options))).map(
            ({ reason }) => reason,
          ),
        );
      const expired = await callFor(bff, { sub: 'ann', exp: 1 });
      const own = await callFor(bff, { sub: `bff-${name}` });
      const mayNot = await callFor(plain, { sub: 'ann' });
      expect(await reasonsOf(expired)).toEqual(new Set(['CREDENTIALS_INVALID', 'RATE_LIMITED']));
      expect(await reasonsOf(own)).toEqual(new Set(['CREDENTIALS_INVALID', 'RATE_LIMITED']));
      expect(await reasonsOf(mayNot)).toEqual(new Set(['END_USER_NOT_ALLOWED', 'RATE_LIMITED']));
      const good = [await callFor(bff, { sub: 'ann' }), await callFor(bff, { sub: 'bob' })];
      for (const options of [
        ...good,
        ...[bff, plain].map((token) => ({ headers: { authorization: `Bearer ${token}` } })),
      ]) {
        await expect(client.listFiles({}, options)).resolves.toBeDefined();
      }
      // Another person with a bad token gets that error, not the first person's limit.
      expect(
        await failureOf(client.listFiles({}, await callFor(bff, { sub: 'carl', exp: 1 }))),
      ).toMatchObject({
        reason: 'CREDENTIALS_INVALID',
      });
    },
  );

  it('evades no limit with invented end users, and keeps its valid ones', async () => {
    const client = clientOf(service.url);
    const bff = await issuer.token({ sub: 'inventive', scope: 'asset:act-for-user' });
    const callFor = async (claims: Record<string, unknown>) => ({
      headers: { authorization: `Bearer ${bff}`, 'asset-user-token': await issuer.token(claims) },
    });
    let made = 0;
    const reasons = new Set<string>();
    for (let round = 0; round < 20 && !reasons.has('RATE_LIMITED'); round++) {
      const call = async () => client.listFiles({}, await callFor({ sub: `made-up-${made++}`, exp: 1 }));
      for (const { reason } of await failuresOf(200, call)) reasons.add(reason);
    }
    expect([...reasons].sort()).toEqual(['CREDENTIALS_INVALID', 'RATE_LIMITED']);
    await client.listFiles({}, await callFor({ sub: 'ann' }));
  });

  it('that sends unreadable messages is refused for a while, and other users of its BFF are not', async () => {
    const bff = await issuer.token({ sub: 'reader', scope: 'asset:act-for-user' });
    const headersFor = async (sub: string) => ({
      authorization: `Bearer ${bff}`,
      'asset-user-token': await issuer.token({ sub }),
    });
    const ann = await headersFor('ann');
    const flood = () =>
      Promise.all(
        ['application/json', 'application/proto', 'application/grpc-web+proto'].flatMap((type) =>
          Array.from({ length: 60 }, async () => {
            const answer = await fetch(`${service.url}/asset.v1.AssetService/GetFile`, {
              ...{ method: 'POST', body: new Uint8Array([255, 255, 255]) },
              headers: { ...ann, 'content-type': type },
            });
            return answer.status;
          }),
        ),
      );
    const statuses = new Set<number>();
    const client = clientOf(service.url);
    // On a busy machine the limit may have recovered before the next call.
    await eventually(async () => {
      for (const status of await flood()) statuses.add(status);
      const failure = await failureOf(client.listFiles({}, { headers: ann }));
      expect(failure).toMatchObject({ reason: 'RATE_LIMITED', metadata: { limit: 'refusals' } });
    });
    expect([...statuses]).toContain(400);
    await client.listFiles({}, { headers: await headersFor('bob') });
    await client.listFiles({}, { headers: { authorization: `Bearer ${bff}` } });
  });

  it('that repeatedly shows no identity is refused for a while', async () => {
    const client = clientOf(service.url);
    const reasons = new Set<string>();
    for (let i = 0; i < 5; i++) {
      for (const { reason } of await failuresOf(40, () => client.listFiles({}))) reasons.add(reason);
    }
    expect([...reasons].sort()).toEqual(['CREDENTIALS_MISSING', 'RATE_LIMITED']);
    expect(await healthOf(service.url)).toBe('SERVING');
    await eventually(() => client.listFiles({}, modest));
  });
});
