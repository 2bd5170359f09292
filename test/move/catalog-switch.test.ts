import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Change, FileCatalog, FileRecord } from '../../src/catalog/file-catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sql/sqlite.ts';
import { completeMove } from '../../src/move/catalog/complete.ts';
import { advance, flowOf } from '../../src/move/catalog/flow.ts';
import { CatalogMember } from '../../src/move/catalog/member.ts';
import { servingCatalog } from '../../src/move/catalog/serving.ts';
import { startMove } from '../../src/move/catalog/start.ts';
import { reverseMove, switchMove, type SwitchOptions } from '../../src/move/catalog/switch.ts';
import { cancelWithout, completeWithout } from '../../src/move/catalog/without.ts';
import { endPresence, showPresence } from '../../src/move/replicas/presence.ts';
import { verifyMove } from '../../src/move/catalog/verify.ts';
import { createFile, getFile, newId, plain } from '../conformance/file-catalog/subject.ts';
import { eventually } from '../support/eventually.ts';
import { makeDir, removeDir } from '../support/process.ts';

const never = new AbortController().signal;

function options(fields: Partial<SwitchOptions> = {}): SwitchOptions {
  return { holder: newId(), leaseMs: 3_000, maxPauseMs: 5_000, ...fields };
}

/** A replica over its own connections to catalogs. */
interface Replica {
  readonly member: CatalogMember;
  readonly catalog: FileCatalog;
}

/** The same catalog; its calls do not end before their signal does. */
function hangs<T extends object>(target: T): T {
  return new Proxy(target, {
    get(_, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function' && typeof value !== 'object') return value;
      if (key === 'close') return (value as () => unknown).bind(target);
      if (typeof value === 'object' && value !== null) return hangs(value);
      return (...args: readonly { readonly signal?: AbortSignal }[]) => {
        const signal = args.at(-1)?.signal;
        return new Promise((_resolve, reject) =>
          signal?.addEventListener('abort', () => reject(signal.reason as Error)),
        );
      };
    },
  });
}

