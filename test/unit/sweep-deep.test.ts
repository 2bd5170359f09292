import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdir, rename, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sql/sqlite.ts';
import { blobKey, pieceKey } from '../../src/files/bytes.ts';
import { deepSweep, type DeepSweepOptions } from '../../src/files/sweep/deep.ts';
import { FilesystemBlobStore } from '../../src/storage/filesystem/filesystem-store.ts';
import { SignedUrls } from '../../src/storage/signed-url.ts';
import { createFile, newId, reserve } from '../conformance/file-catalog/subject.ts';
import { makeDir, removeDir } from '../support/process.ts';

const OPEN = new AbortController().signal;
const LATER = new Date(Date.now() + 3_600_000);

describe('a deep sweep', () => {
  let dir: string;
  let store: FilesystemBlobStore;
  let catalog: FileCatalog;
  let found: string[];
  let removed: string[];
  let done: string[];

  beforeEach(async () => {
    dir = await makeDir('deep');
    store = new FilesystemBlobStore(join(dir, 'store'), new SignedUrls('http://x', Buffer.alloc(32)));
    catalog = openSqliteCatalog({ path: join(dir, 'catalog.db') });
    await catalog.migrate();
    [found, removed, done] = [[], [], []];
  });

  afterEach(async () => {
    await catalog.close();
    await removeDir(dir);
  });

  const pathOf = (key: string) => join(dir, 'store', 'blobs', `${key}~`);

  function run(options: Partial<DeepSweepOptions> = {}, on: FileCatalog = catalog) {
    const log = pino({ level: 'silent' });
    return deepSweep(
      { store, catalog: on, log },
      {
        ...{ dryRun: false, graceMs: 300, ratePerSecond: 10_000, deletionsPerSecond: 10_000, holder: 'me' },
        onFound: ({ key }) => found.push(key),
        onRemoved: ({ key }) => removed.push(key),
        onDone: (key) => done.push(key),
        ...options,
      },
      OPEN,
    );
  }

  /** A blob that was written an hour ago. */
  async function put(key: string, ageMs = 3_600_000): Promise<string> {
    await store.put(key, { sizeBytes: 3, chunks: [Buffer.from('abc')] }, { contentType: 'text/plain' });
    const time = new Date(Date.now() - ageMs);
    await utimes(pathOf(key), time, time);
    return key;
  }

  async function putFile(on: FileCatalog = catalog, fileId = newId()): Promise<string> {
    const { id } = await createFile(on, { id: fileId });
    return put(blobKey(id));
  }

  /** An unfinished multipart blob that was begun an hour ago. */
  async function begin(id: string): Promise<string> {
    const properties = { contentType: 'text/plain', partSizeBytes: 10 };
    const multipartId = await store.startMultipart(blobKey(id), properties);
    const time = new Date(Date.now() - 3_600_000);
    await utimes(join(dir, 'store', 'unfinished', multipartId), time, time);
    return blobKey(id);
  }

  const isThere = async (key: string) => (await store.stat(key)) !== undefined;
  const unfinished = async () =>
    (await store.listMultiparts({ prefix: '', limit: 1_000 })).map(({ key }) => key);

  it('removes what the catalog does not know, and nothing else', async () => {
    const files = [await putFile(), await putFile()];
    const [reserved, session, closed] = [newId(), newId(), newId()];
    await reserve(catalog, [reserved]);
    await catalog.uploads.open({ id: session, state: 1, expireTime: LATER });
    const { id } = await reserve(catalog, [closed]);
    await catalog.uploads.release(id, [closed]);
    const kept = [
      ...files,
      // Of uploads that go on, of what the ordinary sweep is about to do, of others, and of this moment.
      ...[await put(blobKey(reserved)), await put(blobKey(session)), await put(pieceKey(session, 1))],
      await put(blobKey(closed)),
      ...[await put('assets/legacy.png'), await put('assets/ab/other'), await put(`assets/zz/${newId()}`)],
      ...[await put(`uploads/ab/${newId()}/x`), await put('legacy/ab/abcdefghijklmno')],
      await put(blobKey(newId()), -60_000),
    ];
    const keptParts = [await begin(session), await begin(reserved)];
    const orphans = [await put(blobKey(newId())), await put(blobKey(newId()))].sort();
    const pieces = [await put(pieceKey(newId(), 3))];
    const parts = [await begin(newId())];

    const dry = await run({ dryRun: true });
    expect(dry).toMatchObject({ found: 4, removed: 0, failures: [] });
    expect(found).toEqual([...orphans, ...pieces, ...parts]);
    for (const key of [...kept, ...orphans, ...pieces]) expect(await isThere(key)).toBe(true);

    expect(await run()).toMatchObject({ found: 4, removed: 4, failures: [] });
    expect(removed.toSorted()).toEqual([...orphans, ...pieces, ...parts].sort());
    for (const key of [...orphans, ...pieces]) expect(await isThere(key)).toBe(false);
    for (const key of kept) expect([key, await isThere(key)]).toEqual([key, true]);
    expect(await unfinished()).toEqual(keptParts.toSorted());
  });

  it('leaves what the catalog knows when it is asked for the second time', async () => {
    await putFile();
    const late = newId();
    const key = await put(blobKey(late));
    const gone = await put(blobKey(newId()));
    const onFound = () => void reserve(catalog, [late]);
    expect(await run({ onFound })).toMatchObject({ found: 2, removed: 1 });
    expect([await isThere(key), await isThere(gone)]).toEqual([true, false]);
  });

  it('does not remove before the grace time is over, or while another process sweeps', async () => {
    await putFile();
    const key = await put(blobKey(newId()));
    await catalog.acquireLease('sweep', 'other', LATER);
    const started = Date.now();
    const running = run({ graceMs: 400 });
    await new Promise((resolve) => setTimeout(resolve, 800));
    expect(await isThere(key)).toBe(true);
    await catalog.releaseLease('sweep', 'other');
    expect(await running).toMatchObject({ removed: 1 });
    expect(Date.now() - started).toBeGreaterThan(800);
  });

  it('goes on behind a key, and tells how far it is', async () => {
    const orphans: string[] = [];
    for (const letter of ['a', 'b', 'c']) orphans.push(await put(blobKey(letter.repeat(15))));
    const last = await putFile(catalog, 'd'.repeat(15));
    await run({ dryRun: true });
    expect(done).toEqual([last]);
    expect(await run({ after: orphans[0]! })).toMatchObject({ listed: 3, removed: 2 });
    expect(await Promise.all(orphans.map(isThere))).toEqual([true, false, false]);
    // Of the blobs behind that of the only file the catalog knows none.
    await put(blobKey('e'.repeat(15)));
    await expect(run({ after: last })).rejects.toMatchObject({ reason: 'NOT_PROVEN' });
    expect(await isThere(blobKey('e'.repeat(15)))).toBe(true);
  });

  it('refuses a catalog without files, one of another store, and one that knows none of the blobs', async () => {
    const keys = [await put(blobKey(newId())), await put(blobKey(newId()))];
    const refused = { reason: 'NOT_PROVEN' };
    await expect(run()).rejects.toMatchObject(refused);
    // Files, but their bytes are elsewhere.
    for (let i = 0; i < 3; i++) await createFile(catalog);
    await expect(run()).rejects.toMatchObject(refused);
    expect(found).toEqual([]);
    // Deleted records alone, which older than the service have no bytes here.
    await putFile();
    await expect(run()).rejects.toMatchObject(refused);
    for (const key of keys) expect(await isThere(key)).toBe(true);
  });

  it('passes over what cannot be removed', async () => {
    const file = await putFile();
    const [bad, good] = [newId(), newId()].sort() as [string, string];
    await put(blobKey(bad));
    await put(blobKey(good));
    const replaced: Promise<unknown>[] = [];
    const onFound = ({ id, key }: { id: string; key: string }) => {
      // Between the two looks a directory takes its place.
      if (id === bad) replaced.push(rm(pathOf(key)).then(() => mkdir(pathOf(key))));
    };
    const report = await run({ onFound });
    await Promise.all(replaced);
    expect(report).toMatchObject({ found: 2, removed: 1, failures: [{ id: bad }] });
    expect([await isThere(file), await isThere(blobKey(good))]).toEqual([true, false]);
  });

  it('removes nothing when the catalog or the store fails', async () => {
    const file = await putFile();
    const orphan = await put(blobKey(newId()));
    const path = join(dir, 'catalog.db');
    const failing = openSqliteCatalog({ path });
    // Asked for the second time it fails.
    const onFound = () => void failing.close();
    await expect(run({ onFound }, failing)).rejects.toBeDefined();
    await rename(join(dir, 'store'), join(dir, 'away'));
    await expect(run()).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE' });
    await rename(join(dir, 'away'), join(dir, 'store'));
    expect([await isThere(file), await isThere(orphan)]).toEqual([true, true]);
  });
});
