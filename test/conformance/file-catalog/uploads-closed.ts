import { describe, expect, it } from '@jest/globals';
import type { FileCatalog } from '../../../src/catalog/file-catalog.ts';
import { newId, type CatalogSubject } from './subject.ts';
import { hour, sessionsOf } from './upload-sessions.ts';

/** Closed and expired sessions of uploads: the sweeper takes them, and forgets them. */
export function closedUploadTests(catalog: () => FileCatalog, subject: () => CatalogSubject): void {
  const { forget, open, taken, uploads, withReplicas } = sessionsOf(catalog, subject);

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
}
