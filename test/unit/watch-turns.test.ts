import { expect, it } from '@jest/globals';
import { setImmediate as turn } from 'node:timers/promises';
import { Turns } from '../../src/events/turns.ts';

const WATCHERS = 200;
const EVENTS = 3;

it('lets many watches send a few events between two turns of the event loop, each in its turn', async () => {
  const turns = new Turns();
  const sent: number[] = [];
  let isOver = false;
  const watch = async (watcher: number) => {
    for (let i = 0; i < EVENTS; i++) {
      await turns.take();
      sent.push(watcher);
    }
  };
  const watching = Promise.all(Array.from({ length: WATCHERS }, (_none, at) => watch(at))).then(() => {
    isOver = true;
  });
  const counts: number[] = [];
  while (!isOver) {
    const before = sent.length;
    await turn();
    counts.push(sent.length - before);
  }
  await watching;
  expect(sent).toHaveLength(WATCHERS * EVENTS);
  // At first those that send at once, and the first that have waited.
  expect(counts[0]).toBeLessThanOrEqual(64);
  expect(Math.max(...counts.slice(1))).toBeLessThanOrEqual(32);
  // No watch has its second event before the others have their first.
  expect(new Set(sent.slice(0, WATCHERS)).size).toBe(WATCHERS);
});

it('makes one watch wait only when it sends more than a turn has room for', async () => {
  const turns = new Turns();
  expect(turns.take()).toBeUndefined();
  await turn();
  let free = 0;
  while (turns.take() === undefined) free += 1;
  expect(free).toBe(32);
  await turn();
  await turn();
  expect(turns.take()).toBeUndefined();
});
