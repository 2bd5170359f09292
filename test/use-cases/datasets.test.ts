import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { UploadTransport } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { File } from '@asset-service/contract/asset/v1/file_pb.js';
import { ANONYMOUS } from '../../src/identity/caller.ts';
import { summed } from '../../src/files/upload/checksums.ts';
import { uploadFile } from '../../src/files/upload/upload-file.ts';
import { randomContent, sha256, upload, type AssetClient, type Bytes } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { openFilesContext } from '../unit/files-context.ts';
import { openHouse, type House } from './support/house.ts';

const TYPE = 'application/vnd.asset.dataset';
const HEAD = { dataset: 'cats', version: '1' };

type Named = Pick<File, 'id' | 'sizeBytes'> & {
  readonly checksums?: { readonly sha256: Uint8Array } | undefined;
};

const line = (path: string, { id, sizeBytes, checksums }: Named, more: object = {}) => ({
  ...{ path, id, sha256: Buffer.from(checksums!.sha256).toString('hex'), size: Number(sizeBytes) },
  ...more,
});

const manifestOf = (...lines: object[]): Bytes => jsonLines({ ...HEAD, files: lines.length }, ...lines);

const jsonLines = (...lines: (object | string)[]): Bytes =>
  new Uint8Array(
    Buffer.from(
      lines.map((each) => (typeof each === 'string' ? each : JSON.stringify(each)) + '\n').join(''),
    ),
  );

