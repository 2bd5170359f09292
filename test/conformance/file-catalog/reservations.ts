import { describe, expect, it } from '@jest/globals';
import type { AssetError } from '../../../src/errors/asset-error.ts';
import type { FileCatalog, Reservation } from '../../../src/catalog/file-catalog.ts';
import { createFile, getFile, newFile, newId, outcomes, reserve, type CatalogSubject } from './subject.ts';

/** Reservations, by which the sweeper distinguishes running uploads from leftovers of a crash. */
export function reservationTests(catalog: () => FileCatalog, subject: () => CatalogSubject): void {
  const past = new Date(1_000);

  /** The closed reservation with an id. */
  async function closedWith(fileId: string): Promise<Reservation | undefined> {
    const closed = await catalog().uploads.takeClosed(new Date(), 1_000);
    return closed.find((reservation) => reservation.fileIds.includes(fileId));
  }

  describe('reservations', () => {
    it('let many files be created under one', async () => {
      const files = Array.from({ length: 8 }, () => newFile());
      const ids = files.map((file) => file.id);
      const reservation = await reserve(catalog(), ids);
      expect(reservation.fileIds).toEqual(ids);
      const options = { reservationId: reservation.id };
      const results = await Promise.all(files.map((file) => catalog().create(file, options)));
      expect(results.map((result) => result.status)).toEqual(files.map(() => 'created'));
    });

    it('give each of many concurrent creates its own result', async () => {
      const files = Array.from({ length: 60 }, () => newFile());
      const ids = files.map((file) => file.id);
      const open = await Promise.all([0, 20].map((from) => reserve(catalog(), ids.slice(from, from + 20))));
      const closed = await reserve(catalog(), ids.slice(40));
      await catalog().uploads.release(closed.id, []);
      const key = newId();
      // Every twentieth has a key that only one of them can have.
      const results = await Promise.allSettled(
        files.map((file, i) => {
          const { id: reservationId } = [...open, closed][Math.floor(i / 20)]!;
          return catalog().create(file, { reservationId, ...(i % 20 === 7 && { requestKey: key }) });
        }),
      );
      const ends = results.map((result) =>
        result.status === 'fulfilled' ? result.value.status : (result.reason as AssetError).reason,
      );
      const [first, second] = [ends[7], ends[27]];
      expect([first, second].sort()).toEqual(['created', 'request-taken']);
      const others = ends.filter((_, i) => i !== 7 && i !== 27 && i !== 47);
      expect(others).toEqual([
        ...Array.from({ length: 38 }, () => 'created'),
        ...Array.from({ length: 19 }, () => 'UPLOAD_EXPIRED'),
      ]);
      expect((await catalog().get(ids)).size).toBe(39);
    });

    it('hold a thousand ids', async () => {
      const ids = Array.from({ length: 1_000 }, newId);
      const { id } = await catalog().uploads.reserve(ids, past);
      const closed = await closedWith(ids[999]!);
      expect(closed?.fileIds).toEqual(ids);
      await catalog().uploads.forget({ kind: 'reservation', id: closed!.id });
      expect(await catalog().uploads.extend(id, new Date())).toBe(false);
    });

    it.each(['closed', 'closed with leftovers', 'never opened'])('refuse a file once %s', async (how) => {
      const file = newFile();
      const { id } = await reserve(catalog(), [file.id]);
      if (how !== 'never opened') await catalog().uploads.release(id, how === 'closed' ? [] : [file.id]);
      const reservationId = how === 'never opened' ? newId() : id;
      await expect(catalog().create(file, { reservationId })).rejects.toMatchObject({
        reason: 'UPLOAD_EXPIRED',
      });
      expect((await catalog().get([file.id])).size).toBe(0);
      expect(await catalog().uploads.extend(reservationId, new Date())).toBe(false);
    });

    it('are still good after their expiry, until they are taken', async () => {
      const [first, second] = [newFile(), newFile()];
      const { id: reservationId } = await catalog().uploads.reserve([first.id, second.id], past);
      expect((await catalog().create(first, { reservationId })).status).toBe('created');
      expect((await closedWith(second.id))?.fileIds).toEqual([first.id, second.id]);
      await expect(catalog().create(second, { reservationId })).rejects.toMatchObject({
        reason: 'UPLOAD_EXPIRED',
      });
    });

    it('keep only the leftovers when closed, and may be closed again without effect', async () => {
      const ids = [newId(), newId(), newId()];
      const { id } = await reserve(catalog(), ids);
      await catalog().uploads.release(id, [ids[1]!]);
      await catalog().uploads.release(id, []);
      await catalog().uploads.release(id, ids);
      const closed = await closedWith(ids[1]!);
      expect(closed?.fileIds).toEqual([ids[1]]);
      expect(await closedWith(ids[0]!)).toBeUndefined();
      await catalog().uploads.forget({ kind: 'reservation', id: closed!.id });
      expect(await closedWith(ids[1]!)).toBeUndefined();
      await catalog().uploads.forget({ kind: 'reservation', id: closed!.id });
    });

    it('are not taken before they expire, or once they are prolonged', async () => {
      const [file] = [newFile()];
      const { id } = await catalog().uploads.reserve([file.id], past);
      expect(await catalog().uploads.extend(id, new Date(Date.now() + 60_000))).toBe(true);
      expect(await closedWith(file.id)).toBeUndefined();
      expect((await catalog().create(file, { reservationId: id })).status).toBe('created');
      expect(await catalog().uploads.extend(id, past)).toBe(true);
      expect(await closedWith(file.id)).toBeDefined();
    });

    it('are not forgotten while they are open', async () => {
      const file = newFile();
      const { id } = await reserve(catalog(), [file.id]);
      await catalog().uploads.forget({ kind: 'reservation', id: id });
      expect((await catalog().create(file, { reservationId: id })).status).toBe('created');
    });

    it('are taken again until they are forgotten, oldest first and no more than asked for', async () => {
      // Leftovers of other tests would falsify an exact count.
      for (const { id } of await catalog().uploads.takeClosed(new Date(), 1_000)) {
        await catalog().uploads.forget({ kind: 'reservation', id: id });
      }
      const ids = [newId(), newId(), newId()];
      for (const [i, age] of [2, 3, 1].entries())
        await catalog().uploads.reserve([ids[i]!], new Date(age * 1_000));
      const oldestFirst = [ids[2], ids[0], ids[1]];
      const take = async (limit: number) =>
        (await catalog().uploads.takeClosed(new Date(), limit)).map((reservation) => reservation.fileIds[0]);
      expect(await take(2)).toEqual(oldestFirst.slice(0, 2));
      // As if the process had crashed here.
      expect(await take(2)).toEqual(oldestFirst.slice(0, 2));
      expect(await take(10)).toEqual(oldestFirst);
      const [oldest] = await catalog().uploads.takeClosed(new Date(), 1);
      await catalog().uploads.forget({ kind: 'reservation', id: oldest!.id });
      expect(await take(10)).toEqual(oldestFirst.slice(1));
    });

    it('are taken and listed from behind a place in their order', async () => {
      for (const { id } of await catalog().uploads.takeClosed(new Date(), 1_000)) {
        await catalog().uploads.forget({ kind: 'reservation', id: id });
      }
      const ids = Array.from({ length: 6 }, newId);
      // Two with one time; the first two are closed before, the others by the calls below.
      for (const [i, age] of [1, 2, 3, 3, 4, 5].entries()) {
        const { id } = await catalog().uploads.reserve([ids[i]!], new Date(age * 1_000));
        if (i < 2) await catalog().uploads.release(id, [ids[i]!]);
      }
      const listed = await catalog().uploads.listPast(new Date(), 1_000);
      expect(listed.map(({ fileIds }) => fileIds[0]).toSorted()).toEqual(ids.toSorted());
      const behind = async (one: Reservation, limit: number) => {
        const after = { time: one.expireTime, id: one.id };
        const page = await catalog().uploads.listPast(new Date(), limit, { after });
        expect(await catalog().uploads.takeClosed(new Date(), limit, { after })).toEqual(page);
        return page.map(({ id }) => id);
      };
      const order = listed.map(({ id }) => id);
      expect(await behind(listed[2]!, 2)).toEqual(order.slice(3, 5));
      expect(await behind(listed[0]!, 1_000)).toEqual(order.slice(1));
      expect(await behind(listed[5]!, 1_000)).toEqual([]);
      const all = await catalog().uploads.takeClosed(new Date(), 1_000);
      expect(all.map(({ id }) => id)).toEqual(order);
    });

    it('are cut down to some of their ids once they are closed', async () => {
      const ids = [newId(), newId(), newId()];
      const { id } = await reserve(catalog(), ids);
      await catalog().uploads.keepLeftovers(id, [ids[0]!]);
      expect((await catalog().create(newFile({ id: ids[1]! }), { reservationId: id })).status).toBe(
        'created',
      );
      await catalog().uploads.release(id, ids);
      await catalog().uploads.keepLeftovers(id, [ids[2]!]);
      expect((await closedWith(ids[2]!))?.fileIds).toEqual([ids[2]]);
      expect(await closedWith(ids[0]!)).toBeUndefined();
      await catalog().uploads.forget({ kind: 'reservation', id: id });
      await catalog().uploads.keepLeftovers(id, [ids[2]!]);
      expect(await closedWith(ids[2]!)).toBeUndefined();
    });

    it('are listed in the order of a sweep, only expired ones, without a change', async () => {
      const [open, expired, closed] = [newFile(), newFile(), newFile()];
      await reserve(catalog(), [open.id]);
      const { id: reservationId } = await catalog().uploads.reserve([expired.id], past);
      const other = await reserve(catalog(), [closed.id]);
      await catalog().uploads.release(other.id, [closed.id]);
      const listed = await catalog().uploads.listPast(new Date(), 1_000);
      const ids = listed.flatMap((reservation) => reservation.fileIds);
      expect(ids).toEqual(expect.arrayContaining([expired.id, closed.id]));
      expect(ids).not.toContain(open.id);
      expect(await catalog().uploads.listPast(new Date(), 1)).toHaveLength(1);
      expect((await catalog().create(expired, { reservationId })).status).toBe('created');
    });

    it('are closed or used, never both, when a close and a create race', async () => {
      const other = subject().open();
      try {
        for (let round = 0; round < 15; round++) {
          const file = newFile();
          const { id } = await catalog().uploads.reserve([file.id], past);
          const closing =
            round % 2 === 0
              ? () => other.uploads.release(id, [file.id])
              : () => other.uploads.takeClosed(new Date(), 1_000);
          const create = () => catalog().create(file, { reservationId: id });
          const order = round % 4 < 2 ? [create, closing] : [closing, create];
          const results = await outcomes(order.map((start) => start()));
          const created = results[order.indexOf(create)];
          expect(results[order.indexOf(closing)]).toBe('ok');
          expect(['ok', 'UPLOAD_EXPIRED']).toContain(created);
          // From here on the sweeper relies on the list.
          expect((await catalog().get([file.id])).size).toBe(created === 'ok' ? 1 : 0);
          const again = outcomes([catalog().create(newFile(), { reservationId: id })]);
          expect(await again).toEqual(['UPLOAD_EXPIRED']);
        }
      } finally {
        await other.close();
      }
    });

    it('are prolonged or taken, never both, when the two race', async () => {
      const other = subject().open();
      try {
        for (let round = 0; round < 10; round++) {
          const file = newFile();
          const { id } = await catalog().uploads.reserve([file.id], past);
          const [extended] = await Promise.all([
            catalog().uploads.extend(id, new Date(Date.now() + 60_000)),
            other.uploads.takeClosed(new Date(), 1_000),
          ]);
          const [created] = await outcomes([catalog().create(file, { reservationId: id })]);
          expect(created).toBe(extended ? 'ok' : 'UPLOAD_EXPIRED');
        }
      } finally {
        await other.close();
      }
    });
  });

  describe('purge', () => {
    it('removes the record and leaves a closed reservation with its id', async () => {
      const { id, revision } = await createFile(catalog(), {
        relations: { tags: [subject().targets.tags[0]!] },
      });
      expect(await catalog().purge(id, revision)).toBe(true);
      expect((await catalog().get([id])).size).toBe(0);
      expect(await closedWith(id)).toMatchObject({ id, fileIds: [id] });
      expect(await catalog().purge(id, revision)).toBe(false);
      await catalog().uploads.forget({ kind: 'reservation', id: id });
      expect(await closedWith(id)).toBeUndefined();
    });

    it('changes nothing if the record is gone or has changed', async () => {
      const file = await createFile(catalog());
      const changed = await catalog().update(file.id, file.revision, { name: 'kept' });
      expect(await catalog().purge(file.id, file.revision)).toBe(false);
      expect((await getFile(catalog(), file.id)).name).toBe('kept');
      expect(await closedWith(file.id)).toBeUndefined();
      expect(await catalog().purge(file.id, changed.revision)).toBe(true);
      expect(await catalog().purge(newId(), changed.revision)).toBe(false);
    });

    it.each([0, 1])('races with updates: one of them happens (after %d changes)', async (changes) => {
      const other = subject().open();
      try {
        for (let round = 0; round < 6; round++) {
          let file = await createFile(catalog());
          if (changes) file = await catalog().update(file.id, file.revision, { name: 'changed' });
          const [purged, updated] = await Promise.all([
            other.purge(file.id, file.revision),
            outcomes([catalog().update(file.id, file.revision, { deleteTime: null, name: 'undeleted' })]),
          ]);
          expect(updated[0] === 'ok').toBe(!purged);
          expect((await catalog().get([file.id])).size).toBe(purged ? 0 : 1);
        }
      } finally {
        await other.close();
      }
    });

    it('is offered from behind a place in the order of the records that are due', async () => {
      const past = [1, 2, 2, 3].map((age) => new Date(Date.UTC(2001, 1, 1) + age));
      const ids: string[] = [];
      for (const purgeTime of past) {
        const { id, revision } = await createFile(catalog());
        await catalog().update(id, revision, { deleteTime: purgeTime, purgeTime });
        ids.push(id);
      }
      const all = await catalog().listPurgeable(new Date(Date.UTC(2002, 1)), 1_000);
      expect(all.map(({ id }) => id)).toEqual([ids[0], ...ids.slice(1, 3).toSorted(), ids[3]]);
      expect(all.map(({ purgeTime }) => purgeTime.getTime())).toEqual(past.map((time) => time.getTime()));
      for (let i = 0; i < all.length; i++) {
        const after = { time: all[i]!.purgeTime, id: all[i]!.id };
        const next = await catalog().listPurgeable(new Date(Date.UTC(2002, 1)), 2, { after });
        expect(next).toEqual(all.slice(i + 1, i + 3));
      }
      for (const { id, revision } of all) expect(await catalog().purge(id, revision)).toBe(true);
    });

    it('is offered for records that are deleted and due', async () => {
      const now = Date.now();
      const due = await createFile(catalog());
      const later = await createFile(catalog());
      const undeleted = await createFile(catalog());
      const deleteTime = new Date(now - 10);
      await catalog().update(due.id, due.revision, { deleteTime, purgeTime: new Date(now) });
      await catalog().update(later.id, later.revision, { deleteTime, purgeTime: new Date(now + 60_000) });
      await catalog().update(undeleted.id, undeleted.revision, { deleteTime: null, purgeTime: null });
      const purgeable = await catalog().listPurgeable(new Date(now), 1_000);
      const ids = purgeable.map((file) => file.id);
      expect(ids).toContain(due.id);
      expect(ids).not.toContain(later.id);
      expect(ids).not.toContain(undeleted.id);
      expect(await catalog().listPurgeable(new Date(now), 1)).toHaveLength(1);
      const record = purgeable.find((file) => file.id === due.id)!;
      expect(await catalog().purge(record.id, record.revision)).toBe(true);
    });
  });
}
