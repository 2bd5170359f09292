import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import { blobKey, derivedKey, pieceKey } from '../../src/files/bytes.ts';
import { KnownFailures } from '../../src/files/sweep/run.ts';
import { sweep } from '../../src/files/sweep/sweep.ts';
import { MovingStore } from '../../src/move/store/moving-store.ts';
import type { StoreMove } from '../../src/move/store/progress.ts';
import { retireStore } from '../../src/move/store/retire.ts';
import { RowView } from '../../src/move/store/row-view.ts';
import { startStoreMove } from '../../src/move/store/start.ts';
import { storeMoveStatus } from '../../src/move/store/status.ts';
import { completeStore, switchStore } from '../../src/move/store/switch.ts';
import { verifyStoreMove } from '../../src/move/store/verify.ts';
import type { BlobStore } from '../../src/storage/blob-store.ts';
import { newId } from '../conformance/file-catalog/subject.ts';
import { addFile } from '../support/backups.ts';
import { eventually } from '../support/eventually.ts';
import { makeDir } from '../support/process.ts';
import { sessionState } from '../support/session-state.ts';
import { idsOf, Moves, never, options, thereIn } from './support/stores.ts';

const ANY = { maxPercent: 0 };
const AFTER_URLS = { ...ANY, afterUrls: true };
const PAST = new Date(Date.now() - 60_000);
const TEXT = { contentType: 'text/plain' };

function putText(store: BlobStore, key: string): Promise<unknown> {
  return store.put(key, { sizeBytes: 1, chunks: [Buffer.from('x')] }, TEXT);
}

async function keysIn(store: BlobStore): Promise<string[]> {
  const found: string[] = [];
  for (const prefix of ['assets/', 'uploads/', 'variants/'])
    for (const { key } of await store.listBlobs({ prefix, limit: 1_000 })) found.push(key);
  const unfinished = await store.listMultiparts({ prefix: 'assets/', limit: 1_000 });
  return [...found, ...unfinished.map(({ key }) => `unfinished ${key}`)];
}