describe('dataset manifests', () => {
  let house: House;
  let client: AssetClient;
  let a: File;
  let b: File;

  beforeAll(async () => {
    house = await openHouse({
      identities: true,
      policies: { usages: { open: { read: ['authenticated'] }, gone: { retentionSeconds: 0 } }, default: {} },
    });
    client = house.client;
    [a, b] = [await upload(client, randomContent(100)), await upload(client, randomContent(200))];
  });

  afterAll(() => house?.close());

  const publish = (content: Bytes, by = client) =>
    upload(by, content, { file: { usage: 'dataset', contentType: TYPE } });

  it('keep the files that they name from being deleted, until they are deleted', async () => {
    const content = manifestOf(line('a', a), line('b/c', b), line('b/d', b));
    const manifest = await publish(content);
    expect(manifest.contentType).toBe(TYPE);
    const pinned = { code: 'FAILED_PRECONDITION', reason: 'FILE_PINNED' };
    expect(await failureOf(client.deleteFile({ fileId: b.id }))).toMatchObject({
      ...{ ...pinned, metadata: { file_id: b.id, manifest_id: manifest.id } },
    });
    const second = await publish(manifestOf(line('a', a)));
    await client.deleteFile({ fileId: manifest.id });
    expect(await failureOf(client.deleteFile({ fileId: a.id }))).toMatchObject(pinned);
    await client.deleteFile({ fileId: b.id });
    // It would name a file that is gone.
    expect(await failureOf(client.undeleteFile({ fileId: manifest.id }))).toMatchObject({
      ...{ code: 'INVALID_ARGUMENT', reason: 'DATASET_INVALID', metadata: { line: '3', file_id: b.id } },
    });
    await client.undeleteFile({ fileId: b.id });
    await client.undeleteFile({ fileId: manifest.id });
    expect(await failureOf(client.deleteFile({ fileId: b.id }))).toMatchObject(pinned);
    for (const { id } of [manifest, second]) await client.deleteFile({ fileId: id });
    await client.deleteFile({ fileId: a.id });
    await client.undeleteFile({ fileId: a.id });
  });

  const z = { id: 'x', sizeBytes: 1n, checksums: { sha256: new Uint8Array(32) } } as Named;
  it.each<[string, () => Bytes, number]>([
    ['no bytes', () => new Uint8Array(), 1],
    ['no JSON', () => jsonLines('{'), 1],
    ['no object', () => jsonLines('[]'), 1],
    ['no name', () => jsonLines({ version: '1', files: 0 }), 1],
    ['a name with a slash', () => jsonLines({ dataset: 'a/b', version: '1', files: 0 }), 1],
    ['a version named draft', () => jsonLines({ dataset: 'a', version: 'draft', files: 0 }), 1],
    ['fewer files than it says', () => jsonLines({ ...HEAD, files: 2 }, line('a', a)), 1],
    ['more files than it says', () => jsonLines({ ...HEAD, files: 0 }, line('a', a)), 1],
    ['an empty line', () => jsonLines({ ...HEAD, files: 1 }, ''), 2],
    ['a path twice', () => manifestOf(line('a', a), line('a', b)), 3],
    ['paths out of order', () => manifestOf(line('b', a), line('a', b)), 3],
    ['a file as a folder', () => manifestOf(line('a', a), line('a.b', b), line('a/b', b)), 4],
    ['a path that leaves', () => manifestOf(line('../a', a)), 2],
    ['an absolute path', () => manifestOf(line('/a', a)), 2],
    ['a control character', () => manifestOf(line('a\u0001', a)), 2],
    ['a very long line', () => manifestOf(line('a', a, { note: 'x'.repeat(20_000) })), 2],
    ['no id', () => manifestOf(line('a', a, { id: 5 })), 2],
    ['no SHA-256', () => manifestOf(line('a', a, { sha256: 'AB' })), 2],
    ['a file that does not exist', () => manifestOf(line('a', z)), 2],
    ['another SHA-256', () => manifestOf(line('a', a), line('b', a, { sha256: '00'.repeat(32) })), 3],
    ['a lineage of a text', () => jsonLines({ ...HEAD, files: 0, derived_from: 'x' }), 1],
    ['a lineage of numbers', () => jsonLines({ ...HEAD, files: 0, derived_from: [5] }), 1],
    ['a lineage of null', () => jsonLines({ ...HEAD, files: 0, derived_from: null }), 1],
    ['a lineage that is no id', () => jsonLines({ ...HEAD, files: 0, derived_from: ['a b'] }), 1],
    ['a lineage of nothing', () => jsonLines({ ...HEAD, files: 0, derived_from: [a.id, 'x'] }), 1],
    ['a description that is no text', () => jsonLines({ ...HEAD, files: 0, description: {} }), 1],
    ['another size', () => manifestOf(line('a', a, { size: 1 })), 2],
  ])('are refused with %s, and nothing is stored', async (_what, content, at) => {
    const blobs = (await house.blobs()).length;
    expect(await failureOf(publish(content()))).toMatchObject({
      ...{ code: 'INVALID_ARGUMENT', reason: 'DATASET_INVALID' },
      metadata: expect.objectContaining({ line: String(at) }) as unknown,
    });
    expect((await house.blobs()).length).toBe(blobs);
  });

  it('are checked in uploads over several calls too', async () => {
    const bad = manifestOf(line('a', z));
    const file = { usage: 'dataset', contentType: TYPE };
    const begin = async (direct: boolean, content: Bytes) => {
      const transport = direct ? UploadTransport.DIRECT : UploadTransport.UNSPECIFIED;
      const uploadSpec = { file, sizeBytes: BigInt(content.length) };
      return (await client.startUpload({ uploadSpec, transport })).uploadId;
    };
    const invalid = { reason: 'DATASET_INVALID', metadata: { line: '2', file_id: 'x' } };
    const chunked = await begin(false, bad);
    const chunk = client.uploadChunk({ uploadId: chunked, data: { content: bad }, finishWrite: true });
    expect(await failureOf(chunk)).toMatchObject(invalid);
    const direct = await begin(true, bad);
    const { parts } = await client.signUploadParts({ uploadId: direct, partNumbers: [1] });
    await fetch(parts[0]!.url, { method: 'PUT', headers: parts[0]!.headers, body: bad });
    expect(await failureOf(client.completeUpload({ uploadId: direct }))).toMatchObject(invalid);
    for (const uploadId of [chunked, direct]) {
      expect(await failureOf(client.getUpload({ uploadId }))).toMatchObject({ reason: 'UPLOAD_NOT_FOUND' });
    }
  });

  it('may name only what their uploader may read and change', async () => {
    const ann = await house.as({ sub: 'ann' });
    const [own, open] = [
      await upload(ann, randomContent(10)),
      await upload(client, randomContent(10), { file: { usage: 'open', owner: 'bob' } }),
    ];
    const mine = await publish(manifestOf(line('own', own)), ann);
    const invalid = { reason: 'DATASET_INVALID' };
    // The same for what does not exist, may not be read, and may only be read.
    const told = new Set<string>();
    for (const named of [a, open, z]) {
      const failure = await failureOf(publish(manifestOf(line('x', named)), ann));
      expect(failure).toMatchObject(invalid);
      told.add(failure.message);
    }
    expect(told.size).toBe(1);
    // What it was made from need only be readable, and may be deleted.
    const madeFrom = (id: string) => publish(jsonLines({ ...HEAD, files: 0, derived_from: [id, id] }), ann);
    const gone = await upload(ann, randomContent(10));
    await ann.deleteFile({ fileId: gone.id });
    for (const { id } of [open, gone]) {
      await ann.deleteFile({ fileId: (await madeFrom(id)).id });
    }
    const lineage = new Set<string>();
    for (const { id } of [a, z]) {
      const failure = await failureOf(madeFrom(id));
      expect(failure).toMatchObject({ ...invalid, metadata: { line: '1', file_id: id } });
      lineage.add(failure.message);
    }
    expect(lineage.size).toBe(1);
    // The service's manifest is nothing that ann may know of.
    const theirs = await publish(manifestOf(line('own', own)));
    await ann.deleteFile({ fileId: mine.id });
    const failure = await failureOf(ann.deleteFile({ fileId: own.id }));
    expect(failure).toMatchObject({ reason: 'FILE_PINNED' });
    expect(failure.metadata).toEqual({ file_id: own.id });
    await client.deleteFile({ fileId: theirs.id });
    await ann.deleteFile({ fileId: own.id });
  });

  it('are neither made nor ended by a change of the record', async () => {
    const manifest = await publish(manifestOf(line('a', a)));
    const plain = await upload(client, new TextEncoder().encode('x'), { file: { usage: 'dataset' } });
    const refused = { code: 'INVALID_ARGUMENT', reason: 'FIELD_NOT_WRITABLE' };
    for (const file of [
      { id: manifest.id, usage: 'other' },
      { id: manifest.id, contentType: 'text/plain' },
      { id: plain.id, contentType: TYPE },
    ]) {
      expect(await failureOf(client.updateMetadata({ file }))).toMatchObject(refused);
    }
    await client.updateMetadata({ file: { id: manifest.id, name: 'cats' } });
    await client.updateMetadata({ file: { id: plain.id, usage: 'other' } });
    await client.deleteFile({ fileId: manifest.id });
  });

  it('give the same file for the same request', async () => {
    const content = manifestOf(line('a', a));
    const once = () =>
      upload(client, content, { file: { usage: 'dataset', contentType: TYPE }, requestId: 'once' });
    const first = await once();
    expect((await once()).id).toBe(first.id);
    await client.deleteFile({ fileId: first.id });
  });
});

