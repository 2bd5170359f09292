import { describe, expect, it } from '@jest/globals';
import type {
  FileCatalog,
  FileRecord,
  StateItem,
  StateKind,
  TransferredFile,
} from '../../../src/catalog/file-catalog.ts';
import { importFile, legacyUseKey, STATE_KINDS } from '../../../src/catalog/transfer.ts';
import {
  createFile,
  getFile,
  newFile,
  newId,
  outcomes,
  plain,
  reserve,
  type CatalogSubject,
} from './subject.ts';

/** Records that go from one catalog into another as they are. */
export function transferTests(catalog: () => FileCatalog, subject: () => CatalogSubject): void {
  async function exported(ids: readonly string[], pageSize: number): Promise<TransferredFile[]> {
    const found: TransferredFile[] = [];
    for (let after = ''; ;) {
      const page = await catalog().exportFiles(after, pageSize);
      expect(page.length).toBeLessThanOrEqual(pageSize);
      found.push(...page.filter(({ record }) => ids.includes(record.id)));
      if (page.length < pageSize) return found;
      after = page.at(-1)!.record.id;
    }
  }

  /** A record of another catalog, with something in every field. */
  function foreign(fields: Partial<FileRecord> = {}): FileRecord {
    const targets = subject().targets;
    return {
      ...newFile({ relations: { project: [targets.project[0]!], tags: targets.tags.slice(0, 3) } }),
      ...{ createTime: new Date(Date.UTC(2020, 1, 1) + 7), updateTime: new Date(Date.UTC(2021, 1, 1) + 8) },
      ...{ deleteTime: undefined, purgeTime: undefined, revision: '3-abc_DEF' },
      ...fields,
    };
  }

  describe('records that are exported', () => {
    it('are exported unchanged, each once, in the order of ids, with deleted ones and request keys', async () => {
      const key = newId();
      const files = [
        await createFile(catalog(), { name: 'first' }, key),
        await createFile(catalog(), { sha256: undefined, crc32c: undefined, owner: '', usage: '' }),
        await createFile(catalog()),
      ];
      const time = new Date(Date.UTC(2026, 1, 1));
      const { id, revision } = files[2]!;
      files[2] = await catalog().update(id, revision, { deleteTime: time, purgeTime: time });
      const expected = files.toSorted((a, b) => (a.id < b.id ? -1 : 1));
      const found = await exported(
        files.map((file) => file.id),
        50,
      );
      expect(found.map(({ record }) => plain(record))).toEqual(expected.map(plain));
      const keys = found.map(({ requestKey }) => requestKey);
      expect(keys).toEqual(expected.map((file) => (file.id === files[0]!.id ? key : undefined)));
      expect(await catalog().exportFiles('zzzzzzzzzzzzzzzz', 5)).toEqual([]);
      const only = await catalog().exportOnly([files[0]!.id, newId(), files[1]!.id]);
      expect(only.map(({ record, requestKey }) => [record.id, requestKey]).toSorted()).toEqual(
        [
          [files[0]!.id, key],
          [files[1]!.id, undefined],
        ].toSorted(),
      );
      expect(await catalog().exportOnly([])).toEqual([]);
    });
  });

  describe('records that are imported', () => {
    it('keep everything', async () => {
      const time = new Date(Date.UTC(2022, 1, 1));
      const alive = { record: foreign(), requestKey: newId() };
      const deleted = { record: foreign({ deleteTime: time, purgeTime: time, revision: '12' }) };
      const bare = {
        record: foreign({ sha256: undefined, crc32c: undefined, relations: {}, revision: 'x' }),
      };
      for (const file of [alive, deleted, bare]) await importFile(catalog(), file);
      const ids = [alive, deleted, bare].map(({ record }) => record.id);
      for (const { record } of [alive, deleted, bare]) {
        expect(plain(await getFile(catalog(), record.id))).toEqual(plain(record));
      }
      expect((await catalog().findByRequestKey(alive.requestKey))?.id).toBe(alive.record.id);
      const found = await exported(ids, 1_000);
      const inOrder = [alive, deleted, bare].toSorted((a, b) => (a.record.id < b.record.id ? -1 : 1));
      expect(found.map(({ record, ...more }) => ({ ...plain(record), ...more }))).toEqual(
        inOrder.map(({ record, ...more }) => ({ ...plain(record), ...more })),
      );
      const due = await catalog().listPurgeable(time, 1_000);
      expect(due).toContainEqual({ id: deleted.record.id, revision: '12', purgeTime: time });
      expect(await catalog().purge(deleted.record.id, '12')).toBe(true);
    });

    it('are found in lists by the time at which they were created', async () => {
      const owner = newId();
      const record = foreign({ owner });
      await createFile(catalog(), { owner });
      await importFile(catalog(), { record });
      const relation = { name: 'project', id: record.relations['project']![0]! };
      for (const filter of [{ owner }, { owner, relation }]) {
        const listed = await catalog().list({ filter, showDeleted: false, limit: 5 });
        expect(listed.at(-1)).toEqual({ ...record, sha256: listed.at(-1)!.sha256 });
      }
      const { createTime, id } = record;
      const after = { createTime, id };
      expect(await catalog().list({ filter: { owner }, showDeleted: false, limit: 5, after })).toEqual([]);
    });

    it('may be imported again, and are replaced', async () => {
      const requestKey = newId();
      const first = foreign();
      await importFile(catalog(), { record: first, requestKey });
      await importFile(catalog(), { record: first, requestKey });
      expect(plain(await getFile(catalog(), first.id))).toEqual(plain(first));
      const second = { ...foreign({ relations: {}, name: 'second', revision: '4-x' }), id: first.id };
      await importFile(catalog(), { record: second });
      expect(plain(await getFile(catalog(), first.id))).toEqual(plain(second));
      expect(await catalog().findByRequestKey(requestKey)).toBeUndefined();
    });

    it('are refused, and change nothing, where another record has the request key', async () => {
      const requestKey = newId();
      const { id } = await createFile(catalog(), {}, requestKey);
      const record = foreign();
      const wanted = { reason: 'CATALOG_REFUSED', metadata: { field: 'request_id' } };
      await expect(importFile(catalog(), { record, requestKey })).rejects.toMatchObject(wanted);
      expect((await catalog().get([record.id])).size).toBe(0);
      expect((await catalog().findByRequestKey(requestKey))?.id).toBe(id);
    });

    it('are written together; those that are refused are named, and keep nobody from the others', async () => {
      const taken = newId();
      const owner = newId();
      await createFile(catalog(), {}, taken);
      const records = Array.from({ length: 75 }, (_, at) => foreign({ owner, name: `file ${at}` }));
      const old = records.slice(10, 30);
      await catalog().importFiles(old.map((record) => ({ record: { ...record, name: 'old' } })));
      const { id, revision } = await getFile(catalog(), old[0]!.id);
      await catalog().update(id, revision, { name: 'changed here' });
      const files = records.map((record, at): TransferredFile => {
        if (at === 20 || at === 40 || at === 74) return { record, requestKey: taken };
        if (at === 41) return { record: { ...record, name: 'a\0b' } };
        return at % 3 === 0 ? { record, requestKey: record.id } : { record };
      });
      const refused = await catalog().importFiles(files);
      const byReason = [...refused].map(([id, { reason, metadata }]) => [id, reason, metadata['field']]);
      expect(byReason.toSorted()).toEqual(
        [
          ...[20, 40, 74].map((at) => [records[at]!.id, 'CATALOG_REFUSED', 'request_id']),
          [records[41]!.id, 'CATALOG_REFUSED', 'name'],
        ].toSorted(),
      );
      const found = await catalog().exportOnly(records.map(({ id }) => id));
      const wanted = files.flatMap((file, at) => {
        // What was there stays as it was.
        if (at === 20) return [{ record: { ...file.record, name: 'old' } }];
        return refused.has(file.record.id) ? [] : [file];
      });
      const order = (all: readonly TransferredFile[]) =>
        all
          .toSorted((a, b) => (a.record.id < b.record.id ? -1 : 1))
          .map(({ record, requestKey }) => ({ ...plain(record), requestKey }));
      expect(order(found)).toEqual(order(wanted));
      expect((await catalog().importFiles([])).size).toBe(0);
    });

    it('take a request key from each other', async () => {
      const [first, second, requestKey] = [foreign(), foreign(), newId()];
      await importFile(catalog(), { record: first, requestKey });
      const both = [{ record: first }, { record: second, requestKey }];
      expect((await catalog().importFiles(both)).size).toBe(0);
      expect((await catalog().findByRequestKey(requestKey))?.id).toBe(second.id);
    });

    it('are no changes in the log, and neither is their end', async () => {
      const { changes } = catalog();
      const start = await changes.position('now');
      const record = foreign();
      await importFile(catalog(), { record });
      await importFile(catalog(), { record: { ...record, revision: '4-x', name: 'again' } });
      await catalog().dropFile(record.id);
      await catalog().dropFile(record.id);
      expect((await catalog().get([record.id])).size).toBe(0);
      const file = await createFile(catalog());
      await catalog().dropFile(file.id);
      const found = (await changes.read(start, 1_000)).changes;
      expect(found.map(({ fileId, type }) => [fileId, type])).toEqual([[file.id, 'created']]);
      // Nobody else is told, so nobody removes its bytes either.
      const past = await catalog().uploads.listPast(new Date(Date.now() + 1_000), 1_000);
      expect(past.filter(({ fileIds }) => fileIds.includes(file.id))).toEqual([]);
    });

    it('replace and follow records that were changed here', async () => {
      let mine = await createFile(catalog(), { owner: newId() });
      for (const name of ['a', 'b']) mine = await catalog().update(mine.id, mine.revision, { name });
      const imported = { ...foreign({ owner: mine.owner, revision: '9-x' }), id: mine.id };
      await importFile(catalog(), { record: imported });
      expect(plain(await getFile(catalog(), mine.id))).toEqual(plain(imported));
      const next = await catalog().update(mine.id, '9-x', { name: 'c' });
      expect(next.createTime).toEqual(imported.createTime);
      expect(next.updateTime.getTime()).toBeGreaterThan(imported.updateTime.getTime());
      expect((await outcomes([catalog().update(mine.id, '9-x', { name: 'd' })]))[0]).toBe(
        'CONCURRENT_CHANGE',
      );
      const last = await catalog().update(mine.id, next.revision, { name: 'e' });
      expect(await catalog().purge(mine.id, last.revision)).toBe(true);
    });

    it.each(['3-abc_DEF', '12', 'x'])('go on from the revision %s', async (revision) => {
      const record = foreign({ revision });
      await importFile(catalog(), { record });
      const both = ['a', 'b'].map((name) => catalog().update(record.id, revision, { name }));
      expect((await outcomes(both)).toSorted()).toEqual(['CONCURRENT_CHANGE', 'ok']);
      const changed = await getFile(catalog(), record.id);
      expect(changed.revision).not.toBe(revision);
      expect(changed.createTime).toEqual(record.createTime);
      const again = await catalog().update(record.id, changed.revision, { name: 'c' });
      expect(new Set([revision, changed.revision, again.revision]).size).toBe(3);
    });
  });

  /** All items of a kind with some keys, in small pages. */
  async function stateOf(kind: StateKind, keys: readonly string[]): Promise<readonly StateItem[]> {
    const found: StateItem[] = [];
    for (let from: string | undefined; ;) {
      const { items, next } = await catalog().exportState(kind, from, 3);
      found.push(...items.filter(({ key }) => keys.includes(key)));
      if (next === undefined) return found;
      from = next;
    }
  }

  describe('what is stored besides files', () => {
    const later = Date.UTC(2040, 1, 1) + 7;
    const session = (fields: object = {}) => ({
      ...{ revision: 5, state: { b: [1, 'x"\\'], a: null }, expireTime: later, requestKey: '', caller: 'c' },
      ...{ owner: 'o', usage: 'u', sizeBytes: 2 ** 40, closed: false, ...fields },
    });
    const all = (): StateItem[] => [
      {
        kind: 'reservation',
        key: newId(),
        value: { fileIds: [newId(), newId()], expireTime: later, closed: false },
      },
      { kind: 'reservation', key: newId(), value: { fileIds: [newId()], expireTime: later, closed: true } },
      { kind: 'upload', key: newId(), value: session({ requestKey: newId() }) },
      { kind: 'upload', key: newId(), value: session({ closed: true, caller: '', owner: '', usage: '' }) },
      { kind: 'lease', key: `lease-${newId()}`, value: { holder: 'h-1', expireTime: later } },
      { kind: 'subscription', key: newId(), value: { owner: newId(), state: '{"b":1,"a":[]}' } },
      {
        kind: 'legacy-use',
        key: legacyUseKey({ caller: newId(), kind: 'api', day: '2026-11-29' }),
        value: { count: 3 },
      },
      { kind: 'legacy-state', key: `state-${newId()}`, value: { value: { list: [1, '2'] } } },
    ];

    it('goes to another catalog unchanged, once or again, and is removed', async () => {
      const items = all();
      await catalog().importState(items.slice(0, 3));
      await catalog().importState(items);
      for (const kind of STATE_KINDS) {
        const mine = items.filter((item) => item.kind === kind);
        const keys = mine.map(({ key }) => key);
        expect((await stateOf(kind, keys)).toSorted(byKey)).toEqual(mine.toSorted(byKey));
        await catalog().dropState(kind, [...keys, ...keys.slice(0, 1)]);
        await catalog().dropState(kind, keys);
        expect(await stateOf(kind, keys)).toEqual([]);
      }
    });

    it('goes on where it was', async () => {
      const items = all();
      await catalog().importState(items);
      const [open, closed, upload, closedUpload, lease, subscription, use, value] = items.map(
        ({ key }) => key,
      ) as [...[string, string, string, string, string, string, string, string]];
      const { uploads, subscriptions, legacy } = catalog();
      const [first, , third] = items as unknown as [StateItem<'reservation'>, StateItem, StateItem<'upload'>];
      const expireTime = new Date(later);
      const state = { done: true };
      expect(await uploads.extend(open, expireTime)).toBe(true);
      expect(await uploads.extend(closed, expireTime)).toBe(false);
      const file = newFile({ id: first.value.fileIds[0]! });
      expect((await catalog().create(file, { reservationId: open })).status).toBe('created');
      const { requestKey } = third.value;
      expect(await uploads.find(requestKey)).toEqual({ id: upload, expireTime, ...pick(session()) });
      expect(await uploads.update(upload, 4, { state, expireTime })).toBeUndefined();
      expect(await uploads.update(upload, 5, { state, expireTime })).toMatchObject({ revision: 6, state });
      expect(await uploads.get(closedUpload)).toBeUndefined();
      const taken = await catalog().create(newFile({ id: upload }), { upload: { revision: 6 } });
      expect(taken.status).toBe('created');
      expect(await catalog().acquireLease(lease, 'h-2', expireTime)).toBe(false);
      expect(await catalog().acquireLease(lease, 'h-1', expireTime)).toBe(true);
      const found = await subscriptions.get(subscription);
      expect(await subscriptions.update(subscription, found!.revision, 'next')).toBe(true);
      expect(await subscriptions.update(subscription, 'another1catalog', 'next')).toBe(false);
      expect(await legacy.getState(value)).toEqual({ list: [1, '2'] });
      const [caller, kind, day] = JSON.parse(use) as [string, string, string];
      await legacy.addUses([{ caller, kind, day, count: 2 }]);
      expect(await legacy.listUses()).toContainEqual({ caller, kind, day, count: 5 });
      expect((await uploads.takeClosed(new Date(later + 1), 1_000)).map(({ id }) => id)).toEqual(
        expect.arrayContaining([closed, closedUpload]),
      );
    });

    it('replaces what was changed here, so that changes which began before are refused', async () => {
      const { subscriptions, uploads } = catalog();
      const [key, owner, requestKey] = [newId(), newId(), newId()];
      await subscriptions.create(key, owner, 'one');
      const before = await subscriptions.get(key);
      await catalog().importState([{ kind: 'subscription', key, value: { owner, state: 'two' } }]);
      expect(await subscriptions.update(key, before!.revision, 'three')).toBe(false);
      expect((await subscriptions.get(key))?.state).toBe('two');
      // The request key went on to another session where they are from.
      const [old, next] = [newId(), newId()];
      await catalog().importState([{ kind: 'upload', key: old, value: session({ requestKey }) }]);
      await catalog().importState([
        { kind: 'upload', key: next, value: session({ requestKey, revision: 1 }) },
      ]);
      expect((await uploads.find(requestKey))?.id).toBe(next);
      await catalog().importState([{ kind: 'upload', key: old, value: session({ closed: true }) }]);
      expect(await uploads.update(old, 5, { state: 1, expireTime: new Date(later) })).toBeUndefined();
      const reservation = await reserve(catalog());
      const value = { fileIds: reservation.fileIds, expireTime: later, closed: true };
      await catalog().importState([{ kind: 'reservation', key: reservation.id, value }]);
      expect(await uploads.extend(reservation.id, new Date(later))).toBe(false);
    });
  });
}

function byKey(a: StateItem, b: StateItem): number {
  return a.key < b.key ? -1 : 1;
}

function pick({ revision, state }: { readonly revision: number; readonly state: unknown }) {
  return { revision, state };
}
