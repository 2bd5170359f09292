import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FileCatalog } from '../../../src/catalog/file-catalog.ts';
import { createFile, newFile, newId, reserve, type CatalogSubject } from './subject.ts';

/** A catalog that is down and comes back; cancelled calls. */
export function outageTests(catalog: () => FileCatalog, subject: () => CatalogSubject): void {
  describe('cancelled calls', () => {
    it('reject with the reason of the signal', async () => {
      const file = await createFile(catalog());
      const reason = new Error('the caller went away');
      const call = { signal: AbortSignal.abort(reason) };
      await expect(catalog().get([file.id], call)).rejects.toBe(reason);
      await expect(catalog().update(file.id, file.revision, { name: 'x' }, call)).rejects.toBe(reason);
      await expect(catalog().check(call)).rejects.toBe(reason);
      const controller = new AbortController();
      const running = catalog().create(newFile(), { reservationId: newId() }, { signal: controller.signal });
      controller.abort(reason);
      await expect(running).rejects.toBe(reason);
    });

    it('leave the catalog usable', async () => {
      for (let i = 0; i < 30; i++) {
        const controller = new AbortController();
        const running = catalog().list(
          { filter: {}, showDeleted: true, limit: 100 },
          { signal: controller.signal },
        );
        setTimeout(() => controller.abort(new Error('enough')), i % 5);
        await running.catch(() => undefined);
      }
      await catalog().check();
      await createFile(catalog());
    });
  });

  describe('outage', () => {
    const opened: FileCatalog[] = [];

    afterEach(async () => {
      const { outage } = subject();
      if ('impossible' in outage) return;
      await outage.restore();
      await Promise.all(opened.splice(0).map((one) => one.close()));
    });

    /** Every method on a catalog that is down. */
    function everyCall(one: FileCatalog, reservationId: string): [string, () => Promise<unknown>][] {
      const date = new Date(0);
      return [
        ['get', () => one.get([newId()])],
        ['create', () => one.create(newFile(), { reservationId, requestKey: newId() })],
        ['findByRequestKey', () => one.findByRequestKey(newId())],
        ['update', () => one.update(newId(), '1', { name: 'x' })],
        ['list', () => one.list({ filter: { owner: 'x' }, showDeleted: false, limit: 5 })],
        ['uploads.reserve', () => one.uploads.reserve([newId()], new Date(Date.now() + 60_000))],
        ['uploads.extend', () => one.uploads.extend(reservationId, new Date(Date.now() + 60_000))],
        ['uploads.release', () => one.uploads.release(newId(), [])],
        ['uploads.keepLeftovers', () => one.uploads.keepLeftovers(newId(), [newId()])],
        ['uploads.forget (reservation)', () => one.uploads.forget({ kind: 'reservation', id: newId() })],
        ['listPurgeable', () => one.listPurgeable(date, 1)],
        ['purge', () => one.purge(newId(), '1')],
        [
          'uploads.open',
          () => one.uploads.open({ id: newId(), state: 1, expireTime: date, requestKey: newId() }),
        ],
        ['uploads.get', () => one.uploads.get(newId())],
        ['uploads.update', () => one.uploads.update(newId(), 1, { state: 1, expireTime: date })],
        ['uploads.close', () => one.uploads.close(newId(), 1, date)],
        ['uploads.takeClosed', () => one.uploads.takeClosed(date, 1)],
        ['uploads.forget (session)', () => one.uploads.forget({ kind: 'upload', id: newId() })],
        ['check', () => one.check()],
      ];
    }

    it.each(['cut', 'stall'] as const)('is told as such in time, and is over by itself: %s', async (kind) => {
      const { outage } = subject();
      if ('impossible' in outage) {
        expect(outage.impossible).not.toBe('');
        return;
      }
      const one = outage.open();
      opened.push(one);
      const { id: reservationId } = await reserve(one);
      // Some open idle connections, as in production.
      await Promise.all(Array.from({ length: 5 }, () => one.check()));
      await outage[kind]();
      await Promise.all(
        everyCall(one, reservationId).map(async ([name, call]) => {
          const start = Date.now();
          const error = await call().then(
            () => new Error(`${name} resolved`),
            (reason: unknown) => reason,
          );
          const took = Date.now() - start;
          expect({ name, error }).toMatchObject({ name, error: { reason: 'CATALOG_UNAVAILABLE' } });
          expect((error as { retryAfterMs?: number }).retryAfterMs).toBeGreaterThan(0);
          expect({ name, inTime: took < (name === 'check' ? 5_000 : 15_000) }).toEqual({
            name,
            inTime: true,
          });
          const { message, metadata } = error as { message: string; metadata: object };
          for (const secret of outage.secrets)
            expect(message + JSON.stringify(metadata)).not.toContain(secret);
        }),
      );
      await outage.restore();
      const end = Date.now() + 10_000;
      while (
        !(await one.check().then(
          () => true,
          () => false,
        ))
      ) {
        if (Date.now() > end) throw new Error('the catalog did not come back');
        await sleep(100);
      }
      const file = await createFile(one);
      expect((await one.get([file.id])).size).toBe(1);
      expect(await one.uploads.extend(reservationId, new Date(Date.now() + 60_000))).toBe(true);
    });
  });
}
