import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import {
  missing,
  startBrowserSuite,
  type BrowserSuite,
} from '../integration/example-bff/support/browser-suite.ts';
import { cardOf, openPage } from '../integration/example-bff/support/page.ts';
import { Person } from '../integration/example-bff/support/person.ts';
import { FULL } from './support/report.ts';

const MiB = 2 ** 20;

const SIZE = FULL ? 1_024 * MiB : 64 * MiB;

/** How much more memory an upload of any size may take, in bytes. The BFF and the service buffer pieces of 16 MiB. */
const BOUNDS = { browserHeap: 16 * MiB, bff: 160 * MiB, service: 160 * MiB };

const title = 'a large file in a browser';
const describeInChromium = missing === undefined ? describe : describe.skip;

/** Resident memory of a process in bytes. */
function memoryOf(pid: number | undefined): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1_024;
}

/** Writes a file of random pages that are all different; returns its SHA-256. */
async function writeLargeFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  const piece = Buffer.alloc(MiB, 'not compressible enough to matter ');
  const file = await open(path, 'w');
  for (let at = 0; at < SIZE; at += MiB) {
    piece.writeUInt32BE(at / MiB, 0);
    hash.update(piece);
    await file.write(piece);
  }
  await file.close();
  return hash.digest('hex');
}

describeInChromium(missing === undefined ? title : `${title} (${missing})`, () => {
  let suite: BrowserSuite;

  beforeAll(async () => {
    suite = await startBrowserSuite();
  });

  afterAll(() => suite?.dispose());

  it(
    `of ${SIZE / MiB} MiB is uploaded with constant memory of browser, BFF and service`,
    async () => {
      const path = join(suite.dir, 'large.bin');
      const sha256 = await writeLargeFile(path);
      const { context, page } = await openPage(suite.browser, suite.bff.url, 'ann');
      const devtools = await context.newCDPSession(page);
      await devtools.send('Performance.enable');
      /** What is alive in the page's heap, in bytes. */
      const heap = async () => {
        await devtools.send('HeapProfiler.collectGarbage');
        const { metrics } = await devtools.send('Performance.getMetrics');
        return metrics.find(({ name }) => name === 'JSHeapUsedSize')!.value;
      };
      const sample = async () => ({
        browserHeap: await heap(),
        bff: memoryOf(suite.bff.pid),
        service: memoryOf(suite.development.service.pid),
      });
      const before = await sample();
      const peak = { ...before };
      let samples = 0;
      await page.locator('.uppy-Dashboard-input').first().setInputFiles(path);
      const card = cardOf(page, 'large.bin');
      while ((await card.count()) === 0) {
        const now = await sample();
        for (const name of Object.keys(peak) as (keyof typeof peak)[])
          peak[name] = Math.max(peak[name], now[name]);
        samples += 1;
        await page.waitForTimeout(FULL ? 500 : 100);
      }
      const grown = Object.fromEntries(
        Object.entries(peak).map(([name, value]) => [name, value - before[name as keyof typeof before]]),
      );
      process.stdout.write(
        `\n${SIZE / MiB} MiB from a browser, growth in MiB after ${samples} samples: ${Object.entries(grown)
          .map(([name, bytes]) => `${name} ${(bytes / MiB).toFixed(1)}`)
          .join(', ')}\n`,
      );
      for (const [name, bound] of Object.entries(BOUNDS)) {
        expect([name, grown[name]! < bound]).toEqual([name, true]);
      }
      const ann = await Person.signedIn(suite.bff.url, 'ann');
      const { files } = (await ann.ask('/api/files')).json;
      expect(files).toEqual([expect.objectContaining({ name: 'large.bin', sizeBytes: SIZE, sha256 })]);
      await context.close();
    },
    FULL ? 1_200_000 : 180_000,
  );
});