describe('the end of a store move', () => {
  let moves: Moves;

  beforeAll(async () => {
    moves = new Moves(await makeDir('store-move-retire'));
  });

  afterAll(() => moves.close());

  /** A move that is complete. */
  async function complete(move: StoreMove, urlSeconds: number): Promise<void> {
    await startStoreMove(move, options({ urlSeconds }), never);
    await verifyStoreMove(move, options(), never);
    await switchStore(move, options({ urlSeconds }), never);
    await completeStore(move, options(), never);
  }

  it('deletes nothing while URLs may be in use, if that is asked for, and says until when', async () => {
    const move = await moves.open('s3', 'directory');
    const { catalog, own, next } = move;
    const file = await addFile({ catalog, store: own.store }, 'first');
    const before = Date.now();
    await complete(move, 3_600);
    // A policy that permits less now does not shorten URLs from before.
    const refused = retireStore(move, { ...options({ urlSeconds: 1 }), ...AFTER_URLS }, never);
    const { message } = (await refused.catch((error: unknown) => error)) as Error;
    expect(message).toContain('--after-urls');
    const until = Date.parse(/\d{4}-[\d-]+T[\d:.]+Z/.exec(message)![0]);
    expect(until - 3_600_000).toBeGreaterThan(before - 10_000);
    expect((await storeMoveStatus(catalog)).urlsEnd).toEqual(new Date(until));
    expect(await thereIn(own.store, [file.id])).toEqual([file.id]);

    // A file that only the old store had until now has such URLs too.
    const late = await addFile({ catalog, store: own.store }, 'late');
    await expect(retireStore(move, { ...options(), ...AFTER_URLS }, never)).rejects.toThrow('--after-urls');
    expect(await thereIn(next.store, [late.id])).toEqual([late.id]);
    expect((await storeMoveStatus(catalog)).urlsEnd!.getTime()).toBeGreaterThan(until);
    expect(await retireStore(move, { ...options(), ...ANY }, never)).toMatchObject({
      deleted: 2,
    });
    expect((await storeMoveStatus(catalog)).urlsEnd).toBeUndefined();
  });

  it('waits no longer than URLs last, and not at all for those of a directory', async () => {
    const short = await moves.open('s3', 'directory');
    await addFile({ catalog: short.catalog, store: short.own.store });
    await complete(short, 1);
    await eventually(async () =>
      expect(await retireStore(short, { ...options(), ...AFTER_URLS }, never)).toMatchObject({ deleted: 1 }),
    );
    const directory = await moves.open('directory', 's3');
    await addFile({ catalog: directory.catalog, store: directory.own.store });
    await complete(directory, 3_600);
    expect(await retireStore(directory, { ...options(), ...AFTER_URLS }, never)).toMatchObject({
      deleted: 1,
    });
  });

  it('leaves neither variants nor parts of uploads in the old store', async () => {
    for (const [from, to] of [
      ['s3', 'directory'],
      ['directory', 's3'],
    ] as const) {
      const move = await moves.open(from, to);
      const { catalog, own, next } = move;
      const store = own.store;
      const files = [await addFile({ catalog, store }, 'a'), await addFile({ catalog, store }, 'b')];
      for (const { id } of files) await putText(store, derivedKey('thumbhash', id));
      // A cancelled upload with parts and a piece, and the parts of one that was sent in one call.
      const [cancelled, broken, swept] = [newId(), newId(), newId()];
      const state = { ...sessionState(3), direct: false };
      await catalog.uploads.open({ id: cancelled, state, expireTime: PAST });
      await catalog.uploads.takeClosed(new Date(), 10);
      const begin = { ...TEXT, partSizeBytes: 5 * 2 ** 20 };
      for (const id of [cancelled, broken, files[0]!.id]) await store.startMultipart(blobKey(id), begin);
      for (const id of [cancelled, swept]) await putText(store, pieceKey(id, 3));
      await complete(move, 0);

      const done = await retireStore(move, { ...options(), ...ANY }, never);
      expect(done).toMatchObject({ deleted: 2, unknown: 0, derived: 2, unfinished: 5 });
      expect(await keysIn(store)).toEqual([]);
      expect(await thereIn(next.store, idsOf(files))).toEqual(idsOf(files));
    }
  });

  it('leaves what another catalog or an open upload may own', async () => {
    const move = await moves.open('directory', 'directory');
    const { catalog, own } = move;
    const store = own.store;
    await addFile({ catalog, store }, 'a');
    await complete(move, 0);
    const [foreign, other] = [newId(), newId()];
    const { fileIds } = await catalog.uploads.reserve([newId()], new Date(Date.now() + 60_000));
    await putText(store, blobKey(foreign));
    await putText(store, pieceKey(foreign, 1));
    await putText(store, derivedKey('thumbhash', foreign));
    const begin = { ...TEXT, partSizeBytes: 5 * 2 ** 20 };
    for (const id of [other, fileIds[0]!]) await store.startMultipart(blobKey(id), begin);
    const done = await retireStore(move, { ...options(), maxPercent: 50 }, never);
    expect(done).toMatchObject({ deleted: 1, unknown: 1, derived: 0, unfinished: 0 });
    expect((await keysIn(store)).length).toBe(5);
  });

  it('serves no variant from the old store after the switch, and purges it in both', async () => {
    const move = await moves.open('directory', 'directory');
    const { catalog, own, next } = move;
    const file = await addFile({ catalog, store: own.store }, 'a');
    const key = derivedKey('thumbhash', file.id);
    const view = new RowView(catalog, { own: own.store, next: next.store });
    const moving = new MovingStore({ own: own.store, next: next.store }, view);
    await putText(own.store, key);
    await startStoreMove(move, options(), never);
    await view.read();
    expect(await moving.stat(key)).toEqual({ sizeBytes: 1 });
    await verifyStoreMove(move, options(), never);
    await switchStore(move, options(), never);
    await view.read();
    expect(await moving.stat(key)).toBeUndefined();
    await expect(moving.read(key)).rejects.toMatchObject({ reason: 'BLOB_MISSING' });
    expect(await moving.put(key, { sizeBytes: 1, chunks: [Buffer.from('y')] }, TEXT)).toBe('created');
    expect(await moving.stat(blobKey(file.id))).toBeDefined();

    // A replica that knows the new store alone purges the file; the next step removes the rest.
    const { revision } = (await catalog.get([file.id])).get(file.id)!;
    await catalog.update(file.id, revision, { deleteTime: PAST, purgeTime: PAST });
    const context = { store: next.store, catalog, log: pino({ level: 'silent' }) };
    await sweep(context, never, () => Promise.resolve(), new KnownFailures());
    await completeStore(move, options(), never);
    expect(await keysIn(own.store)).toEqual([]);
    expect(await keysIn(next.store)).toEqual([]);
  });

  it('keeps the headers of objects from an S3 into a directory and back', async () => {
    const move = await moves.open('s3', 'directory');
    const { catalog, own, next } = move;
    const headers = {
      ...{ contentEncoding: 'gzip', contentLanguage: 'de', contentDisposition: 'attachment' },
      ...{ cacheControl: 'no-cache', metadata: { 'original-filename': 'a b.css' } },
    };
    const [file, plain] = [
      await addFile({ catalog, store: own.store }, 'old'),
      await addFile({ catalog, store: own.store }, 'new'),
    ];
    await own.store.delete(blobKey(file.id));
    const body = { sizeBytes: 3, chunks: [Buffer.from('old')] };
    await own.store.put(blobKey(file.id), body, { ...TEXT, headers });
    const moveAll = async (one: typeof move) => {
      expect(await startStoreMove(one, options(), never)).toMatchObject({ refused: [] });
      expect(await verifyStoreMove(one, options(), never)).toMatchObject({ damaged: [] });
      await switchStore(one, options(), never);
      await completeStore(one, options(), never);
      await retireStore(one, { ...options(), maxPercent: 0 }, never);
      expect(await one.next.store.headersOf(blobKey(file.id))).toEqual(headers);
      expect(await one.next.store.headersOf(blobKey(plain.id))).toEqual({});
      expect(await thereIn(one.own.store, [file.id, plain.id])).toEqual([]);
    };
    await moveAll(move);
    expect(await next.store.listBlobs({ prefix: 'assets/', limit: 10 })).toHaveLength(2);
    await moveAll({ ...move, own: next, next: own });
    expect(await next.store.headersOf(blobKey(file.id))).toEqual({});
  });
});
