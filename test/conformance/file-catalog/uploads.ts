import { describe, expect, it } from '@jest/globals';
import type { FileCatalog, JsonValue, NewFileRecord } from '../../../src/catalog/file-catalog.ts';
import { createFile, newFile, newId, outcomes, type CatalogSubject } from './subject.ts';

/** Sessions of uploads: what lets any replica go on with one, and only one of them at a time. */
export function uploadTests(catalog: () => FileCatalog, subject: () => CatalogSubject): void {
  const hour = () => new Date(Date.now() + 3_600_000);
  const uploads = () => catalog().uploads;

  async function open(fields: Partial<Parameters<FileCatalog['uploads']['open']>[0]> = {}) {
    const result = await uploads().open({ id: newId(), state: { step: 1 }, expireTime: hour(), ...fields });
    expect(result.status).toBe('opened');
    return result.session;
  }

  /** What is closed by now, of the sessions of these ids. */
  async function taken(ids: readonly string[], now = new Date()) {
    const closed = await uploads().takeClosed(now, 1_000);
    return closed.filter((hold) => hold.kind === 'upload').filter(({ id }) => ids.includes(id));
  }

  function forget(id: string): Promise<void> {
    return uploads().forget({ kind: 'upload', id });
  }

  /** Two more replicas, for as long as the work takes. */
  async function withReplicas(work: (replicas: FileCatalog[]) => Promise<void>): Promise<void> {
    const replicas = [subject().open(), subject().open()];
    try {
      await work(replicas);
    } finally {
      await Promise.all(replicas.map((replica) => replica.close()));
    }
  }

  describe('sessions of uploads', () => {
    it('are opened at revision 1, and found by every replica', async () => {
      const session = { id: newId(), state: { parts: [1, 2], name: 'ü' }, expireTime: hour() };
      const result = await uploads().open(session);
      expect(result).toEqual({ status: 'opened', session: { ...session, revision: 1 } });
      await withReplicas(async ([other]) => {
        expect(await other!.uploads.get(session.id)).toEqual(result.session);
      });
      expect(await uploads().get(newId())).toBeUndefined();
      expect(await uploads().get('')).toBeUndefined();
      expect(await uploads().get('a"b\0c')).toBeUndefined();
    });

    it('are found by their request key while they are open', async () => {
      const requestKey = newId();
      const session = await open({ requestKey });
      expect(await uploads().find(requestKey)).toEqual(session);
      expect(await uploads().find(newId())).toBeUndefined();
      await uploads().close(session.id, session.revision, hour());
      expect(await uploads().find(requestKey)).toBeUndefined();
    });

    it('claim room for their owner and count for their caller, until they are a file or closed', async () => {
      const [owner, caller, usage] = [`owner "${newId()}"`, newId(), `usage ${newId()}`];
      const claim = (fields: object) => ({ claim: { caller, owner, usage, sizeBytes: 2 ** 40, ...fields } });
      const [first, second, third] = [
        await open(claim({})),
        await open(claim({ sizeBytes: 5 })),
        await open(claim({ usage: '' })),
      ];
      // One without a claim, one of another owner and one of nobody.
      await open();
      await open(claim({ owner: `${owner} too` }));
      await open(claim({ owner: '' }));
      const claims = async () =>
        (await uploads().claimsOf(owner)).toSorted((one, other) => one.usage.localeCompare(other.usage));
      expect(await claims()).toEqual([
        { usage: '', files: 1, bytes: 2 ** 40 },
        { usage, files: 2, bytes: 2 ** 40 + 5 },
      ]);
      expect(await uploads().countOf(caller, 1_000)).toBe(5);
      expect(await uploads().countOf(caller, 3)).toBe(3);
      expect(await uploads().countOf(newId(), 10)).toBe(0);

      // A change moves the bytes where it names them, and keeps everything else.
      const change = { state: 2, expireTime: hour() };
      await uploads().update(second.id, second.revision, change);
      expect((await claims())[1]).toMatchObject({ bytes: 2 ** 40 + 5 });
      const moved = await uploads().update(second.id, second.revision + 1, { ...change, sizeBytes: 70 });
      expect((await claims())[1]).toMatchObject({ files: 2, bytes: 2 ** 40 + 70 });

      await uploads().close(first.id, first.revision, hour());
      await catalog().create(newFile({ id: second.id }), { upload: { revision: moved!.revision } });
      expect(await claims()).toEqual([{ usage: '', files: 1, bytes: 2 ** 40 }]);
      expect(await uploads().countOf(caller, 1_000)).toBe(3);
      await uploads().close(third.id, third.revision, hour());
      expect(await uploads().claimsOf(owner)).toEqual([]);
      expect(await uploads().claimsOf('a"b\0c')).toEqual([]);
    });

    it('are refused an id that an open one has, and leave that as it is', async () => {
      const first = await open();
      for (const requestKey of [undefined, newId()]) {
        const again = { id: first.id, state: 2, expireTime: hour(), ...(requestKey && { requestKey }) };
        await expect(uploads().open(again)).rejects.toMatchObject({
          reason: 'CATALOG_REFUSED',
          metadata: { field: 'id' },
        });
      }
      expect(await uploads().get(first.id)).toEqual(first);
    });

    const states: Record<string, JsonValue> = {
      null: null,
      'a number': 1.5,
      false: false,
      'an empty text': '',
      'a text that looks like JSON': '{"a":1}',
      'a text with a NUL': 'a\0b',
      'a list': [1, 'two', null, [], {}],
      'an object whose order tells': { z: 1, a: { 10: 1, 9: 2 }, '': null, __proto__x: '<&>\u2028' },
    };
    it.each(Object.entries(states))('remember %s to the letter', async (_, state) => {
      const { id } = await open({ state });
      expect(JSON.stringify((await uploads().get(id))?.state)).toBe(JSON.stringify(state));
      const change = { state: [state], expireTime: hour() };
      expect(await uploads().update(id, 1, change)).toEqual({ id, revision: 2, ...change });
      expect(JSON.stringify((await uploads().get(id))?.state)).toBe(JSON.stringify([state]));
    });

    it.each([500 * 1024, 2 ** 20])('remember %i bytes', async (size) => {
      const escaped = '"\\\n'.repeat(size / 12);
      const state = { escaped, text: 'x'.repeat(size - 2 * escaped.length - 25) };
      expect(Buffer.byteLength(JSON.stringify(state))).toBeLessThanOrEqual(size);
      const { id } = await open({ state });
      expect((await uploads().get(id))?.state).toEqual(state);
      const updated = await uploads().update(id, 1, { state, expireTime: new Date(1_000) });
      expect(updated?.state).toEqual(state);
      expect((await taken([id]))[0]?.state).toEqual(state);
      await forget(id);
    });

    it('take a change of the revision that they have, and none of another', async () => {
      const { id } = await open();
      const change = { state: { step: 2 }, expireTime: new Date(Date.now() + 7_200_000) };
      expect(await uploads().update(id, 1, change)).toEqual({ id, revision: 2, ...change });
      expect(await uploads().get(id)).toEqual({ id, revision: 2, ...change });
      for (const revision of [0, 1, 3]) {
        expect(await uploads().update(id, revision, { state: 'lost', expireTime: hour() })).toBeUndefined();
        expect(await uploads().close(id, revision, new Date(0))).toBe(false);
      }
      expect(await uploads().get(id)).toEqual({ id, revision: 2, ...change });
      expect(await uploads().update(newId(), 1, change)).toBeUndefined();
      expect(await uploads().close(newId(), 1, new Date(0))).toBe(false);
    });

    it('have one winner among twenty changes of a revision', async () => {
      await withReplicas(async (replicas) => {
        const { id } = await open();
        for (let revision = 1; revision <= 4; revision++) {
          const results = await Promise.all(
            Array.from({ length: 20 }, (_, i) =>
              replicas[i % 2]!.uploads.update(id, revision, { state: `writer ${i}`, expireTime: hour() }),
            ),
          );
          const winners = results.filter((result) => result !== undefined);
          expect(winners).toHaveLength(1);
          expect(winners[0]?.revision).toBe(revision + 1);
          expect(await uploads().get(id)).toEqual(winners[0]);
        }
      });
    });

    it('are closed once, and take no change then', async () => {
      const { id } = await open();
      const closed = await Promise.all(Array.from({ length: 5 }, () => uploads().close(id, 1, new Date(0))));
      expect(closed.filter(Boolean)).toHaveLength(1);
      expect(await uploads().get(id)).toBeUndefined();
      for (const revision of [0, 1, 2]) {
        expect(await uploads().update(id, revision, { state: 1, expireTime: hour() })).toBeUndefined();
        expect(await uploads().close(id, revision, hour())).toBe(false);
      }
      await forget(id);
    });
  });

  describe('request keys of sessions', () => {
    it('let one of ten concurrent opens through, and show it to the others', async () => {
      await withReplicas(async (replicas) => {
        const requestKey = `Key_-${newId()}`;
        const results = await Promise.all(
          Array.from({ length: 10 }, (_, i) =>
            replicas[i % 2]!.uploads.open({ id: newId(), state: i, expireTime: hour(), requestKey }),
          ),
        );
        const opened = results.filter((result) => result.status === 'opened');
        expect(opened).toHaveLength(1);
        for (const { session } of results) expect(session).toEqual(opened[0]!.session);
      });
    });

    it('stay with a session through its changes, and differ by every character', async () => {
      const requestKey = newId();
      const { id } = await open({ requestKey: `${requestKey}a` });
      await open({ requestKey: `${requestKey}A` });
      const session = await uploads().update(id, 1, { state: 2, expireTime: hour() });
      const again = { id: newId(), state: 3, expireTime: hour(), requestKey: `${requestKey}a` };
      expect(await uploads().open(again)).toEqual({ status: 'request-taken', session });
      expect(await uploads().get(again.id)).toBeUndefined();
    });

    it.each(['closed', 'expired and taken', 'a file'])(
      'are free again once the session is %s',
      async (how) => {
        const requestKey = newId();
        const { id } = await open({ requestKey, expireTime: how === 'closed' ? hour() : new Date(2_000) });
        if (how === 'closed') await uploads().close(id, 1, hour());
        else if (how === 'a file')
          await catalog().create(newFile({ id }), { upload: { revision: 1 }, requestKey });
        else expect(await taken([id])).toHaveLength(1);
        const next = await open({ requestKey });
        expect(next.id).not.toBe(id);
        await forget(id);
      },
    );

    it('are given to an open or to a later one while sessions are closed all the time', async () => {
      const requestKey = newId();
      const ids = new Set<string>();
      const work = async () => {
        for (let i = 0; i < 5; i++) {
          const { session } = await uploads().open({ id: newId(), state: 0, expireTime: hour(), requestKey });
          if (await uploads().close(session.id, session.revision, hour())) ids.add(session.id);
        }
      };
      await Promise.all([work(), work(), work()]);
      expect(ids.size).toBeGreaterThan(0);
    });
  });

  describe('closed sessions', () => {
    it('are returned from their sweep time on, oldest first, until they are forgotten', async () => {
      const [first, second, later] = [await open(), await open(), await open()];
      const now = Date.now();
      await uploads().close(second.id, 1, new Date(now));
      await uploads().close(first.id, 1, new Date(now - 1));
      await uploads().close(later.id, 1, new Date(now + 1));
      const ids = [first.id, second.id, later.id];
      for (let time = 0; time < 2; time++) {
        const closed = await taken(ids, new Date(now));
        expect(closed.map((session) => session.id)).toEqual([first.id, second.id]);
        expect(closed[0]).toMatchObject({ revision: 1, state: first.state });
      }
      expect((await taken(ids, new Date(now + 1))).map((session) => session.id)).toEqual(ids);
      await forget(first.id);
      await forget(first.id);
      expect((await taken(ids, new Date(now))).map((session) => session.id)).toEqual([second.id]);
      await Promise.all([forget(second.id), forget(later.id)]);
      expect(await taken(ids, hour())).toEqual([]);
    });

    it('are those that expired too, and not those that were prolonged', async () => {
      const [expired, prolonged] = [
        await open({ expireTime: new Date(2_000) }),
        await open({ expireTime: new Date(2_000) }),
      ];
      const running = await uploads().update(prolonged.id, 1, { state: 2, expireTime: hour() });
      const ids = [expired.id, prolonged.id];
      expect(await taken(ids, new Date(2_000))).toEqual([]);
      expect(await uploads().get(expired.id)).toEqual(expired);
      expect((await taken(ids)).map((session) => session.id)).toEqual([expired.id]);
      expect(await uploads().get(expired.id)).toBeUndefined();
      expect(await uploads().update(expired.id, 1, { state: 1, expireTime: hour() })).toBeUndefined();
      expect(await uploads().get(prolonged.id)).toEqual(running);
      await forget(expired.id);
    });

    it('are listed before they are taken, only expired ones, without a change', async () => {
      const [prolonged, expired, closed, later] = await Promise.all([
        open(),
        open({ expireTime: new Date(1_000) }),
        open(),
        open(),
      ]);
      await uploads().close(closed.id, 1, new Date(2_000));
      await uploads().close(later.id, 1, hour());
      const ids = (await uploads().listPast(new Date(), 1_000)).map(({ id }) => id);
      expect(ids).toEqual(expect.arrayContaining([expired.id, closed.id]));
      expect(ids).not.toContain(prolonged.id);
      expect(ids).not.toContain(later.id);
      expect(await uploads().listPast(new Date(), 1)).toHaveLength(1);
      expect(await uploads().get(expired.id)).toEqual(expired);
    });

    it('are no more than asked for, the oldest', async () => {
      const ids: string[] = [];
      for (let i = 0; i < 5; i++) ids.push((await open({ expireTime: new Date(i) })).id);
      const seen: string[] = [];
      for (;;) {
        const closed = await uploads().takeClosed(new Date(100), 2);
        if (closed.length === 0) break;
        expect(closed.length).toBeLessThanOrEqual(2);
        for (const hold of closed) {
          if (hold.kind === 'upload') seen.push(hold.id);
          await uploads().forget(hold);
        }
      }
      expect(seen).toEqual(ids);
    });

    it('are taken from behind a place in their order', async () => {
      const ids: string[] = [];
      for (const age of [1, 2, 2, 3]) ids.push((await open({ expireTime: new Date(age) })).id);
      const order = [ids[0]!, ...ids.slice(1, 3).toSorted(), ids[3]!];
      const all = await uploads().takeClosed(new Date(100), 3);
      expect(all.map(({ id }) => id)).toEqual(order.slice(0, 3));
      const after = { time: all[1]!.expireTime, id: all[1]!.id };
      const behind = await uploads().takeClosed(new Date(100), 1_000, { after });
      expect(behind.map(({ id }) => id)).toEqual(order.slice(2));
      for (const id of ids) await forget(id);
    });

    it('are returned in one order with expired reservations', async () => {
      const reserved = (age: number) => uploads().reserve([newId()], new Date(age));
      const [second, fourth] = [await reserved(2), await reserved(4)];
      const [first, third] = [
        await open({ expireTime: new Date(1) }),
        await open({ expireTime: new Date(3) }),
      ];
      const order = [first, second, third, fourth].map(({ id }) => id);
      const kinds = ['upload', 'reservation', 'upload', 'reservation'];
      const past = await uploads().listPast(new Date(100), 1_000);
      expect(past.map(({ id }) => id)).toEqual(order);
      expect(past.map(({ kind }) => kind)).toEqual(kinds);
      expect(past.map(({ fileIds }) => fileIds)).toEqual([
        [first.id],
        second.fileIds,
        [third.id],
        fourth.fileIds,
      ]);
      const page = await uploads().takeClosed(new Date(100), 3);
      expect(page.map(({ id }) => id)).toEqual(order.slice(0, 3));
      const after = { time: page[1]!.expireTime, id: page[1]!.id };
      expect((await uploads().listPast(new Date(100), 1, { after })).map(({ id }) => id)).toEqual([third.id]);
      const behind = await uploads().takeClosed(new Date(100), 1_000, { after });
      expect(behind.map(({ id, kind }) => [id, kind])).toEqual([
        [third.id, 'upload'],
        [fourth.id, 'reservation'],
      ]);
      // One kind is not forgotten in place of the other.
      await uploads().forget({ kind: 'reservation', id: first.id });
      await uploads().forget({ kind: 'upload', id: second.id });
      const all = await uploads().takeClosed(new Date(100), 1_000);
      expect(all.map(({ id }) => id)).toEqual(order);
      for (const hold of all) await uploads().forget(hold);
      expect(await uploads().takeClosed(new Date(100), 1_000)).toEqual([]);
    });

    it('do not include one that is prolonged at that moment', async () => {
      await withReplicas(async (replicas) => {
        for (let round = 0; round < 8; round++) {
          const { id } = await open({ expireTime: new Date(2_000) });
          const [updated, closed] = await Promise.all([
            replicas[0]!.uploads.update(id, 1, { state: round, expireTime: hour() }),
            replicas[1]!.uploads.takeClosed(new Date(), 1_000),
          ]);
          const isClosed = (await taken([id])).length > 0;
          expect(isClosed).toBe(updated === undefined);
          expect(await uploads().get(id)).toEqual(updated);
          if (!isClosed) expect(closed.some((session) => session.id === id)).toBe(false);
          await forget(id);
        }
      });
    });

    it('are forgotten if only they are left', async () => {
      const session = await open();
      await forget(session.id);
      expect(await uploads().get(session.id)).toEqual(session);
      expect(await uploads().update(session.id, 1, { state: 2, expireTime: hour() })).toBeDefined();
      await forget(newId());
    });
  });

  describe('sessions that become a file', () => {
    it('are gone with it', async () => {
      const { id } = await open({ expireTime: new Date(2_000) });
      await uploads().update(id, 1, { state: 2, expireTime: new Date(2_000) });
      const result = await catalog().create(newFile({ id }), { upload: { revision: 2 } });
      expect(result).toMatchObject({ status: 'created', record: { id } });
      expect((await catalog().get([id])).size).toBe(1);
      expect(await uploads().get(id)).toBeUndefined();
      expect(await uploads().update(id, 2, { state: 3, expireTime: hour() })).toBeUndefined();
      expect(await uploads().close(id, 2, new Date(0))).toBe(false);
      expect(await taken([id])).toEqual([]);
    });

    it.each(['at an earlier revision', 'at a later one', 'closed', 'expired and taken', 'never opened'])(
      'are refused as expired, with nothing written: %s',
      async (how) => {
        const file = newFile({ id: newId() });
        const expireTime = how === 'expired and taken' ? new Date(2_000) : hour();
        if (how !== 'never opened') await open({ id: file.id, expireTime });
        if (how === 'at an earlier revision') await uploads().update(file.id, 1, { state: 2, expireTime });
        if (how === 'closed') await uploads().close(file.id, 1, hour());
        if (how === 'expired and taken') await taken([file.id]);
        const before = await uploads().get(file.id);
        const requestKey = newId();
        const fence = { upload: { revision: how === 'at a later one' ? 2 : 1 } };
        await expect(catalog().create(file, { ...fence, requestKey })).rejects.toMatchObject({
          reason: 'UPLOAD_EXPIRED',
        });
        expect((await catalog().get([file.id])).size).toBe(0);
        expect(await catalog().findByRequestKey(requestKey)).toBeUndefined();
        expect(await uploads().get(file.id)).toEqual(before);
        await forget(file.id);
      },
    );

    it('become one file: a second create finds no session, with any request key', async () => {
      await withReplicas(async (replicas) => {
        const { id } = await open();
        const options = { upload: { revision: 1 }, requestKey: newId() };
        const results = await outcomes(replicas.map((one) => one.create(newFile({ id }), options)));
        expect(results.sort()).toEqual(['UPLOAD_EXPIRED', 'ok']);
        const [last] = await outcomes([catalog().create(newFile({ id }), options)]);
        expect(last).toBe('UPLOAD_EXPIRED');
        expect((await catalog().findByRequestKey(options.requestKey))?.id).toBe(id);
      });
    });

    it('stay open where the request key is taken', async () => {
      const requestKey = newId();
      const earlier = await createFile(catalog(), {}, requestKey);
      const session = await open({ requestKey });
      const options = { upload: { revision: 1 }, requestKey };
      const result = await catalog().create(newFile({ id: session.id }), options);
      expect(result).toEqual({ status: 'request-taken' });
      expect(await uploads().get(session.id)).toEqual(session);
      expect((await catalog().get([session.id])).size).toBe(0);
      expect((await catalog().findByRequestKey(requestKey))?.id).toBe(earlier.id);
      expect(await uploads().close(session.id, 1, hour())).toBe(true);
    });

    it('stay open where the description is refused', async () => {
      const session = await open();
      const { id } = session;
      const refused: [string, Partial<NewFileRecord>][] = [['CATALOG_REFUSED', { name: 'a\0b' }]];
      if (subject().exceptions.hasNoSchema === undefined) {
        refused.push(
          ['RELATION_TARGET_MISSING', { relations: { project: ['missing00000000'] } }],
          ['RELATION_UNKNOWN', { relations: { nothing: ['x'] } }],
          ['ATTRIBUTE_INVALID', { attributes: { nothing: 1 } }],
        );
      }
      for (const [reason, fields] of refused) {
        const creating = catalog().create(newFile({ id, ...fields }), { upload: { revision: 1 } });
        await expect(creating).rejects.toMatchObject({ reason });
        expect(await uploads().get(id)).toEqual(session);
        expect((await catalog().get([id])).size).toBe(0);
      }
      const result = await catalog().create(newFile({ id }), { upload: { revision: 1 } });
      expect(result.status).toBe('created');
    });

    it.each(['close', 'update', 'takeClosed'] as const)('never do both: create against %s', async (rival) => {
      await withReplicas(async (replicas) => {
        for (let round = 0; round < 8; round++) {
          const { id } = await open({ expireTime: new Date(2_000) });
          const other = replicas[1]!.uploads;
          const change = { state: round, expireTime: new Date(2_000) };
          const [created, changed] = await Promise.all([
            outcomes([replicas[0]!.create(newFile({ id }), { upload: { revision: 1 } })]),
            rival === 'close'
              ? other.close(id, 1, new Date(0))
              : rival === 'update'
                ? other.update(id, 1, change).then((session) => session !== undefined)
                : other.takeClosed(new Date(), 1_000).then((all) => all.some((one) => one.id === id)),
          ]);
          expect(created).toEqual([changed ? 'UPLOAD_EXPIRED' : 'ok']);
          expect((await catalog().get([id])).size).toBe(changed ? 0 : 1);
          expect((await taken([id])).length).toBe(changed ? 1 : 0);
          await forget(id);
        }
      });
    });
  });
}
