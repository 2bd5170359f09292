import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from '@connectrpc/connect';
import { AssetService, Disposition } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { File } from '@asset-service/contract/asset/v1/file_pb.js';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { eventually } from '../support/eventually.ts';
import { startService, type Service } from '../support/service.ts';
import {
  clientOf,
  download,
  randomContent,
  TRANSPORTS,
  upload,
  urlOf,
  type AssetClient,
} from './support/calls.ts';
import { failureOf } from './support/failures.ts';
import { EMBEDDED, POCKETBASE, type Setup } from './support/setups.ts';

const MiB = 2 ** 20;

/**
 * One pass through everything that can be done with a file that is there, over the wire. The rules are tested in
 * test/use-cases, the drivers in test/conformance.
 */
describe.each([EMBEDDED, POCKETBASE])('files on $name', (kind) => {
  let setup: Setup;
  let service: Service;
  let client: AssetClient;
  const content = randomContent(2 * MiB + 17);
  let file: File;

  beforeAll(async () => {
    setup = await kind.open();
    service = await startService(setup.env);
    client = clientOf(service.url);
    file = await upload(client, content, { file: { name: 'data.bin' } });
  });

  afterAll(async () => {
    await service?.dispose();
    await setup?.dispose();
  });

  const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer());

  it('have URLs that serve the whole, a range, and nothing new', async () => {
    const downloadName = 'Grüße 🍏.txt';
    const url = await urlOf(client, file.id, { downloadName, disposition: Disposition.INLINE });
    expect(new URL(url).origin).toBe(setup.bucket?.endpoint ?? service.url);
    const got = await fetch(url);
    expect([got.status, got.headers.get('content-type')]).toEqual([200, 'application/octet-stream']);
    expect(got.headers.get('content-disposition')).toMatch(
      /^attachment; .*Gr%C3%BC%C3%9Fe%20%F0%9F%8D%8F\.txt/,
    );
    expect(got.headers.get('cache-control')).toMatch(/max-age=\d+/);
    expect((await bytesOf(got)).equals(content)).toBe(true);
    const part = await fetch(url, { headers: { range: 'bytes=10-1000009' } });
    expect(part.status).toBe(206);
    expect((await bytesOf(part)).equals(content.subarray(10, 1_000_010))).toBe(true);
    const again = await fetch(url, { headers: { 'if-none-match': got.headers.get('etag')! } });
    expect([again.status, (await bytesOf(again)).length]).toEqual([304, 0]);
    const { results } = await client.batchGetFileUrls({
      requests: [file.id, 'missing00000000'].map((value) => ({ source: { case: 'fileId' as const, value } })),
    });
    expect(results.map(({ result }) => result.case)).toEqual(['response', 'error']);
  });

  it('are closed to everybody without a URL', async () => {
    const url = new URL(await urlOf(client, file.id));
    const { endpoint, bucket } = setup.bucket ?? {};
    const bare = `${url.origin}${url.pathname}`;
    const closed: [string, RequestInit?][] = setup.bucket
      ? [
          [bare],
          [bare, { method: 'PUT', body: 'x' }],
          [`${endpoint}/${bucket}?list-type=2`],
          [`${endpoint}/${bucket}`],
        ]
      : [[bare.slice(0, -4)]];
    for (const [one, init] of closed) {
      const answer = await fetch(one, init);
      await answer.body?.cancel();
      expect([one, answer.status]).toEqual([one, 403]);
    }
  });

  // The transports differ in the listener; one is enough for each further store.
  it.each(kind === EMBEDDED ? Object.keys(TRANSPORTS) : ['gRPC'])('are streamed over %s', async (name) => {
    const through = createClient(AssetService, TRANSPORTS[name]!(service.url));
    const whole = await download(through, file.id);
    expect([whole.content.equals(content), whole.files]).toEqual([true, [file]]);
    const range = { readOffset: BigInt(MiB - 1), readLimit: BigInt(MiB + 1) };
    expect((await download(through, file.id, range)).content.equals(content.subarray(MiB - 1, 2 * MiB))).toBe(
      true,
    );
    const past = download(through, file.id, { readOffset: file.sizeBytes + 1n });
    expect(await failureOf(past)).toMatchObject({ code: 'OUT_OF_RANGE', reason: 'READ_OFFSET_OUT_OF_RANGE' });
  });

  it('are listed, changed, deleted and restored', async () => {
    const owner = randomUUID();
    const relations = { project: { ids: [setup.projects[0]!] } };
    const attributes = { title: 'Äpfel', width: 640, extra: { a: [1, null, 'x'] } };
    const made: File[] = [];
    for (const more of [{ relations, attributes }, { relations }, {}]) {
      made.push(await upload(client, randomContent(10), { file: { owner, ...more } }));
    }
    const ids = made.map(({ id }) => id);
    const list = async (filter: object, more: object = {}) => {
      const { files, nextPageToken } = await client.listFiles({ filter: { owner, ...filter }, ...more });
      return { files: files.map(({ id }) => id), nextPageToken };
    };
    expect((await list({})).files.sort()).toEqual(ids.toSorted());
    const relation = { name: 'project', id: setup.projects[0]! };
    expect((await list({ relation })).files.sort()).toEqual(ids.slice(0, 2).sort());
    const first = await list({}, { pageSize: 2 });
    const rest = await list({}, { pageSize: 2, pageToken: first.nextPageToken });
    expect([...first.files, ...rest.files].sort()).toEqual(ids.toSorted());
    expect(rest.nextPageToken).toBe('');

    const { id, etag } = made[0]!;
    const changed = await client.updateMetadata({
      file: { id, etag, name: 'Ö.png', relations: { project: { ids: setup.projects.slice(0, 2) } } },
      updateMask: { paths: ['name', 'relations.project', 'attributes.width'] },
    });
    expect(changed.file).toMatchObject({ id, name: 'Ö.png', attributes: { title: 'Äpfel' } });
    expect(changed.file!.attributes).not.toHaveProperty('width', 640);
    expect(changed.file!.relations['project']!.ids).toEqual(setup.projects.slice(0, 2));
    expect((await client.getFile({ fileId: id })).file).toEqual(changed.file);
    const late = client.updateMetadata({ file: { id, etag, name: 'late' } });
    expect(await failureOf(late)).toMatchObject({ code: 'ABORTED', reason: 'ETAG_MISMATCH' });

    const deleted = (await client.deleteFile({ fileId: id })).file!;
    expect(deleted.purgeTime).toBeDefined();
    expect((await list({})).files.sort()).toEqual(ids.slice(1).sort());
    expect((await list({}, { showDeleted: true })).files.sort()).toEqual(ids.toSorted());
    expect((await client.batchGetFiles({ fileIds: [id, 'missing00000000'] })).files).toEqual([deleted]);
    for (const call of [download(client, id), urlOf(client, id)])
      expect(await failureOf(call)).toMatchObject({ code: 'NOT_FOUND', reason: 'FILE_DELETED' });
    const restored = (await client.undeleteFile({ fileId: id, etag: deleted.etag })).file!;
    expect(restored).toMatchObject({ id, name: 'Ö.png', attributes: { title: 'Äpfel' } });
    expect((await download(client, id)).content).toHaveLength(10);
  });

  it('take little memory while callers do not read on', async () => {
    const large = await upload(client, new Uint8Array(64 * MiB), { withSize: true, chunkBytes: MiB });
    const before = await settledBytes(service.pid!);
    const aborts: AbortController[] = [];
    for (let i = 0; i < 8; i++) {
      const abort = new AbortController();
      aborts.push(abort);
      // Each on its own connection: eight times the file would be half a gigabyte.
      const stream = clientOf(service.url).downloadFile({ fileId: large.id }, { signal: abort.signal });
      await stream[Symbol.asyncIterator]().next();
    }
    expect((await settledBytes(service.pid!)) - before).toBeLessThan(128 * MiB);
    expect((await client.getFile({ fileId: file.id })).file).toEqual(file);
    aborts.forEach((abort) => abort.abort());
  });
});

/** Resident memory of a process in bytes, once it no longer grows. */
function settledBytes(pid: number): Promise<number> {
  let last = 0;
  let calm = 0;
  return eventually(() => {
    const [, kibibytes] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    const now = Number(kibibytes) * 1024;
    calm = now <= last ? calm + 1 : 0;
    last = Math.max(last, now);
    if (calm < 10) throw new Error('the memory still grows');
    return now;
  });
}
