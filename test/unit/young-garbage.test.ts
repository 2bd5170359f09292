import { describe, expect, it } from '@jest/globals';
import { constants, PerformanceObserver } from 'node:perf_hooks';
import { collectYoungGarbage, uploadBytesCame } from '../../src/young-garbage.ts';

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
    collectYoungGarbage();
    const work = () => {
      for (let piece = 0; piece < 64; piece++) uploadBytesCame(MiB / 2);
    };
    expect(await collectionsDuring(work)).toBe(4);
  });
});
