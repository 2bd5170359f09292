import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { startService, type Service } from '../support/service.ts';
import { clientOf, download, randomContent, upload, type AssetClient } from './support/calls.ts';
import { failureOf } from './support/failures.ts';
import { EMBEDDED, POCKETBASE, type Setup } from './support/setups.ts';

/** The rules of request ids are in test/use-cases; these need replicas, or a process that starts again. */
describe.each([EMBEDDED, POCKETBASE])('repeated uploads on $name', (kind) => {
  let setup: Setup;
  let services: Service[] = [];
  let clients: AssetClient[];

  beforeAll(async () => {
    setup = await kind.open();
    services = [await startService(setup.env)];
    if (kind.shared) services.push(await startService(setup.env));
    clients = services.map(({ url }) => clientOf(url));
  });

  afterAll(async () => {
    await Promise.all(services.map((service) => service.dispose()));
    await setup?.dispose();
  });

  /** The client of a replica. */
  const replica = (index: number) => clients[index % clients.length]!;

  it('give the file of the first one after a restart', async () => {
    const content = randomContent(10);
    const requestId = randomUUID();
    const file = await upload(replica(0), content, { requestId });
    await services[0]!.restart();
    expect((await upload(clientOf(services[0]!.url), content, { requestId })).id).toBe(file.id);
  });

  if (!kind.shared) return;

  it('give the file of the first one, whichever replica answers', async () => {
    const content = randomContent(100_000);
    const requestId = randomUUID();
    const file = await upload(replica(0), content, { requestId, file: { name: 'first' } });
    const blobs = (await setup.blobs()).length;
    for (const withSize of [true, false]) {
      for (const client of clients) {
        const again = await upload(client, content, { requestId, withSize, file: { name: 'other' } });
        expect(again).toEqual(file);
      }
    }
    expect((await setup.blobs()).length).toBe(blobs);
  });

  it('make one file of ten at once', async () => {
    const content = randomContent(300_000);
    const requestId = randomUUID();
    const owner = randomUUID();
    const before = (await setup.blobs()).length;
    const files = await Promise.all(
      Array.from({ length: 10 }, (_, i) => upload(replica(i), content, { requestId, file: { owner } })),
    );
    expect(new Set(files.map(({ id }) => id)).size).toBe(1);
    expect((await replica(1).listFiles({ filter: { owner }, showDeleted: true })).files).toHaveLength(1);
    expect((await setup.blobs()).length).toBe(before + 1);
    expect((await download(replica(1), files[0]!.id)).content.equals(content)).toBe(true);
  });

  it('are refused with other content, also ten at once', async () => {
    const requestId = randomUUID();
    const owner = randomUUID();
    const before = (await setup.blobs()).length;
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, (_, i) =>
        upload(replica(i), randomContent(1000 + i), { requestId, file: { owner } }),
      ),
    );
    const won = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    expect(won).toHaveLength(1);
    for (const result of results) {
      if (result.status === 'fulfilled') continue;
      expect(await failureOf(Promise.reject(result.reason as Error))).toMatchObject({
        ...{ code: 'ALREADY_EXISTS', reason: 'REQUEST_ID_REUSED', metadata: { file_id: won[0]!.id } },
      });
    }
    const late = failureOf(upload(replica(1), randomContent(1000), { requestId }));
    expect(await late).toMatchObject({ code: 'ALREADY_EXISTS', reason: 'REQUEST_ID_REUSED' });
    expect((await replica(0).listFiles({ filter: { owner }, showDeleted: true })).files).toHaveLength(1);
    expect((await setup.blobs()).length).toBe(before + 1);
  });
});
