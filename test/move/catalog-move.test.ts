import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import pg from 'pg';
import type { FileCatalog, FileRecord, StateItem } from '../../src/catalog/file-catalog.ts';
import { openPocketBaseCatalog } from '../../src/catalog/pocketbase/pocketbase-catalog.ts';
import { postgresView } from '../../src/catalog/pocketbase/postgres-view.ts';
import { openPostgresCatalog } from '../../src/catalog/sql/postgres.ts';
import { openSqliteCatalog } from '../../src/catalog/sql/sqlite.ts';
import { STATE_KINDS } from '../../src/catalog/transfer.ts';
import { flowOf } from '../../src/move/catalog/flow.ts';
import { cancelMove, followOn, startMove } from '../../src/move/catalog/start.ts';
import type { MoveOptions } from '../../src/move/catalog/exclusive.ts';
import { moveProgress } from '../../src/move/catalog/progress.ts';
import { completeMove } from '../../src/move/catalog/complete.ts';
import { reverseMove, switchMove } from '../../src/move/catalog/switch.ts';
import { compareAll, verifyMove } from '../../src/move/catalog/verify.ts';
import {
  createFile,
  getFile,
  newFile,
  newId,
  outcomes,
  plain,
  reserve,
} from '../conformance/file-catalog/subject.ts';
import { addTargets, adminOf } from '../conformance/file-catalog/pocketbase-admin.ts';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { createDatabase } from '../support/shared-servers.ts';

const never = new AbortController().signal;

/** The subscriptions of these tests have no cursor: they count as being in the last part of the log. */
const plainSubscription = () => ({ name: 'x', log: '3-x', at: () => '' });

function options(fields: Partial<MoveOptions> = {}): MoveOptions {
  return { holder: newId(), leaseMs: 3_000, ...fields };
}

/** All records of a catalog, by id. */
async function filesOf(catalog: FileCatalog): Promise<Record<string, object>> {
  const files = await catalog.exportFiles('', 1_000);
  return Object.fromEntries(
    files.map(({ record, requestKey }) => [record.id, { ...plain(record), requestKey }]),
  );
}

/** Everything else that a catalog stores, except leases and what belongs to the move. */
async function stateOf(catalog: FileCatalog): Promise<readonly StateItem[]> {
  const found: StateItem[] = [];
  for (const kind of STATE_KINDS.filter((one) => one !== 'lease')) {
    for (let from: string | undefined; ;) {
      const { items, next } = await catalog.exportState(kind, from, 1_000);
      found.push(...items);
      if (next === undefined) break;
      from = next;
    }
  }
  const order = ({ kind, key }: StateItem) => `${kind} ${key}`;
  return found
    .filter(({ key }) => !key.startsWith('catalog-move') && key !== 'catalogmove' && key !== 'catalog-id')
    .toSorted((a, b) => (order(a) < order(b) ? -1 : 1));
}

/** A catalog with something of everything. */
async function fill(catalog: FileCatalog, fields: Partial<FileRecord> = {}): Promise<void> {
  const later = new Date(Date.now() + 3_600_000);
  const changed = await createFile(catalog, { ...fields, name: 'first' }, newId());
  await catalog.update(changed.id, changed.revision, { name: 'second' });
  const deleted = await createFile(catalog, { sha256: undefined, crc32c: undefined });
  await catalog.update(deleted.id, deleted.revision, { deleteTime: later, purgeTime: later });
  const purged = await createFile(catalog);
  await catalog.purge(purged.id, purged.revision);
  await reserve(catalog);
  const claim = { caller: 'c', owner: 'o', usage: 'u', sizeBytes: 7 };
  const session = { id: newId(), state: { a: [1, 'x'] }, expireTime: later, requestKey: newId(), claim };
  await catalog.uploads.open(session);
  const ended = await catalog.uploads.open({ id: newId(), state: {}, expireTime: later });
  await catalog.uploads.close(ended.session.id, 1, later);
  await catalog.subscriptions.create(newId(), newId(), '{"cursor":"x"}');
  await catalog.legacy.addUses([{ caller: 'w', kind: 'api', day: '2026-11-29', count: 2 }]);
  await catalog.legacy.putState(`some-${newId()}`, { list: [1] });
}