describe('a file that is deleted while its manifest is committed', () => {
  let dir: string;
  let context: Awaited<ReturnType<typeof openFilesContext>>;
  const signal = new AbortController().signal;

  beforeEach(async () => {
    dir = await makeDir('datasets');
    context = await openFilesContext(dir, 200_000);
  });

  afterEach(async () => {
    await context.close();
    await removeDir(dir);
  });

  async function store(content: Bytes, usage: string, contentType: string) {
    const description = { name: 'x', contentType, owner: '', usage, relations: {}, attributes: {} };
    async function* chunks() {
      yield summed(content);
      return { expected: {}, isComplete: true };
    }
    const wanted = { description, sizeBytes: content.length, requestId: '', content: chunks() };
    return (await uploadFile(context, ANONYMOUS, wanted, signal)).file;
  }

  it('makes the manifest invalid', async () => {
    const bytes = randomContent(10);
    const file = await store(bytes, '', '');
    const named = { id: file.id, sizeBytes: 10n, checksums: { sha256: sha256(bytes) } } as Named;
    const { create } = context.catalog;
    Object.assign(context.catalog, {
      create: async (...args: Parameters<typeof create>) => {
        const { revision } = (await context.catalog.get([file.id])).get(file.id)!;
        const now = new Date();
        await context.catalog.update(file.id, revision, { deleteTime: now, purgeTime: now });
        return create.apply(context.catalog, args);
      },
    });
    await expect(store(manifestOf(line('a', named)), 'dataset', TYPE)).rejects.toMatchObject({
      reason: 'DATASET_INVALID',
    });
    const left = await context.catalog.list({ filter: { contentType: TYPE }, showDeleted: false, limit: 10 });
    expect(left).toEqual([]);
  });
});
