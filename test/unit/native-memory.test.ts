import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { trimHeap } from '../../src/system/native-memory.ts';

const KIBIBYTE = 1024;
const { glibcVersionRuntime } = (process.report.getReport() as { header: { glibcVersionRuntime?: string } })
  .header;

const withGlibc = glibcVersionRuntime === undefined ? it.skip : it;

withGlibc('returns what buffers leave free between others (needs the GNU C library)', async () => {
  // A buffer that stays after every fifteen that go keeps the end of the heap in use.
  const kept: Buffer[] = [];
  let freed: Buffer[] = [];
  for (let i = 0; i < 2_048; i++) (i % 16 === 0 ? kept : freed).push(Buffer.alloc(64 * KIBIBYTE, 1));
  freed = [];
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const before = process.memoryUsage.rss();
  expect(await trimHeap()).toBe(true);
  expect(kept).toHaveLength(128);
  expect(before - process.memoryUsage.rss()).toBeGreaterThan(32 * KIBIBYTE * KIBIBYTE);
});
