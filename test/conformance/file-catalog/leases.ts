import { describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FileCatalog } from '../../../src/catalog/file-catalog.ts';
import { newId, type CatalogSubject } from './subject.ts';

/** Leases: what only one replica may do at a time. */
export function leaseTests(catalog: () => FileCatalog, subject: () => CatalogSubject): void {
  const inAMinute = () => new Date(Date.now() + 60_000);
  const past = () => new Date(Date.now() - 1_000);

  /** Ten holders take a lease at once through two catalogs; returns those that got it. */
  async function race(name: string): Promise<string[]> {
    const other = subject().open();
    try {
      const holders = Array.from({ length: 10 }, (_, i) => `Racer_${i}-${newId()}`);
      const took = await Promise.all(
        holders.map((holder, i) => (i % 2 ? other : catalog()).acquireLease(name, holder, inAMinute())),
      );
      return holders.filter((_, i) => took[i]);
    } finally {
      await other.close();
    }
  }

  describe('leases', () => {
    it('a lease is taken by one holder and refused to others', async () => {
      const name = newId();
      expect(await catalog().acquireLease(name, 'one', inAMinute())).toBe(true);
      expect(await catalog().acquireLease(name, 'two', inAMinute())).toBe(false);
      expect(await catalog().acquireLease(newId(), 'two', inAMinute())).toBe(true);
    });

    it('a lease may have the longest name and holder', async () => {
      const [name, holder] = ['a-0'.padEnd(64, newId()), 'A_z-9'.padEnd(64, 'x')];
      expect(await catalog().acquireLease(name, holder, inAMinute())).toBe(true);
      expect(await catalog().acquireLease(name, `${holder.slice(1)}y`, inAMinute())).toBe(false);
      await catalog().releaseLease(name, holder);
    });

    it('a lease is prolonged by its holder, and ends by the last expiry', async () => {
      const name = newId();
      expect(await catalog().acquireLease(name, 'one', new Date(Date.now() + 800))).toBe(true);
      expect(await catalog().acquireLease(name, 'one', inAMinute())).toBe(true);
      await sleep(1_000);
      expect(await catalog().acquireLease(name, 'two', inAMinute())).toBe(false);
      expect(await catalog().acquireLease(name, 'one', past())).toBe(true);
      expect(await catalog().acquireLease(name, 'two', inAMinute())).toBe(true);
      expect(await catalog().acquireLease(name, 'one', inAMinute())).toBe(false);
    });

    it('a lease is free once it has expired, and not before', async () => {
      const name = newId();
      const expireTime = new Date(Date.now() + 3_000);
      expect(await catalog().acquireLease(name, 'one', expireTime)).toBe(true);
      const refused = await catalog().acquireLease(name, 'two', inAMinute());
      // Unless the machine was so slow that it had already expired.
      if (Date.now() < expireTime.getTime()) expect(refused).toBe(false);
      await sleep(Math.max(0, expireTime.getTime() - Date.now()) + 50);
      expect(await catalog().acquireLease(name, refused ? 'two' : 'three', inAMinute())).toBe(true);
    });

    it('a lease is released by its holder alone', async () => {
      const name = newId();
      await catalog().releaseLease(name, 'one');
      expect(await catalog().acquireLease(name, 'one', inAMinute())).toBe(true);
      await catalog().releaseLease(name, 'two');
      expect(await catalog().acquireLease(name, 'two', inAMinute())).toBe(false);
      await catalog().releaseLease(name, 'one');
      expect(await catalog().acquireLease(name, 'two', inAMinute())).toBe(true);
      await catalog().releaseLease(name, 'one');
      expect(await catalog().acquireLease(name, 'one', inAMinute())).toBe(false);
    });

    it('a lease that ten take at once has one winner', async () => {
      for (let round = 0; round < 5; round++) {
        const name = newId();
        const [winner, ...others] = await race(name);
        expect(winner).toBeDefined();
        expect(others).toEqual([]);
        expect(await catalog().acquireLease(name, winner!, inAMinute())).toBe(true);
      }
    });

    it('a lease that ten take over at once, after its expiry, has one winner', async () => {
      for (let round = 0; round < 5; round++) {
        const name = newId();
        expect(await catalog().acquireLease(name, 'dead', past())).toBe(true);
        expect(await race(name)).toHaveLength(1);
        expect(await catalog().acquireLease(name, 'dead', inAMinute())).toBe(false);
      }
    });

    it('a lease is prolonged or taken over, never both, when the two race', async () => {
      for (let round = 0; round < 10; round++) {
        const name = newId();
        expect(await catalog().acquireLease(name, 'one', past())).toBe(true);
        const holders = ['one', 'two'];
        const took = await Promise.all(
          holders.map((holder) => catalog().acquireLease(name, holder, inAMinute())),
        );
        expect(took.filter(Boolean)).toHaveLength(1);
      }
    });
  });
}
