import { describe, expect, it } from '@jest/globals';
import { Concurrency } from '../../../src/legacy/concurrency.ts';

/** Spread of the times of a simulated store, as a share of their mean. */
const CV = 0.5;

/** A generator of pseudo-random numbers in (0, 1) (mulberry32), so that a failure can be repeated. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (((mixed ^ (mixed >>> 14)) >>> 0) + 1) / 4_294_967_297;
  };
}

/** A generator of lognormal times with a mean of 1 and a coefficient of variation of {@link CV}. */
function noiseOf(random: () => number): () => number {
  const variance = Math.log(1 + CV ** 2);
  return () => {
    const normal = Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
    return Math.exp(Math.sqrt(variance) * normal - variance / 2);
  };
}

/**
 * Moves files with as many workers as wanted. `meanMs` is the mean time of a request at a number of files at once.
 *
 * @returns for each file, the number of files at once when it began
 */
function move(
  concurrency: Concurrency,
  files: number,
  meanMs: (atOnce: number, file: number) => number,
  seed: number,
): readonly number[] {
  const noise = noiseOf(randomOf(seed));
  const running: { readonly endMs: number; readonly end: () => void }[] = [];
  const atOnce: number[] = [];
  let nowMs = 0;
  for (let file = 0; file < files; file++) {
    while (running.length >= concurrency.current) {
      running.sort((one, other) => one.endMs - other.endMs);
      const first = running.shift()!;
      nowMs = Math.max(nowMs, first.endMs);
      first.end();
    }
    const times = concurrency.begin();
    atOnce.push(running.length + 1);
    const [store, catalog] = [noise(), noise()].map((factor) => factor * meanMs(running.length + 1, file));
    const end = () => {
      times.observe('store', store!);
      times.observe('catalog', catalog!);
      times.end();
    };
    running.push({ endMs: nowMs + store! + catalog!, end });
  }
  return atOnce;
}

const SEEDS = Array.from({ length: 3 }, (_, index) => index + 1);

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('the number of files that are moved at once', () => {
  it('begins with one', () => {
    expect(new Concurrency(8).current).toBe(1);
  });

  it.each(SEEDS)('reaches the maximum where the store does not mind, seed %d', (seed) => {
    const atOnce = move(new Concurrency(8), 6_000, () => 20, seed);
    expect(Math.max(...atOnce)).toBe(8);
    expect(mean(atOnce.slice(2_000))).toBeGreaterThan(6);
  });

  it.each(SEEDS)('never exceeds the maximum, and stays at one if that is one, seed %d', (seed) => {
    expect(new Set(move(new Concurrency(1), 3_000, () => 20, seed))).toEqual(new Set([1]));
    expect(Math.max(...move(new Concurrency(5), 3_000, () => 20, seed))).toBe(5);
  });

  it.each(SEEDS)('stays at one or two where the store does two at once, seed %d', (seed) => {
    const atOnce = move(new Concurrency(8), 6_000, (count) => 10 * Math.max(2, count), seed);
    expect(atOnce.filter((count) => count > 2).length / atOnce.length).toBeLessThan(0.2);
    expect(mean(atOnce)).toBeGreaterThan(1.4);
  });

  it.each(SEEDS)('stays at one where two already wait for each other, seed %d', (seed) => {
    const atOnce = move(new Concurrency(8), 6_000, (count) => 20 * count, seed);
    expect(atOnce.filter((count) => count > 1).length / atOnce.length).toBeLessThan(0.12);
  });

  it.each(SEEDS)('comes down when the store becomes busy, and goes up again after that, seed %d', (seed) => {
    // Others use the store from file 4,000 to 12,000: there each file at once costs time.
    const isBusy = (file: number) => file >= 4_000 && file < 12_000;
    const atOnce = move(new Concurrency(8), 20_000, (count, file) => (isBusy(file) ? 20 * count : 20), seed);
    expect(mean(atOnce.slice(3_000, 4_000))).toBeGreaterThan(4);
    expect(mean(atOnce.slice(6_000, 12_000))).toBeLessThan(1.5);
    expect(mean(atOnce.slice(16_000))).toBeGreaterThan(5);
  });

  it.each(SEEDS)('does not take a store that became slower for its own doing, seed %d', (seed) => {
    const atOnce = move(new Concurrency(8), 12_000, (_, file) => (file < 3_000 ? 20 : 60), seed);
    expect(mean(atOnce.slice(8_000))).toBeGreaterThan(5);
  });

  it('is not held at one by files of which no copies are measured', () => {
    const concurrency = new Concurrency(8);
    for (let file = 0; file < 4_000; file++) {
      const times = concurrency.begin();
      times.observe('store', 5);
      if (file < 200) times.observe('copy', 20);
      times.end();
    }
    expect(concurrency.current).toBeGreaterThan(4);
  });
});
