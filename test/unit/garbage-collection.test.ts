import { describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { FLAGS } from '../support/install.ts';

const MiB = 2 ** 20;
const MODULE = new URL('../../src/system/garbage-collection.ts', import.meta.url).href;

/** What a program prints that is started with these flags. */
async function run(flags: readonly string[], program: string): Promise<number> {
  const args = [...flags, '--input-type=module', '-e', program, MODULE];
  return Number((await promisify(execFile)(process.execPath, args)).stdout);
}

describe('garbage of uploads', () => {
  /** Has 256 MiB come in, of which nothing is kept, and prints the most that lay about at any time, in bytes. */
  const PROGRAM = `
    const { uploadBytesCame } = await import(process.argv[1]);
    let greatest = 0;
    for (let piece = 0; piece < 512; piece++) {
      Buffer.alloc(2 ** 19);
      uploadBytesCame(2 ** 19);
      await new Promise((resolve) => setImmediate(resolve));
      greatest = Math.max(greatest, process.memoryUsage().arrayBuffers);
    }
    console.log(greatest);
  `;

  it('stays a few MiB where the program was started with its flags', async () => {
    // V8 alone lets it come to more than 64 MiB.
    expect(await run(FLAGS, PROGRAM)).toBeLessThan(40 * MiB);
  });

  it('is left to V8 where it was started without them', async () => {
    expect(await run([], PROGRAM)).toBeGreaterThan(0);
  });
});

describe('the space for new objects', () => {
  /** Makes objects of which many live for a while, and prints the size that the space came to, in bytes. */
  const PROGRAM = `
    import { getHeapSpaceStatistics } from 'node:v8';
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

  it('grows where it has to, and stays small', async () => {
    const greatest = await run(FLAGS, PROGRAM);
    expect(greatest).toBeGreaterThan(2 * MiB);
    // V8 alone would take it to 64 MiB, given the time.
    expect(greatest).toBeLessThanOrEqual(16 * MiB);
  });
});
