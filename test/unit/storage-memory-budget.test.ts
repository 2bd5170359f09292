import { describe, expect, it } from '@jest/globals';
import { setTimeout } from 'node:timers/promises';
import { MemoryBudget } from '../../src/storage/memory-budget.ts';
import { eventually } from '../support/eventually.ts';

/** Lets everything that can go on go on. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('memory budget', () => {
  it('gives out what is free at once, and takes each share back once', async () => {
    const budget = new MemoryBudget(100);
    const first = await budget.reserve(60);
    const second = await budget.reserve(40);
    expect([budget.usedBytes, budget.waiting]).toEqual([100, 0]);
    first();
    first();
    expect(budget.usedBytes).toBe(40);
    second();
    expect(budget.usedBytes).toBe(0);
  });

  it('serves who asked first, also if who came later needs less', async () => {
    const budget = new MemoryBudget(100);
    const held = await budget.reserve(50);
    const order: string[] = [];
    const take = (name: string, bytes: number) =>
      budget.reserve(bytes).then((release) => {
        order.push(name);
        return release;
      });
    const large = take('large', 80);
    const small = take('small', 10);
    const last = take('last', 20);
    await settle();
    expect([order, budget.waiting]).toEqual([[], 3]);
    held();
    await settle();
    expect([order, budget.usedBytes]).toEqual([['large', 'small'], 90]);
    (await large)();
    (await small)();
    (await last)();
    expect(order).toEqual(['large', 'small', 'last']);
    expect(budget.usedBytes).toBe(0);
  });

  it('gives all there is to a request for more than that', async () => {
    const budget = new MemoryBudget(100);
    const held = await budget.reserve(1);
    let granted = false;
    const huge = budget.reserve(1_000).then((release) => {
      granted = true;
      return release;
    });
    await settle();
    expect(granted).toBe(false);
    held();
    const release = await huge;
    expect(budget.usedBytes).toBe(100);
    release();
    expect(budget.usedBytes).toBe(0);
  });

  it('serves the next when one that waits gives up', async () => {
    const budget = new MemoryBudget(100);
    const held = await budget.reserve(50);
    const abort = new AbortController();
    const reason = new Error('enough');
    const large = budget.reserve(80, abort.signal);
    const small = budget.reserve(50);
    const gaveUp = large.catch((error: unknown) => error);
    await settle();
    expect(budget.waiting).toBe(2);
    abort.abort(reason);
    expect(await gaveUp).toBe(reason);
    const release = await small;
    expect([budget.usedBytes, budget.waiting]).toEqual([100, 0]);
    release();
    held();
    expect(budget.usedBytes).toBe(0);
  });

  it('takes nothing for a caller that has given up already, nor from one that gives up later', async () => {
    const budget = new MemoryBudget(100);
    const reason = new Error('enough');
    await expect(budget.reserve(10, AbortSignal.abort(reason))).rejects.toBe(reason);
    const abort = new AbortController();
    const held = await budget.reserve(100);
    const waiting = budget.reserve(10, abort.signal);
    held();
    const release = await waiting;
    abort.abort(reason);
    await settle();
    expect([budget.usedBytes, budget.waiting]).toEqual([10, 0]);
    release();
    expect(budget.usedBytes).toBe(0);
  });

  it('serves another caller although one with 200 uploads waits before it', async () => {
    const budget = new MemoryBudget(100);
    const releases: (() => void)[] = [];
    for (let i = 0; i < 200; i++)
      void budget.reserve(25, undefined, 'greedy').then((release) => releases.push(release));
    await settle();
    let served = false;
    const modest = budget.reserve(25, undefined, 'modest').then((release) => {
      served = true;
      return release;
    });
    await settle();
    expect([releases.length, served]).toEqual([4, false]);
    releases.shift()!();
    (await modest)();
    await settle();
    expect(releases).toHaveLength(4);
  });

  it('gives one caller no more than its share, however long the others want nothing', async () => {
    const budget = new MemoryBudget(100, 60);
    const order: string[] = [];
    const first = await budget.reserve(40, undefined, 'one');
    const second = budget.reserve(30, undefined, 'one').then((release) => {
      order.push('one');
      return release;
    });
    const other = await budget.reserve(1_000, undefined, 'two');
    await settle();
    expect([budget.usedBytes, order]).toEqual([100, []]);
    other();
    await settle();
    expect(order).toEqual([]);
    first();
    (await second)();
    expect([budget.usedBytes, budget.waiting]).toEqual([0, 0]);
  });

  it('never gives out more than it has', async () => {
    const budget = new MemoryBudget(1_000);
    let most = 0;
    await Promise.all(
      Array.from({ length: 200 }, async (_none, index) => {
        const release = await budget.reserve((index * 37) % 600);
        most = Math.max(most, budget.usedBytes);
        await settle();
        release();
      }),
    );
    expect(most).toBeGreaterThan(500);
    expect(most).toBeLessThanOrEqual(1_000);
    expect(budget.usedBytes).toBe(0);
  });

  it('keeps memory for small parts that are new, however many small ones slow callers have', async () => {
    const KIBIBYTE = 1024;
    const budget = new MemoryBudget(1024 * KIBIBYTE);
    const share = budget.of('');
    // Slow callers whose bytes cannot be put away.
    const slow = Array.from({ length: 14 }, () => share.open(() => Promise.reject(new Error('no store'))));
    for (const part of slow) await part.take(64 * KIBIBYTE);
    await setTimeout(1_100);
    const more = slow.map((part) => part.take(64 * KIBIBYTE));
    await settle();
    expect([budget.usedBytes, budget.waiting]).toEqual([14 * 64 * KIBIBYTE, 14]);

    const quick = share.open();
    await quick.take(128 * KIBIBYTE);
    expect([budget.usedBytes, budget.waiting]).toEqual([budget.totalBytes, 14]);
    quick.close();
    for (const part of slow) part.close();
    await Promise.all(more);
    for (const part of slow) part.close();
    expect(budget.waiting).toBe(0);
  });

  it('puts away the parts of slow callers a few at a time, and all that exceed half of the memory', async () => {
    const budget = new MemoryBudget(1_000);
    const share = budget.of('');
    const running: (() => void)[] = [];
    let ended = 0;
    const parts = Array.from({ length: 8 }, () => {
      const part = share.open(async () => {
        await new Promise<void>((resolve) => running.push(resolve));
        part.giveBack(part.bytes);
        ended += 1;
      });
      return part;
    });
    for (const part of parts) await part.take(100);
    await eventually(() => expect(running.length).toBeGreaterThan(0));
    const atOnce = running.length;
    expect(atOnce).toBeLessThan(3);
    // Each that ends makes room for the next, without a timer.
    while (running.length > 0) {
      running.shift()!();
      await settle();
      expect(running.length).toBeLessThanOrEqual(atOnce);
    }
    expect([ended, budget.usedBytes]).toEqual([3, 500]);
    for (const part of parts) part.close();
  });

  it('leaves the parts of slow callers in memory while others take the rest without waiting', async () => {
    const budget = new MemoryBudget(1_000);
    const share = budget.of('');
    let puts = 0;
    const slow = share.open(async () => {
      puts += 1;
      slow.giveBack(slow.bytes);
    });
    await slow.take(400);
    await setTimeout(1_100);
    const stays = () => Promise.reject(new Error('no store'));
    const quick = share.open(stays);
    await quick.take(400);
    await setTimeout(250);
    expect([puts, budget.usedBytes]).toEqual([0, 800]);
    // Whoever has to wait gets their memory.
    const last = share.open(stays);
    await last.take(400);
    expect([puts, budget.usedBytes]).toEqual([1, 800]);
    for (const part of [slow, quick, last]) part.close();
  });

  it('must be larger than 0', () => {
    for (const bytes of [0, -1, NaN]) expect(() => new MemoryBudget(bytes)).toThrow(RangeError);
  });
});
