import { HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { buffer } from 'node:stream/consumers';
import type { FileRecord } from '../../src/catalog/file-catalog.ts';
import { blobKey } from '../../src/files/bytes.ts';
import { sweep } from '../../src/files/sweep/sweep.ts';
import { KnownFailures } from '../../src/files/sweep/run.ts';
import type { StoreMove } from '../../src/move/store/progress.ts';
import { retireStore } from '../../src/move/store/retire.ts';
import { startStoreMove } from '../../src/move/store/start.ts';
import { storeMoveStatus } from '../../src/move/store/status.ts';
import { cancelStore, completeStore, reverseStore, switchStore } from '../../src/move/store/switch.ts';
import { Transport } from '../../src/move/store/transport.ts';
import { verifyStoreMove } from '../../src/move/store/verify.ts';
import { showPresence } from '../../src/move/replicas/presence.ts';
import type { BlobStore } from '../../src/storage/blob-store.ts';
import { openLog } from '../../src/telemetry/log.ts';
import { newId } from '../conformance/file-catalog/subject.ts';
import { addFile, putBytes } from '../support/backups.ts';
import { makeDir } from '../support/process.ts';
import { idsOf, killedAt, Moves, never, options, thereIn } from './support/stores.ts';

const PAST = new Date(Date.now() - 60_000);
const unpaced = () => Promise.resolve();

describe('a store move', () => {
  let moves: Moves;

  beforeAll(async () => {
    moves = new Moves(await makeDir('store-move'));
  });

  afterAll(() => moves.close());

  it('goes from one bucket to another with all headers, within the server, and deletes what is proven', async () => {
    const move = await moves.open('s3', 's3');
    const { catalog, own, next } = move;
    const files = [
      await addFile({ catalog, store: own.store }, 'first'),
      await addFile({ catalog, store: own.store }, ''),
    ];
    const headers = {
      ...{ contentEncoding: 'gzip', contentLanguage: 'de', contentDisposition: 'attachment' },
      ...{ cacheControl: 'no-store', metadata: { 'original-filename': 'a.txt' } },
    };
    const old = await addFile({ catalog, store: own.store }, 'old');
    await own.store.delete(blobKey(old.id));
    const body = { sizeBytes: 3, chunks: [Buffer.from('old')] };
    await own.store.put(blobKey(old.id), body, { contentType: 'text/html', headers });

    expect(await startStoreMove(move, options(), never)).toMatchObject({
      copied: 3,
      refused: [],
      isCopied: true,
    });
    const ids = idsOf([...files, old]);
    expect(await thereIn(next.store, ids)).toEqual(ids);
    expect(await next.reader!.stat(blobKey(old.id))).toMatchObject({ contentType: 'text/html', headers });
    expect(await verifyStoreMove(move, options(), never)).toMatchObject({ checked: 3, damaged: [] });
    await switchStore(move, options(), never);
    expect(await switchStore(move, options(), never)).toMatchObject({ isNew: false });
    await expect(retireStore(move, { ...options(), maxPercent: 10 }, never)).rejects.toThrow('not complete');
    await completeStore(move, options(), never);
    expect(await completeStore(move, options(), never)).toMatchObject({ isNew: false });
    await expect(reverseStore(move, options(), never)).rejects.toThrow('complete');
    await expect(cancelStore(move, options(), never)).rejects.toThrow('complete');

    // A foreign blob and objects of others stay.
    const foreign = newId();
    await putBytes(own.store, foreign, Buffer.from('x'));
    const client = new S3Client({ ...move.s3[0]!, endpoint: move.s3[0]!.endpoint! });
    const other = { Bucket: move.s3[0]!.bucket, Key: 'Others/file.txt' };
    await client.send(new PutObjectCommand({ ...other, Body: 'x' }));
    await expect(retireStore(move, { ...options(), maxPercent: 10 }, never)).rejects.toThrow(
      '--max-retire 25',
    );
    expect(await thereIn(own.store, ids)).toEqual(ids);
    const retired = await retireStore(move, { ...options(), maxPercent: 25 }, never);
    expect(retired).toMatchObject({ deleted: 3, unknown: 1, unproven: [] });
    expect(await thereIn(own.store, [...ids, foreign])).toEqual([foreign]);
    await client.send(new HeadObjectCommand(other));
    client.destroy();
    expect(await retireStore(move, { ...options(), maxPercent: 0 }, never)).toMatchObject({ deleted: 3 });
  });

  it('finds and mends damage, and refuses to switch or delete while there is any', async () => {
    const move = await moves.open('directory', 's3');
    const { catalog, own, next } = move;
    const [whole, changed, missing, short] = await Promise.all(
      [1, 2, 3, 4].map((one) => addFile({ catalog, store: own.store }, `content ${one}`)),
    );
    await startStoreMove(move, options(), never);
    const damage = async () => {
      await putBytes(next.store, changed!.id, Buffer.from('CONTENT 2'));
      await next.store.delete(blobKey(missing!.id));
      await putBytes(next.store, short!.id, Buffer.from('c'));
    };
    await damage();
    const found = await verifyStoreMove(move, options(), never);
    const expected = [
      { id: changed!.id, reason: 'sha256' },
      { id: missing!.id, reason: 'missing' },
      { id: short!.id, reason: 'size' },
    ];
    expect(found.damaged.toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual(
      expected.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    );
    expect((await storeMoveStatus(catalog)).nextSteps[0]).toContain('start');
    await expect(switchStore(move, options(), never)).rejects.toThrow('3 damaged');
    await startStoreMove(move, options(), never);
    // What was mended has to be read again.
    await expect(switchStore(move, options(), never)).rejects.toThrow('not verified');
    expect(await verifyStoreMove(move, options(), never)).toMatchObject({ checked: 4, damaged: [] });
    await switchStore(move, options(), never);
    await completeStore(move, options(), never);

    await putBytes(next.store, changed!.id, Buffer.from('CONTENT 2'));
    const kept = await retireStore(move, { ...options(), maxPercent: 0 }, never);
    expect(kept).toMatchObject({ deleted: 3, unproven: [{ id: changed!.id, reason: 'sha256' }] });
    expect(await thereIn(own.store, idsOf([whole!, changed!, missing!, short!]))).toEqual([changed!.id]);
    expect((await storeMoveStatus(catalog)).state).toBe('completed');
    await verifyStoreMove(move, options(), never);
    await startStoreMove(move, options(), never);
    expect(await retireStore(move, { ...options(), maxPercent: 0 }, never)).toMatchObject({ unproven: [] });
    expect(await thereIn(own.store, [changed!.id])).toEqual([]);
    const content = await buffer(await next.store.read(blobKey(changed!.id)));
    expect(content.toString()).toBe('content 2');
  });

  it('does not copy bytes that are not those of the record, and says which', async () => {
    const move = await moves.open('directory', 's3');
    const { catalog, own, next } = move;
    const bad = await addFile({ catalog, store: own.store }, 'right');
    await putBytes(own.store, bad.id, Buffer.from('wrong'));
    const gone = await addFile({ catalog, store: own.store }, 'gone');
    await own.store.delete(blobKey(gone.id));
    const { refused } = await startStoreMove(move, options(), never);
    expect(new Map(refused.map(({ id, reason }) => [id, reason]))).toEqual(
      new Map([
        [bad.id, 'sha256'],
        [gone.id, 'missing'],
      ]),
    );
    expect(await thereIn(next.store, [bad.id, gone.id])).toEqual([]);
    await expect(switchStore(move, options(), never)).rejects.toThrow(bad.id);
    await putBytes(own.store, bad.id, Buffer.from('right'));
    await putBytes(own.store, gone.id, Buffer.from('gone'));
    expect(await startStoreMove(move, options(), never)).toMatchObject({ refused: [] });
  });

  it('never brings back a file that is purged while it is copied', async () => {
    const move = await moves.open('directory', 'directory');
    const { catalog, own, next } = move;
    const store = own.store;
    const keep = await addFile({ catalog, store }, 'keep');
    const file = await addFile({ catalog, store }, 'purged meanwhile');
    const purge = async ({ id }: FileRecord) => {
      const { revision } = (await catalog.get([id])).get(id)!;
      await catalog.update(id, revision, { deleteTime: PAST, purgeTime: PAST });
      await sweep({ store, catalog, log: openLog('silent') }, never, unpaced, new KnownFailures());
    };
    // The record and the old bytes go after the copy has read them, and before the copy is visible.
    const held: BlobStore = new Proxy(next.store, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        const method = value.bind(target) as (...args: unknown[]) => unknown;
        if (name !== 'put') return method;
        return async (...args: Parameters<BlobStore['put']>) => {
          const chunks: Uint8Array[] = [];
          for await (const chunk of args[1].chunks) chunks.push(chunk);
          if (args[0] === blobKey(file.id)) await purge(file);
          return target.put(args[0], { ...args[1], chunks }, args[2], args[3]);
        };
      },
    });
    const transport = new Transport(move, [], 0);
    const direction = { from: own, to: { ...next, store: held } };
    await transport.copy([keep, file], [direction], { isDoubted: false }, never);
    expect(await thereIn(next.store, [keep.id, file.id])).toEqual([keep.id]);
    await startStoreMove(move, options(), never);

    // A copy that a killed run left goes by the change log.
    const later = await addFile({ catalog, store }, 'purged later');
    await putBytes(next.store, later.id, Buffer.from('purged later'));
    await purge(later);
    await startStoreMove(move, options(), never);
    expect(await thereIn(next.store, [keep.id, later.id])).toEqual([keep.id]);
    expect(await verifyStoreMove(move, options(), never)).toMatchObject({ checked: 1, damaged: [] });
  });

  it('goes on after a kill at every point, and leaves all files in both stores', async () => {
    const move = await moves.open('directory', 's3');
    const { catalog, own, next } = move;
    const both = { catalog, store: own.store };
    const files = [await addFile(both, 'a'), await addFile(both, Buffer.alloc(6 * 2 ** 20, 7))];
    const expectAll = async (store: BlobStore) => {
      for (const { id, sizeBytes } of files) expect(await store.stat(blobKey(id))).toEqual({ sizeBytes });
    };
    await killedAt('store-move.copied', (signal) => startStoreMove(move, options(), signal));
    expect((await storeMoveStatus(catalog)).state).toBe('stopped');
    await startStoreMove(move, options(), never);
    files.push(await addFile(both, 'b'));
    await killedAt('store-move.followed', (signal) => startStoreMove(move, options(), signal));
    await startStoreMove(move, options(), never);
    await expectAll(next.store);
    await verifyStoreMove(move, options(), never);
    await killedAt('store-move.proven', (signal) => switchStore(move, options(), signal));
    expect((await storeMoveStatus(catalog)).row).toMatchObject({ active: 'source' });
    await killedAt('store-move.switched', (signal) => switchStore(move, options(), signal));
    expect(await switchStore(move, options(), never)).toMatchObject({
      isNew: false,
      row: { active: 'target' },
    });
    files.push(await addFile({ catalog, store: next.store }, 'c'));
    await killedAt('store-move.proven', (signal) => reverseStore(move, options(), signal));
    await killedAt('store-move.switched', (signal) => reverseStore(move, options(), signal));
    expect(await reverseStore(move, options(), never)).toMatchObject({
      isNew: false,
      row: { active: 'source' },
    });
    await expectAll(own.store);
    files.push(await addFile(both, 'd'));
    await switchStore(move, options(), never);
    await killedAt('store-move.proven', (signal) => completeStore(move, options(), signal));
    await completeStore(move, options(), never);
    await expectAll(next.store);
    await killedAt('store-move.retired-one', (signal) =>
      retireStore(move, { ...options(), maxPercent: 0 }, signal),
    );
    await retireStore(move, { ...options(), maxPercent: 0 }, never);
    expect(await thereIn(own.store, idsOf(files))).toEqual([]);
    await expectAll(next.store);
  });

  it('waits for replicas that do not follow it, and refuses another store', async () => {
    const move = await moves.open('directory', 'directory');
    const { catalog, own } = move;
    await expect(verifyStoreMove(move, options(), never)).rejects.toThrow('store move start');
    await addFile({ catalog, store: own.store }, 'a');
    await startStoreMove(move, options(), never);
    await verifyStoreMove(move, options(), never);
    const presence = { id: newId(), epoch: 0, state: 'unaware', expireTime: Date.now() + 60_000 } as const;
    await showPresence(catalog, 'store', presence);
    await expect(switchStore(move, options(), never)).rejects.toThrow('without ASSET_NEXT_*');
    await showPresence(catalog, 'store', { ...presence, state: 'ready' });
    await expect(switchStore(move, options(), never)).rejects.toThrow('epoch 0, not at 1');
    await showPresence(catalog, 'store', { ...presence, state: 'ready', epoch: 1 });
    const { next } = await moves.open('directory', 'directory');
    await expect(switchStore({ ...move, next }, options(), never)).rejects.toThrow('ASSET_NEXT_STORE');
    await expect(startStoreMove({ ...move, next }, options(), never)).rejects.toThrow('ASSET_NEXT_STORE');
    await expect(reverseStore(move, options(), never)).rejects.toThrow('not switched');
    await cancelStore(move, options(), never);
    await expect(switchStore(move, options(), never)).rejects.toThrow('start');
    expect(await startStoreMove({ ...move, next }, options(), never)).toMatchObject({ copied: 1 });
  });

  it('goes from an S3 to a directory, and back by a move in the other direction', async () => {
    const move = await moves.open('s3', 'directory');
    const { catalog, own, next } = move;
    const file = await addFile({ catalog, store: own.store }, Buffer.alloc(11 * 2 ** 20, 3));
    await startStoreMove(move, options(), never);
    await verifyStoreMove(move, options(), never);
    await switchStore(move, options(), never);
    await completeStore(move, options(), never);
    const there = await addFile({ catalog, store: next.store }, 'made after');
    const back: StoreMove = { ...move, own: next, next: own };
    expect(await startStoreMove(back, options(), never)).toMatchObject({ copied: 1, refused: [] });
    expect(await verifyStoreMove(back, options(), never)).toMatchObject({ checked: 2, damaged: [] });
    await switchStore(back, options(), never);
    await completeStore(back, options(), never);
    await retireStore(back, { ...options(), maxPercent: 0 }, never);
    expect(await thereIn(next.store, idsOf([file, there]))).toEqual([]);
    expect((await thereIn(own.store, idsOf([file, there]))).length).toBe(2);
  });
});