describe('a move of a catalog', () => {
  let dir: string;
  let server: PocketBaseServer;
  let project: string;
  const opened: FileCatalog[] = [];

  beforeAll(async () => {
    dir = await makeDir('catalog-move');
    server = await startPocketBase();
    const admin = await adminOf(server);
    const projects = await addTargets(admin, 'projects');
    project = projects.ids[0]!;
    await admin.collections.create({
      name: 'files',
      type: 'base',
      fields: [
        { name: 'project', type: 'relation', collectionId: projects.collectionId, maxSelect: 1 },
        { name: 'note', type: 'text' },
        { name: 'count', type: 'number' },
        { name: 'meta', type: 'json' },
        { name: 'touched', type: 'autodate', onCreate: true, onUpdate: true },
      ],
    });
  });

  afterAll(async () => {
    await Promise.all(opened.map((catalog) => catalog.close()));
    await server?.dispose();
    await removeDir(dir);
  });

  async function open(catalog: FileCatalog): Promise<FileCatalog> {
    opened.push(catalog);
    await catalog.migrate();
    return catalog;
  }

  const sqlite = () => open(openSqliteCatalog({ path: join(dir, `${newId()}.db`) }));

  it('goes from PocketBase to PostgreSQL and back, with everything as it was', async () => {
    const pocketbase = await open(openPocketBaseCatalog({ ...server, takesImports: true }));
    const postgres = await open(openPostgresCatalog({ url: await createDatabase() }));
    const there = { source: pocketbase, target: postgres };
    await fill(pocketbase, {
      relations: { project: [project] },
      attributes: { note: 'n', meta: { a: [1, null] } },
    });
    const moved = await startMove(there, options(), never);
    expect(moved).toMatchObject({ state: 'following', refused: [], copied: 2, isCopied: true });
    expect(await filesOf(postgres)).toEqual(await filesOf(pocketbase));
    expect(await stateOf(postgres)).toEqual(await stateOf(pocketbase));

    // What happens after the copy is followed, whatever came of the records since.
    const [first, second] = Object.values(await filesOf(pocketbase)) as FileRecord[];
    const alive = first!.deleteTime ? second! : first!;
    await catalogChanges(pocketbase, alive);
    expect(await startMove(there, options(), never)).toMatchObject({ state: 'following', refused: [] });
    expect(await filesOf(postgres)).toEqual(await filesOf(pocketbase));
    expect(await stateOf(postgres)).toEqual(await stateOf(pocketbase));
    expect(await verifyMove(there, options(), never)).toMatchObject({
      state: 'done',
      damaged: [],
      checked: 3,
    });

    // The other way, over the records that were left there.
    const turn = { ...options(), maxPauseMs: 5_000 };
    expect(await switchMove(there, turn, never)).toMatchObject({ isChanged: true });
    await createFile(postgres, { attributes: { note: 'from postgres' } }, newId());
    const mine = await getFile(postgres, alive.id);
    await postgres.update(mine.id, mine.revision, {
      attributes: { note: null, count: 3 },
      relations: { project: [] },
    });
    expect(await startMove(there, options(), never)).toMatchObject({ refused: [], target: 'pocketbase' });
    expect(await filesOf(pocketbase)).toEqual(await filesOf(postgres));
    expect(await stateOf(pocketbase)).toEqual(await stateOf(postgres));
    expect(await verifyMove(there, options(), never)).toMatchObject({
      state: 'done',
      damaged: [],
      checked: 4,
    });
    expect(await reverseMove(there, turn, never)).toMatchObject({ isChanged: true });
    const { id, revision } = await getFile(postgres, alive.id);
    expect((await pocketbase.update(id, revision, { name: 'goes on' })).name).toBe('goes on');
    expect(await startMove(there, options(), never)).toMatchObject({ refused: [], target: 'postgres' });
    expect(await filesOf(postgres)).toEqual(await filesOf(pocketbase));
    expect(await switchMove(there, turn, never)).toMatchObject({ isChanged: true });
    expect(
      await completeMove(there, { ...options(), subscriptionIn: plainSubscription }, never),
    ).toMatchObject({
      isChanged: true,
    });
  });

  it('has a view in PostgreSQL with the columns and the values of the collection', async () => {
    const admin = await adminOf(server);
    const viewQuery = 'select f.id, f.name from files f';
    const source = await open(openPocketBaseCatalog({ ...server, takesImports: true }));
    await admin.collections.create({ name: 'names', type: 'view', viewQuery });
    const url = await createDatabase();
    const target = await open(openPostgresCatalog({ url }));
    const attributes = { note: "it's", count: 2.5, meta: { a: [1, null] } };
    const { id } = await createFile(source, { relations: { project: [project] }, attributes }, newId());
    const bare = await createFile(source, { sha256: undefined, crc32c: undefined });
    const time = new Date(Date.now() + 3_600_000);
    await source.update(bare.id, bare.revision, { deleteTime: time, purgeTime: time });
    // Other tests move from this PocketBase.
    expect((await target.importFiles(await source.exportFiles('', 200))).size).toBe(0);
    const sql = await postgresView(server, { view: 'product', tables: 'public' });
    expect(sql).toContain(`--   ${viewQuery}`);
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      await client.query(sql);
      await client.query(sql);
      for (const one of [id, bare.id]) {
        const { rows } = await client.query('select * from product.files where id = $1', [one]);
        const row = rows[0] as Record<string, unknown>;
        const wanted = await admin.collection('files').getOne<Record<string, unknown>>(one);
        for (const name of ['count', 'size_bytes']) row[name] = Number(row[name]);
        expect(Object.keys(row).length).toBeGreaterThan(15);
        const names = Object.keys(row);
        expect(row).toEqual(Object.fromEntries(names.map((name) => [name, wanted[name]])));
      }
      await client.query(`set search_path = product; create view names as ${viewQuery}`);
    } finally {
      await client.end();
    }
  });

  it('goes from SQLite to PostgreSQL, and back', async () => {
    const [source, target] = [
      await sqlite(),
      await open(openPostgresCatalog({ url: await createDatabase() })),
    ];
    const [catalogs, turn] = [
      { source, target },
      { ...options(), maxPauseMs: 5_000 },
    ];
    await fill(source);
    await startMove(catalogs, options(), never);
    expect(await verifyMove(catalogs, options(), never)).toMatchObject({ damaged: [] });
    expect(await switchMove(catalogs, turn, never)).toMatchObject({ isChanged: true });
    await fill(target);
    expect(await reverseMove(catalogs, turn, never)).toMatchObject({ isChanged: true });
    expect(await filesOf(source)).toEqual(await filesOf(target));
    expect(await stateOf(source)).toEqual(await stateOf(target));
  });

  /** A new file, an update, a purge, an end of a session. */
  async function catalogChanges(catalog: FileCatalog, file: FileRecord): Promise<void> {
    await createFile(catalog, { name: 'new' }, newId());
    await catalog.update(file.id, file.revision, { name: 'changed after the copy' });
    const purged = await createFile(catalog);
    await catalog.purge(purged.id, purged.revision);
    const [session] = (await catalog.exportState('upload', undefined, 10)).items.filter(
      ({ value }) => !value.closed,
    );
    await catalog.create(newFile({ id: session!.key }), { upload: { revision: session!.value.revision } });
    const created = await getFile(catalog, session!.key);
    await catalog.purge(created.id, created.revision);
  }

  it('goes on after every end of a run, and loses no change', async () => {
    const [source, target] = [await sqlite(), await sqlite()];
    const files: FileRecord[] = [];
    for (let i = 0; i < 250; i++) files.push(await createFile(source));
    // Ends after the first page, then after the second, then while it follows.
    for (const states of [1, 2]) {
      const ended = new AbortController();
      let kept = 0;
      const onProgress = () => {
        if (++kept > states) ended.abort(new Error('killed'));
      };
      await expect(startMove({ source, target }, options({ onProgress }), ended.signal)).rejects.toThrow(
        'killed',
      );
      expect((await moveProgress(source))?.state).toBe('stopped');
      const file = files[states]!;
      await source.update(file.id, file.revision, { name: `changed ${states}` });
      const gone = files[states + 10]!;
      await source.purge(gone.id, gone.revision);
      await createFile(source, { id: `${'0'.repeat(14)}${states}` });
    }
    await startMove({ source, target }, options(), never);
    expect(await filesOf(target)).toEqual(await filesOf(source));
    expect(await verifyMove({ source, target }, options(), never)).toMatchObject({
      damaged: [],
      checked: 250,
    });
  });

  it('finds what differs, mends what it may, and reports what is foreign', async () => {
    const [source, target] = [await sqlite(), await sqlite()];
    const catalogs = { source, target };
    await expect(verifyMove(catalogs, options(), never)).rejects.toThrow('catalog move start');
    const files = [await createFile(source), await createFile(source), await createFile(source)];
    await startMove(catalogs, options(), never);
    const foreign = await createFile(target);
    await target.update(files[0]!.id, files[0]!.revision, { owner: 'another', attributes: { a: 1 } });
    await target.dropFile(files[1]!.id);
    const found = await verifyMove(catalogs, options(), never);
    expect(found.damaged.toSorted((a, b) => (a.reason < b.reason ? -1 : 1))).toEqual([
      { id: files[0]!.id, reason: 'attributes.a, owner, revision, updateTime' },
      { id: foreign.id, reason: 'foreign' },
      { id: files[1]!.id, reason: 'missing' },
    ]);
    await startMove(catalogs, options(), never);
    const again = await verifyMove(catalogs, options(), never);
    expect(again.damaged).toEqual([{ id: foreign.id, reason: 'foreign' }]);
    expect((await getFile(target, foreign.id)).id).toBe(foreign.id);
  });

  it('does not report a record that changes whenever it is looked at', async () => {
    const [source, target] = [await sqlite(), await sqlite()];
    const { id } = await createFile(source);
    const wrong = await createFile(source);
    await startMove({ source, target }, options(), never);
    await target.update(wrong.id, wrong.revision, { name: 'foreign' });
    const flow = (await flowOf({ source, target }))!;
    const follow = async () => {
      await followOn(flow, options(), never);
      const { revision } = await getFile(source, id);
      await source.update(id, revision, { name: newId() });
    };
    const progress = (await moveProgress(source))!;
    const { damaged } = await compareAll(flow, { follow, progress }, never);
    expect(damaged.map((one) => one.id)).toEqual([wrong.id]);
  });

  it('reports records that the target refuses, and takes them when it no longer does', async () => {
    const target = await open(openPocketBaseCatalog({ ...server, takesImports: true }));
    const source = await sqlite();
    const fits = await createFile(source, { attributes: { note: 'x' } });
    const strange = await createFile(source, { attributes: { colour: 'red' } });
    const catalogs = { source, target };
    const { refused } = await startMove(catalogs, options(), never);
    expect(refused).toEqual([{ id: strange.id, reason: expect.stringContaining('ATTRIBUTE_INVALID') }]);
    expect(await outcomes([getFile(target, fits.id)])).toEqual(['ok']);
    await source.update(strange.id, strange.revision, { attributes: { colour: null } });
    expect((await startMove(catalogs, options(), never)).refused).toEqual([]);
    expect(plain(await getFile(target, strange.id))).toEqual(plain(await getFile(source, strange.id)));
  });

  it('leaves out what must not be moved', async () => {
    const [source, target] = [await sqlite(), await sqlite()];
    const file = await createFile(source, { sha256: undefined });
    const whyNot = ({ sha256 }: FileRecord) => (sha256 === undefined ? 'its bytes are elsewhere' : undefined);
    const { refused } = await startMove({ source, target }, options({ whyNot }), never);
    expect(refused).toEqual([{ id: file.id, reason: 'its bytes are elsewhere' }]);
    expect(await filesOf(target)).toEqual({});
    // Gone since.
    await source.purge(file.id, file.revision);
    expect((await startMove({ source, target }, options({ whyNot }), never)).refused).toEqual([]);
  });

  it('is run by one process at a time, and not to two targets', async () => {
    const [source, target] = [await sqlite(), await sqlite()];
    await createFile(source);
    // Both catalogs have the lease: of a process that was killed, and of one that runs.
    await source.acquireLease('catalog-move', 'killed', new Date(Date.now() + 300));
    expect((await startMove({ source, target }, options(), never)).copied).toBe(1);
    for (const catalog of [source, target]) {
      await catalog.acquireLease('catalog-move', 'other', new Date(Date.now() + 60_000));
      const run = startMove({ source, target }, options({ leaseMs: 300 }), never);
      await expect(run).rejects.toThrow('another process');
      await catalog.releaseLease('catalog-move', 'other');
    }
    const postgres = await open(openPostgresCatalog({ url: await createDatabase() }));
    await expect(startMove({ source, target: postgres }, options(), never)).rejects.toThrow('move to sqlite');
    expect((await cancelMove({ source, target }, options(), never))?.state).toBe('cancelled');
    expect((await startMove({ source, target: postgres }, options(), never)).target).toBe('postgres');
  });
});
