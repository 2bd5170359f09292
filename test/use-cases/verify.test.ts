import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from '@asset-service/contract/grpc/health/v1/health_pb.js';
import { writeFile } from 'node:fs/promises';
import { upload } from '../e2e/support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { openHouse, type House } from './support/house.ts';

describe('a service with ASSET_VERIFY_EVERY', () => {
  let house: House;
  const statusOf = async (service: string) => {
    const health = createClient(Health, createGrpcTransport({ baseUrl: house.url }));
    return (await health.check({ service })).status;
  };

  beforeAll(async () => {
    house = await openHouse({ env: { ASSET_VERIFY_EVERY: '0.5', ASSET_HEALTH_INTERVAL: '0.1' } });
  });
  afterAll(() => house?.close());

  it('tells damage in its log and in the health of "verify" alone', async () => {
    const file = await upload(house.client, Buffer.from('the bytes'));
    await eventually(() =>
      expect(house.lines).toContainEqual(
        expect.objectContaining({ msg: 'a verification of all files ended', checked: 1, damaged: 0 }),
      ),
    );
    expect(await statusOf('verify')).toBe(Status.SERVING);
    const [path] = await house.blobPaths();
    await writeFile(path!, 'THE BYTES');
    await eventually(async () => expect(await statusOf('verify')).toBe(Status.NOT_SERVING));
    expect(await statusOf('')).toBe(Status.SERVING);
    expect(house.lines).toContainEqual(expect.objectContaining({ file_id: file.id, reason: 'sha256' }));
    const [down] = house.lines.filter(({ dependency, level }) => dependency === 'verify' && level === 50);
    expect(down?.['cause']).toMatch(
      /^verification: the bytes of 1 files do not match .*; the last full pass ended at /,
    );
  });
});
