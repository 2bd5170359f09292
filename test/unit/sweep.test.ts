import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { mkdir, readdir, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sql/sqlite.ts';
import { blobKey, pieceKey } from '../../src/files/bytes.ts';
import type { Pace } from '../../src/system/rate.ts';
import { sweep, previewSweep } from '../../src/files/sweep/sweep.ts';
import { whilePurging } from '../../src/files/sweep/purge-hold.ts';
import { KnownFailures } from '../../src/files/sweep/run.ts';
import { Sweeper } from '../../src/files/sweep/sweeper.ts';
import { FilesystemBlobStore } from '../../src/storage/filesystem/filesystem-store.ts';
import { SignedUrls } from '../../src/storage/signed-url.ts';
import { createFile, newId } from '../conformance/file-catalog/subject.ts';
import { eventually } from '../support/eventually.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { sessionState } from '../support/session-state.ts';

const OPEN = new AbortController().signal;
const AT_ONCE: Pace = () => Promise.resolve();

describe('a sweep', () => {
  let dir: string;
  let store: FilesystemBlobStore;
  let catalog: FileCatalog;
  let lines: Record<string, unknown>[];
  let known: KnownFailures;

  beforeEach(async () => {
    dir = await makeDir('sweep');
    store = new FilesystemBlobStore(join(dir, 'store'), new SignedUrls('http://x', Buffer.alloc(32)));
    catalog = openSqliteCatalog({ path: join(dir, 'catalog.db') });
    await catalog.migrate();
    lines = [];
    known = new KnownFailures();
  });

  afterEach(async () => {
    await catalog.close();
    await removeDir(dir);
  });

  function run(pace = AT_ONCE) {
    const write = (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>);
    const context = { store, catalog, log: pino({ level: 'info' }, { write }) };
    return sweep(context, OPEN, pace, known);
  }

  const warnings = () => lines.filter(({ level }) => Number(level) >= 40);

  async function put(key: string): Promise<void> {
    const body = { sizeBytes: 3, chunks: [Buffer.from('abc')] };
    await store.put(key, body, { contentType: 'text/plain' });
  }

  const pathOf = (key: string) => join(dir, 'store', 'blobs', `${key}~`);

  /** Something that the file system does not delete as a file, whoever asks: a directory in its place. */
  async function makeUndeletable(key: string): Promise<void> {
    await rm(pathOf(key), { force: true });
    await mkdir(pathOf(key), { recursive: true });
  }

  /** A file with a blob that is deleted and due to be purged since `age` milliseconds. */
  async function dueFile(age: number): Promise<string> {
    const { id, revision } = await createFile(catalog);
    await put(blobKey(id));
    const time = new Date(Date.now() - age);
    await catalog.update(id, revision, { deleteTime: time, purgeTime: time });
    return id;
  }

  const isStored = async (id: string) => (await store.stat(blobKey(id))) !== undefined;

  const closed = () => catalog.uploads.listPast(new Date(), 1_000);

  it('purges although a sweeper was killed while it purged', async () => {
    await dueFile(1_000);
    // What a killed one leaves: a lease that nobody releases.
    const ended = new AbortController();
    const killed = whilePurging(catalog, ended.signal, (held) => once(held, 'abort'));
    await eventually(async () => {
      expect(await catalog.acquireLease('purge', 'another', new Date(Date.now() + 1_000))).toBe(false);
    });
    expect((await run()).purged).toBe(1);
    ended.abort();
    await killed;
  });

  it('purges what stands behind more than a batch of files whose blobs cannot be deleted', async () => {
    const stuck: string[] = [];
    for (let i = 0; i < 120; i++) stuck.push(await dueFile(10_000 - i));
    for (const id of stuck) await makeUndeletable(blobKey(id));
    const good = [await dueFile(20_000), await dueFile(500), await dueFile(0)];
    const report = await run();
    expect(report).toMatchObject({ purged: 123, cleaned: 3, reservations: 3 });
    expect(report.failed).toEqual({ file: 0, reservation: 0, id: 120, upload: 0 });
    expect(report.failures).toHaveLength(100);
    expect(report.failures[0]).toMatchObject({
      kind: 'id',
      id: stuck[0],
      error: { reason: 'STORE_UNAVAILABLE' },
    });
    for (const id of good) expect(await isStored(id)).toBe(false);
    // Nothing is forgotten: the next sweep tries again, and says nothing new.
    expect((await closed()).map(({ id }) => id).sort()).toEqual(stuck.toSorted());
    expect(warnings()).toHaveLength(120);
    expect((await run()).failed.id).toBe(120);
    expect(warnings()).toHaveLength(120);
    for (const id of stuck) await rm(pathOf(blobKey(id)), { recursive: true });
    expect(await run()).toMatchObject({ cleaned: 120, reservations: 120, failures: [] });
    expect(await closed()).toEqual([]);
  });

  it('cleans the other ids of a reservation, and keeps only the one that fails', async () => {
    const ids = Array.from({ length: 64 }, newId);
    const [bad] = ids.splice(20, 1);
    await catalog.uploads.reserve([...ids.slice(0, 20), bad!, ...ids.slice(20)], new Date(1_000));
    await catalog.uploads.reserve([newId()], new Date(2_000));
    for (const id of ids) await put(blobKey(id));
    await makeUndeletable(blobKey(bad!));
    const report = await run();
    expect(report).toMatchObject({ cleaned: 64, reservations: 1, failed: { id: 1, reservation: 0 } });
    for (const id of ids) expect(await isStored(id)).toBe(false);
    expect((await closed()).map(({ fileIds }) => fileIds)).toEqual([[bad]]);
    expect(await run()).toMatchObject({ cleaned: 0, reservations: 0, failed: { id: 1 } });
  });

  it('cleans uploads behind more than a batch that fail, and all of an upload but what fails', async () => {
    const stuck: string[] = [];
    for (let i = 0; i < 101; i++) {
      const id = newId();
      stuck.push(id);
      await catalog.uploads.open({ id, state: sessionState(1, 2), expireTime: new Date(1_000 + i) });
      await makeUndeletable(pieceKey(id, 1));
      await put(pieceKey(id, 2));
    }
    const last = newId();
    await catalog.uploads.open({ id: last, state: sessionState(), expireTime: new Date(5_000) });
    await put(blobKey(last));
    const report = await run();
    expect(report).toMatchObject({ uploads: 1, failed: { upload: 101 } });
    expect(await isStored(last)).toBe(false);
    for (const id of stuck) expect(await store.stat(pieceKey(id, 2))).toBeUndefined();
    const left = await catalog.uploads.listPast(new Date(), 1_000);
    expect(left.map(({ id }) => id).sort()).toEqual(stuck.toSorted());
  });

  it('passes over entries of the catalog that cannot be read', async () => {
    const [broken, good] = [newId(), newId()];
    await catalog.uploads.open({ id: broken, state: sessionState(), expireTime: new Date(1_000) });
    await catalog.uploads.open({ id: good, state: sessionState(), expireTime: new Date(2_000) });
    const { id: reservation } = await catalog.uploads.reserve([newId()], new Date(1_000));
    await catalog.uploads.reserve([newId()], new Date(2_000));
    const [file, other] = [await dueFile(2_000), await dueFile(1_000)];
    const database = new DatabaseSync(join(dir, 'catalog.db'));
    database.exec(`update uploads set state = '{' where id = '${broken}'`);
    database.exec(`update reservations set file_ids = 'x' where id = '${reservation}'`);
    database.exec(`update files set attributes = '{' where id = '${file}'`);
    database.close();
    const report = await run();
    expect(report.failures.map(({ kind, id }) => [kind, id])).toEqual([
      ['file', file],
      ['reservation', reservation],
    ]);
    expect(report).toMatchObject({ purged: 1, uploads: 2, reservations: 2 });
    expect(await isStored(other)).toBe(false);
  });

  it('removes an upload whose state is damaged, with all that it stored, and says so', async () => {
    const newer = newId();
    const damaged = [newId(), newId()];
    const expireTime = new Date(1_000);
    for (const id of [newer, ...damaged]) {
      await catalog.uploads.open({ id, state: sessionState(), expireTime });
      await store.startMultipart(blobKey(id), { contentType: 'text/plain', partSizeBytes: 10 });
      for (const revision of [1, 2, 30]) await put(pieceKey(id, revision));
    }
    const database = new DatabaseSync(join(dir, 'catalog.db'));
    database.exec(`update uploads set state = '{' where id = '${damaged[0]}'`);
    database.exec(`update uploads set state = '{"direct":7}' where id = '${damaged[1]}'`);
    // This release cannot know what a later one stored.
    database.exec(`update uploads set state = '{"version":99}' where id = '${newer}'`);
    database.close();
    const report = await run();
    expect(report).toMatchObject({ uploads: 2, failed: { upload: 1 }, failures: [{ id: newer }] });
    expect((await closed()).map(({ id }) => id)).toEqual([newer]);
    const kept = await store.listBlobs({ prefix: 'uploads/', limit: 100 });
    expect(new Set(kept.map(({ key }) => key.split('/')[2]))).toEqual(new Set([newer]));
    const unfinished = await store.listMultiparts({ prefix: '', limit: 100 });
    expect(unfinished.map(({ key }) => key)).toEqual([blobKey(newer)]);
    const told = warnings().filter(({ msg }) => String(msg).startsWith('removing an upload'));
    expect(told.map(({ upload_id }) => upload_id).sort()).toEqual(damaged.toSorted());
    expect((await run()).uploads).toBe(0);
  });

  it('stops soon when the store is down, and is finished by the next', async () => {
    const ids = Array.from({ length: 500 }, newId);
    await catalog.uploads.reserve(ids, new Date(1_000));
    await put(blobKey(ids[499]!));
    await rename(join(dir, 'store'), join(dir, 'away'));
    await expect(run()).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE' });
    expect(warnings().length).toBeLessThan(10);
    await rename(join(dir, 'away'), join(dir, 'store'));
    expect(await run()).toMatchObject({ cleaned: 500, reservations: 1, failures: [] });
    expect(await isStored(ids[499]!)).toBe(false);
  });

  it('tells a failure again when its cause is another', async () => {
    const id = newId();
    await catalog.uploads.reserve([id], new Date(1_000));
    await makeUndeletable(blobKey(id));
    await run();
    await run();
    expect(warnings()).toHaveLength(1);
    expect(warnings()[0]).toMatchObject({ kind: 'id', id });
    await rm(pathOf(blobKey(id)), { recursive: true });
    const folder = dirname(pathOf(blobKey(id)));
    await rm(folder, { recursive: true, force: true });
    // A symbolic link in the way of the folder.
    await symlink(dir, folder);
    expect((await run()).failed.id).toBe(1);
    expect(warnings()).toHaveLength(2);
    await rm(folder);
    expect((await run()).failures).toEqual([]);
  });

  it('purges a file that becomes due while the leftovers of many uploads are removed', async () => {
    const steps = 130;
    await catalog.uploads.reserve(Array.from({ length: steps }, newId), new Date(1_000));
    let file: string | undefined;
    let step = 0;
    let goneAt = 0;
    const pace = async () => {
      step++;
      if (step === 2) file = await dueFile(0);
      if (file !== undefined && goneAt === 0 && !(await isStored(file))) goneAt = step;
      await sleep(15);
    };
    expect(await run(pace)).toMatchObject({ purged: 1, cleaned: steps + 1, reservations: 2 });
    expect(goneAt).toBeGreaterThan(2);
    expect(goneAt).toBeLessThan(steps - 20);
    expect(await readdir(join(dir, 'store', 'unfinished'))).toEqual([]);
  });

  it('removes the bytes of a purged file with its record, before the leftovers that were there first', async () => {
    await catalog.uploads.reserve([newId(), newId()], new Date(1_000));
    const file = await dueFile(0);
    const stored: boolean[] = [];
    await run(async () => void stored.push(await isStored(file)));
    // One step for the file, then one for each leftover.
    expect(stored).toEqual([true, false, false]);
  });

  it('removes changes from the change log when their retention has ended', async () => {
    const files = [await createFile(catalog), await createFile(catalog), await createFile(catalog)];
    const database = new DatabaseSync(join(dir, 'catalog.db'));
    database.exec('update file_changes set time = time - 120000 where seq <= 2');
    database.close();
    const changesRetentionMs = 60_000;
    expect(await previewSweep({ catalog }, { changesRetentionMs })).toMatchObject({ trimmed: 2 });
    const context = { store, catalog, log: pino({ level: 'silent' }) };
    const options = { intervalMs: 0, deletionsPerSecond: 1_000, changesRetentionMs };
    const sweeper = new Sweeper(context, options);
    expect(await sweeper.sweepNow()).toMatchObject({ trimmed: 2, failures: [] });
    expect(await sweeper.sweepNow()).toMatchObject({ trimmed: 0 });
    await sweeper.close();
    const { changes } = await catalog.changes.read(await catalog.changes.position('earliest'), 10);
    expect(changes.map(({ fileId }) => fileId)).toEqual([files[2]!.id]);
  });
});
