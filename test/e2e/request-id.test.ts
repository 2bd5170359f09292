import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { startService, type Service } from '../support/service.ts';
import { clientOf, download, randomContent, send, spec, upload, type AssetClient } from './support/calls.ts';
import { failureOf } from './support/failures.ts';
import { EMBEDDED, POCKETBASE, type Setup } from './support/setups.ts';

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

  /** The client of a replica; of the only one if there are no more. */
  const replica = (index: number) => clients[index % clients.length]!;

  it('gives the file of the first upload to every later one, whichever replica answers', async () => {
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

  it('does so after a restart', async () => {
    const content = randomContent(10);
    const requestId = randomUUID();
    const file = await upload(replica(0), content, { requestId });
    await services[0]!.restart();
    expect((await upload(clientOf(services[0]!.url), content, { requestId })).id).toBe(file.id);
  });

  it('makes one file of ten uploads at once', async () => {
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

  it('refuses other content under the same id, also of ten at once', async () => {
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

  it('verifies the checksums of a repeated upload as well', async () => {
    const content = randomContent(10);
    const requestId = randomUUID();
    await upload(replica(0), content, { requestId });
    const messages = [
      { ...spec({}, { requestId }), data: { content }, checksums: { crc32c: 1 }, finishWrite: true },
    ];
    expect(await failureOf(send(replica(1), messages))).toMatchObject({ reason: 'CHECKSUM_MISMATCH' });
  });

  it('makes a new file of every upload without an id', async () => {
    const content = randomContent(10);
    const files = [await upload(replica(0), content), await upload(replica(0), content)];
    expect(files[0]!.id).not.toBe(files[1]!.id);
  });

  it('answers a repeat with the file that was deleted meanwhile', async () => {
    const content = randomContent(10);
    const requestId = randomUUID();
    const file = await upload(replica(0), content, { requestId });
    await replica(0).deleteFile({ fileId: file.id });
    const again = await upload(replica(1), content, { requestId });
    expect(again.id).toBe(file.id);
    expect(again.deleteTime).toBeDefined();
  });

  it.each(['with space', 'a\nb', 'ü', 'x'.repeat(129)])('refuses the id %j', async (requestId) => {
    const failure = await failureOf(upload(replica(0), randomContent(1), { requestId }));
    expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' });
    expect(failure.fields).toEqual(['upload_spec.request_id']);
  });
});
