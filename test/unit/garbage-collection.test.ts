import { describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { constants, PerformanceObserver } from 'node:perf_hooks';
import { promisify } from 'node:util';
import { tuneGarbageCollection, uploadBytesCame } from '../../src/garbage-collection.ts';

/** Collections of new objects during `work`, as V8 tells of them. */
async function collectionsDuring(work: () => void): Promise<number> {
  let count = 0;
  const observer = new PerformanceObserver((list) => {
    const entries = list.getEntries() as unknown as { detail: { kind: number; flags: number } }[];
    for (const { kind, flags } of entries.map(({ detail }) => detail)) {
      const isForced = (flags & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) !== 0;
      if (kind === constants.NODE_PERFORMANCE_GC_MINOR && isForced) count++;
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  work();
  await new Promise((resolve) => setTimeout(resolve, 200));
  observer.disconnect();
  return count;
}

const MiB = 2 ** 20;

describe('garbage of uploads', () => {
  it('is left to V8 until the program asks for it', async () => {
    expect(await collectionsDuring(() => uploadBytesCame(64 * MiB))).toBe(0);
  });

  it('is collected once for every few MiB that come in', async () => {
    tuneGarbageCollection();
    const work = () => {
      for (let piece = 0; piece < 64; piece++) uploadBytesCame(MiB / 2);
    };
    expect(await collectionsDuring(work)).toBe(4);
  });
});

describe('the space for new objects', () => {
  /** Makes objects of which many live for a while, and prints the size that the space came to, in bytes. */
  const PROGRAM = `
    import { getHeapSpaceStatistics } from 'node:v8';
    const module = process.argv[1];
    (await import(module)).tuneGarbageCollection();
    let greatest = 0;
    let kept = [];
    for (let turn = 0; turn < 600; turn++) {
      for (let i = 0; i < 2_000; i++) kept.push({ words: [i, i, i, i, i, i, i, i] });
      if (kept.length > 100_000) kept = kept.slice(50_000);
      const space = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
      greatest = Math.max(greatest, space.space_size);
      await new Promise((resolve) => setImmediate(resolve));
    }
    console.log(greatest);
  `;

  async function greatestSize(module: string): Promise<number> {
    const args = ['--max-semi-space-size=64', '--input-type=module', '-e', PROGRAM, module];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    return Number(stdout);
  }

  it('grows where it has to, and stays small', async () => {
    const tuned = await greatestSize(new URL('../../src/garbage-collection.ts', import.meta.url).href);
    expect(tuned).toBeGreaterThan(2 * MiB);
    // It doubles, and may do so once more before anybody hears of it. V8 alone would take it to 128 MiB, given the time.
    expect(tuned).toBeLessThanOrEqual(32 * MiB);
  });
});
