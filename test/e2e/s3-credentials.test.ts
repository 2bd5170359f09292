import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { eventually } from '../support/eventually.ts';
import { S3_KEYS } from '../support/seaweedfs.ts';
import { startService, type Service } from '../support/service.ts';
import { clientOf, download, randomContent, upload, urlOf, type AssetClient } from './support/calls.ts';
import { failureOf } from './support/failures.ts';
import { POSTGRES, type Setup } from './support/setups.ts';

const MiB = 2 ** 20;

/** The SDK asks for new keys when the old ones have five minutes left: these have one second more. */
const LIFE_MS = 301_000;

const PATIENCE_MS = 20_000;

type Keys = typeof S3_KEYS;

describe('keys of the store that rotate', () => {
  let setup: Setup;
  let issuer: Server;
  let keys: Keys = S3_KEYS;
  let asked = 0;
  let service: Service;
  let client: AssetClient;

  beforeAll(async () => {
    setup = await POSTGRES.open();
    // What a container of ECS or a pod of EKS gets its keys from.
    issuer = createServer((_, response) => {
      asked++;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify({
          AccessKeyId: keys.accessKeyId,
          SecretAccessKey: keys.secretAccessKey,
          Token: '',
          Expiration: new Date(Date.now() + LIFE_MS).toISOString(),
        }),
      );
    });
    await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve));
    service = await startService({
      ...setup.env,
      ...{ AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' },
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/keys`,
    });
    client = clientOf(service.url);
  });

  afterAll(async () => {
    await service?.dispose();
    issuer?.close();
    await setup?.dispose();
  });

  const keyIn = (url: string) => new URL(url).searchParams.get('X-Amz-Credential')?.split('/')[0];

  it('are taken up by everything that is signed, without a restart', async () => {
    const content = randomContent(9 * MiB);
    const file = await upload(client, content);
    expect(keyIn(await urlOf(client, file.id))).toBe(S3_KEYS.accessKeyId);

    keys = { accessKeyId: 'asset-unknown', secretAccessKey: 'asset-unknown-secret' };
    await eventually(
      async () => expect(keyIn(await urlOf(client, file.id))).toBe(keys.accessKeyId),
      PATIENCE_MS,
    );
    // Small and large files, and reading, are signed by different code. The store knows no such keys.
    for (const call of [
      () => upload(client, randomContent(100)),
      () => upload(client, content, { withSize: true }),
      () => download(client, file.id),
    ]) {
      const failure = await failureOf(call());
      expect(failure).toMatchObject({ code: 'UNAVAILABLE', reason: 'STORE_UNAVAILABLE' });
      expect(failure.message).not.toContain('asset-unknown');
    }

    keys = S3_KEYS;
    await eventually(() => upload(client, randomContent(100)), PATIENCE_MS);
    expect((await download(client, file.id)).content.equals(content)).toBe(true);
    const url = await urlOf(client, file.id);
    expect(keyIn(url)).toBe(S3_KEYS.accessKeyId);
    expect((await fetch(url)).status).toBe(200);
    // A day was asked for, but the keys end before.
    const { expireTime } = await client.getFileUrl({
      source: { case: 'fileId', value: file.id },
      ttl: { seconds: 86_400n },
    });
    const left = timestampDate(expireTime!).getTime() - Date.now();
    expect(left).toBeGreaterThan(LIFE_MS - 60_000);
    expect(left).toBeLessThanOrEqual(LIFE_MS);
    expect(asked).toBeGreaterThan(2);
    expect(service.log()).not.toMatch(/asset-unknown-secret|asset-test-secret/);
  });
});