describe('a switch of the catalog', () => {
  let dir: string;
  const opened: { close(): Promise<void> }[] = [];

  const stopped = new AbortController();

  beforeAll(async () => {
    dir = await makeDir('catalog-switch');
  });

  afterAll(async () => {
    stopped.abort();
    await Promise.all(opened.map((one) => one.close()));
    await removeDir(dir);
  });

  /** Paths of two new catalogs, and connections for the mover. */
  async function twoCatalogs() {
    const paths = [join(dir, `${newId()}.db`), join(dir, `${newId()}.db`)] as const;
    const [source, target] = paths.map((path) => openSqliteCatalog({ path }));
    opened.push(source!, target!);
    await Promise.all([source!.migrate(), target!.migrate()]);
    return { paths, catalogs: { source: source!, target: target! } };
  }

  function replicaOf([own, next]: readonly [string, string?]): Replica {
    const catalogs = {
      own: openSqliteCatalog({ path: own }),
      next: next === undefined ? undefined : openSqliteCatalog({ path: next }),
    };
    const member = new CatalogMember(catalogs, newId());
    const catalog = servingCatalog(member, () => undefined);
    member.start();
    opened.push(catalog);
    return { member, catalog };
  }

  /** Creates and changes files until it is ended; resolves with every file as it was acknowledged last. */
  async function write(catalog: FileCatalog, ended: AbortSignal): Promise<ReadonlyMap<string, FileRecord>> {
    const model = new Map<string, FileRecord>();
    while (!ended.aborted && !stopped.signal.aborted) {
      const created = await createFile(catalog, {}, newId());
      model.set(created.id, created);
      const { id, revision } = [...model.values()][Math.floor(Math.random() * model.size)]!;
      model.set(id, await catalog.update(id, revision, { name: `n${model.size}` }));
      await sleep(25);
    }
    return model;
  }

  /** Reads the log to its end after the writers have ended. */
  async function watch({ changes }: FileCatalog, from: string, ended: AbortSignal) {
    const found: Change[] = [];
    for (let cursor = from; ;) {
      const isLast = ended.aborted || stopped.signal.aborted;
      const page = await changes.read(cursor, 50);
      found.push(...page.changes);
      if (page.changes.length === 0 && isLast && page.cursor === cursor) return { found, cursor };
      cursor = page.cursor;
      await sleep(5);
    }
  }

  it('holds no write because the catalog that is not active hangs', async () => {
    const { paths, catalogs } = await twoCatalogs();
    await startMove(catalogs, options(), never);
    const hanging = hangs(openSqliteCatalog({ path: paths[1] }));
    const member = new CatalogMember({ own: openSqliteCatalog({ path: paths[0] }), next: hanging }, newId());
    const catalog = servingCatalog(member, () => undefined);
    opened.push(catalog);
    const created = await createFile(catalog);
    expect((await getFile(catalogs.source, created.id)).id).toBe(created.id);
    // The mover must not switch meanwhile.
    await expect(switchMove(catalogs, options({ replicasMs: 0 }), never)).rejects.toThrow();
    // One that does not know the active catalog says so, as an outage.
    const lost = new CatalogMember({ own: hanging }, newId());
    await expect(lost.look()).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
  }, 30_000);

  it('loses nothing of writers and watchers, there, back and there again', async () => {
    const { paths, catalogs } = await twoCatalogs();
    const replicas = [replicaOf(paths), replicaOf(paths)];
    const early = await createFile(replicas[0]!.catalog);
    const from = await replicas[0]!.catalog.changes.position('now');
    const ended = new AbortController();
    const writers = [0, 1, 0, 1].map((at) => write(replicas[at]!.catalog, ended.signal));
    const watchers = replicas.map(({ catalog }) => watch(catalog, from, ended.signal));
    await startMove(catalogs, options(), never);
    await expect(switchMove(catalogs, options(), never)).rejects.toThrow('catalog move verify');
    expect(await verifyMove(catalogs, options(), never)).toMatchObject({ damaged: [] });
    const [there, back] = [switchMove, reverseMove];
    for (const turn of [there, back, there]) {
      const done = await turn(catalogs, options(), never);
      expect(done).toMatchObject({ isChanged: true });
      expect(await turn(catalogs, options(), never)).toMatchObject({ isChanged: false });
      await sleep(300);
    }
    ended.abort();
    const model = new Map((await Promise.all(writers)).flatMap((one) => [...one]));
    expect(model.size).toBeGreaterThan(4);
    for (const [id, record] of model) {
      expect(plain(await getFile(catalogs.target, id))).toEqual(plain(record));
    }
    expect(plain(await getFile(replicas[1]!.catalog, early.id))).toEqual(plain(early));
    // Every change of every file once, in its order.
    const [one, other] = await Promise.all(watchers);
    for (const { found } of [one!, other!]) {
      expect(new Set(found.map(({ id }) => id)).size).toBe(found.length);
      const created = found.filter(({ type }) => type === 'created').map(({ fileId }) => fileId);
      expect(created.toSorted()).toEqual([...model.keys()].toSorted());
      for (const [id, { revision }] of model) {
        const revisions = found.filter(({ fileId }) => fileId === id).map((change) => change.revision);
        expect(revisions.at(-1)).toBe(revision);
        expect(new Set(revisions).size).toBe(revisions.length);
      }
    }
    expect(one!.found.map(({ id }) => id)).toEqual(other!.found.map(({ id }) => id));
    // From the oldest kept change, across all parts of the log.
    const all = await watch(
      replicas[0]!.catalog,
      await replicas[0]!.catalog.changes.position('earliest'),
      ended.signal,
    );
    expect(all.found.map(({ id }) => id).slice(1)).toEqual(one!.found.map(({ id }) => id));

    await startMove(catalogs, options(), never);
    expect(await verifyMove(catalogs, options(), never)).toMatchObject({ damaged: [] });
    const subscriptionIn = () => ({ name: 'x', log: from, at: () => '' });
    expect(await completeMove(catalogs, { ...options(), subscriptionIn }, never)).toMatchObject({
      isChanged: true,
    });
    // New settings beside the old ones.
    const { catalog: last } = replicaOf([paths[1]]);
    const created = await createFile(last);
    expect((await getFile(replicas[0]!.catalog, created.id)).id).toBe(created.id);
    await last.check();
    const { changes } = await last.changes.read(one!.cursor, 10);
    expect(changes.map(({ fileId }) => fileId)).toEqual([created.id]);
    // One that stood at the end of the old log is not known: its replicas were gone for all of the second part.
    await expect(last.changes.read(from, 10)).rejects.toMatchObject({ reason: 'CURSOR_EXPIRED' });
  });

  it('is refused while a replica does not know the target, and such a replica does not serve afterwards', async () => {
    const { paths, catalogs } = await twoCatalogs();
    const unaware = replicaOf([paths[0]]);
    const file = await createFile(unaware.catalog);
    await startMove(catalogs, options(), never);
    await verifyMove(catalogs, options(), never);
    await expect(switchMove(catalogs, options(), never)).rejects.toThrow('runs without ASSET_NEXT_');
    await createFile(unaware.catalog);
    await unaware.catalog.close();
    expect(await switchMove(catalogs, options(), never)).toMatchObject({ isChanged: true });
    const [old, early] = [replicaOf([paths[0]]), replicaOf([paths[1]])];
    for (const { catalog } of [old, early]) {
      await expect(catalog.check()).rejects.toThrow('ASSET_NEXT_CATALOG: is required');
      await expect(catalog.get([file.id])).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
      await expect(createFile(catalog)).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
    }
    const other = join(dir, `${newId()}.db`);
    const wrong = openSqliteCatalog({ path: other });
    opened.push(wrong);
    await wrong.migrate();
    await expect(replicaOf([paths[0], other]).catalog.check()).rejects.toThrow(
      'ASSET_NEXT_CATALOG: the catalog',
    );
    const complete = { ...options(), subscriptionIn: () => ({ name: 'x', log: '1-x', at: () => '' }) };
    await completeMove(catalogs, complete, never);
    await expect(replicaOf([paths[0]]).catalog.check()).rejects.toThrow(
      'ASSET_CATALOG: the files were moved',
    );
    await replicaOf([paths[1]]).catalog.check();
  });

  it('gives up a pause that is too long, without an error for anybody', async () => {
    const { paths, catalogs } = await twoCatalogs();
    const { catalog, member } = replicaOf(paths);
    await createFile(catalog);
    await startMove(catalogs, options(), never);
    await verifyMove(catalogs, options(), never);
    const slow = Promise.withResolvers<void>();
    const running = member.write(() => slow.promise);
    const waits: string[] = [];
    const onWait = (text: string) => waits.push(text);
    const switched = switchMove(catalogs, options({ maxPauseMs: 250, onWait }), never);
    await eventually(() => expect(waits.length).toBeGreaterThan(0));
    const held = await createFile(catalog);
    await expect(switched).rejects.toThrow('5 pauses');
    expect((await flowOf(catalogs))?.row).toMatchObject({ state: 'following' });
    expect((await getFile(catalogs.source, held.id)).id).toBe(held.id);
    slow.resolve();
    await running;
    expect(await switchMove(catalogs, options(), never)).toMatchObject({ isChanged: true });
    expect((await getFile(catalogs.target, held.id)).id).toBe(held.id);
  });

  it('is ended by the replicas if the mover was killed in the pause', async () => {
    const { paths, catalogs } = await twoCatalogs();
    const { catalog } = replicaOf(paths);
    await createFile(catalog);
    await startMove(catalogs, options(), never);
    const flow = await flowOf(catalogs);
    await advance(flow!, { state: 'paused', maxPauseMs: 100 }, never);
    // Held as soon as the replica sees it.
    await eventually(async () => {
      const created = createFile(catalog);
      const first = await Promise.race([created, sleep(200, 'held')]);
      expect(first).toBe('held');
      expect((await created).id).toMatch(/^[a-z0-9]{15}$/);
    });
    expect((await flowOf(catalogs))?.row).toMatchObject({ state: 'following', epoch: flow!.row.epoch + 2 });
  });

  it('is refused while something else has written into the target', async () => {
    const { catalogs } = await twoCatalogs();
    const file = await createFile(catalogs.source);
    await startMove(catalogs, options(), never);
    await verifyMove(catalogs, options(), never);
    await catalogs.target.update(file.id, file.revision, { owner: 'somebody' });
    await expect(switchMove(catalogs, options(), never)).rejects.toThrow('owner');
    await startMove(catalogs, options(), never);
    await verifyMove(catalogs, options(), never);
    const foreign = await createFile(catalogs.target);
    await expect(switchMove(catalogs, options(), never)).rejects.toThrow(`${foreign.id}: foreign`);
  });

  it('can be repeated after it was interrupted while it compared', async () => {
    const { paths, catalogs } = await twoCatalogs();
    replicaOf(paths);
    for (let i = 0; i < 201; i++) await createFile(catalogs.source);
    await startMove(catalogs, options(), never);
    await verifyMove(catalogs, options(), never);
    const interrupted = new Error('interrupted');
    const target = new Proxy(catalogs.target, {
      get(of, key) {
        const value: unknown = Reflect.get(of, key, of);
        if (typeof value !== 'function') return value;
        return (...args: readonly unknown[]) => {
          if (key === 'exportFiles' && args[0] !== '') throw interrupted;
          return Reflect.apply(value, of, args) as unknown;
        };
      },
    });
    await expect(switchMove({ ...catalogs, target }, options(), never)).rejects.toBe(interrupted);
    expect(await switchMove(catalogs, options(), never)).toMatchObject({ isChanged: true });
  });

  describe('when the other catalog is gone for good', () => {
    const gone = () => Promise.reject(new Error('nothing listens there'));
    const ready = { id: 'a'.repeat(15), state: 'ready' } as const;

    it('is completed, and the subscriptions are named that lose events', async () => {
      const { paths, catalogs } = await twoCatalogs();
      const { catalog } = replicaOf(paths);
      const { target } = catalogs;
      const before = await catalog.changes.position('now');
      await createFile(catalog);
      const after = await catalog.changes.position('now');
      const state = (name: string, log: string) => JSON.stringify({ name, log });
      await catalog.subscriptions.create('behind', 'o', state('behind', before));
      await catalog.subscriptions.create('upToDate', 'o', state('upToDate', after));
      const subscriptionIn = (text: string) => {
        const { name, log } = JSON.parse(text) as { readonly name: string; readonly log: string };
        return { name, log, at: (to: string) => state(name, to) };
      };
      const how = options({ replicasMs: 500 });
      const complete = { ...how, subscriptionIn };
      await startMove(catalogs, options(), never);
      await expect(completeWithout(target, gone, complete, never)).rejects.toThrow('in the source');
      await verifyMove(catalogs, options(), never);
      await switchMove(catalogs, options(), never);
      const made = await createFile(catalog);
      await expect(cancelWithout(target, gone, how, never)).rejects.toThrow('in the target');
      // The replica of this test still reaches both.
      await expect(completeWithout(target, gone, complete, never)).rejects.toThrow('reaches the sqlite');
      await catalog.close();
      const done = await completeWithout(target, gone, complete, never);
      expect(done).toMatchObject({ isChanged: true, row: { state: 'completed' }, lost: ['behind'] });
      const moved = subscriptionIn((await target.subscriptions.get('upToDate'))!.state);
      const alone = replicaOf([paths[1]]);
      const { changes } = await alone.catalog.changes.read(moved.log, 10);
      expect(changes.map(({ fileId }) => fileId)).toEqual([made.id]);
      await expect(alone.catalog.changes.read(before, 10)).rejects.toMatchObject({
        reason: 'CURSOR_EXPIRED',
      });
    });

    it('is cancelled, unless a replica reaches the target, and may go to another one', async () => {
      const { catalogs } = await twoCatalogs();
      const { source } = catalogs;
      await createFile(source);
      await startMove(catalogs, options(), never);
      const how = options({ replicasMs: 300 });
      const presence = { ...ready, epoch: 1, expireTime: Date.now() + 60_000 };
      await showPresence(source, 'catalog', presence);
      await expect(cancelWithout(source, gone, how, never)).rejects.toThrow(`${ready.id} reaches`);
      await endPresence(source, 'catalog', ready.id);
      expect(await cancelWithout(source, gone, how, never)).toMatchObject({ isChanged: true });
      expect(await cancelWithout(source, gone, how, never)).toMatchObject({ isChanged: false });
      const { target } = (await twoCatalogs()).catalogs;
      expect(await startMove({ source, target }, options(), never)).toMatchObject({ copied: 1 });
    });
  });
});
