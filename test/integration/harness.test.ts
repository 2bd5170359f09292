import { afterAll, describe, expect, it } from '@jest/globals';
import { HeadBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { query, startPostgres } from '../support/postgres.ts';
import { startPocketBase } from '../support/pocketbase.ts';
import type { Server } from '../support/process.ts';
import { startSeaweedFS } from '../support/seaweedfs.ts';
import { createBucket, createDatabase, sharedVersityGW, type TestBucket } from '../support/shared-servers.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

const servers: Server[] = [];

async function own<T extends Server>(starting: Promise<T>): Promise<T> {
  const server = await starting;
  servers.push(server);
  return server;
}

async function expectBucket(bucket: TestBucket): Promise<void> {
  const client = new S3Client({ ...bucket, credentials: bucket, forcePathStyle: true });
  await client.send(new HeadBucketCommand({ Bucket: bucket.bucket }));
  client.destroy();
}

describe('the servers of a test run', () => {
  afterAll(async () => {
    await Promise.all(servers.map((server) => server.dispose()));
  });

  it('has a SeaweedFS and makes buckets on it', async () => {
    await expectBucket(await createBucket());
  });

  const versitygw = sharedVersityGW();
  if ('missing' in versitygw) it.skip(`VersityGW: ${versitygw.missing}`, () => undefined);
  else {
    it('has a VersityGW and makes buckets on it', async () => {
      await expectBucket(await createBucket(versitygw));
    });
  }

  it('has a PostgreSQL and makes databases on it', async () => {
    await query(await createDatabase(), 'create table answers (answer integer)');
  });

  it('starts a PocketBase that keeps its data and port when it is killed', async () => {
    const pocketbase = await own(startPocketBase());
    const signIn = () =>
      fetch(`${pocketbase.url}/api/collections/_superusers/auth-with-password`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ identity: pocketbase.email, password: pocketbase.password }),
      });
    expect((await signIn()).status).toBe(200);
    await pocketbase.kill();
    await expect(signIn()).rejects.toBeDefined();
    await pocketbase.start();
    expect((await signIn()).status).toBe(200);
  });

  it('restarts a SeaweedFS of its own', async () => {
    const seaweedfs = await own(startSeaweedFS());
    const bucket = await createBucket(seaweedfs);
    await seaweedfs.kill();
    await expect(expectBucket(bucket)).rejects.toBeDefined();
    await seaweedfs.start();
    await expectBucket(bucket);
  });

  it('restarts a PostgreSQL of its own and removes its data in the end', async () => {
    const postgres = await own(startPostgres());
    const database = await createDatabase(postgres.url);
    await postgres.kill();
    await expect(query(database, 'select 1')).rejects.toBeDefined();
    await postgres.start();
    await query(database, 'select 1');
    await postgres.dispose();
    expect(postgres.pid).toBeUndefined();
    expect(() => postgres.log()).toThrow();
  });

  it('cuts, stalls, delays and restores a connection', async () => {
    const seaweedfs = await own(startSeaweedFS());
    const proxy = await startTcpProxy(seaweedfs.endpoint);
    const ask = (ms = 5_000) =>
      fetch(`http://${proxy.address}/healthz`, { signal: AbortSignal.timeout(ms) }).then(
        (response) => response.ok,
      );
    expect(await ask()).toBe(true);

    await proxy.cut();
    await expect(ask()).rejects.toBeDefined();
    await proxy.restore();
    expect(await ask()).toBe(true);

    proxy.stall();
    await expect(ask(500)).rejects.toMatchObject({ name: 'TimeoutError' });
    await proxy.restore();
    expect(await ask()).toBe(true);

    proxy.delay(200);
    const before = performance.now();
    expect(await ask()).toBe(true);
    expect(performance.now() - before).toBeGreaterThan(390);
    await proxy.close();
  });
});
