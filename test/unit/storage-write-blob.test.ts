import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeBlob } from '../../src/files/upload/write-blob.ts';
import type { BlobStore } from '../../src/storage/blob-store.ts';
import { FilesystemBlobStore } from '../../src/storage/filesystem/filesystem-store.ts';
import { BLOCK_BYTES } from '../../src/storage/memory-blocks.ts';
import { MemoryBudget } from '../../src/storage/memory-budget.ts';
import type { MemoryShare } from '../../src/storage/memory-share.ts';
import { SignedUrls } from '../../src/storage/signed-url.ts';
import { eventually } from '../support/eventually.ts';
import { makeDir, removeDir } from '../support/process.ts';

const PART = 64 * 1024;
const MEBIBYTE = 1024 * 1024;
/** A while in which more would happen than may; whatever has to happen is waited for by `eventually`. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 50));

describe('writeBlob', () => {
  let dir: string;
  let store: BlobStore;
  /** What the store was asked for. */
  let partSizes: number[];
  let puts: number;
  /** Parts that are in the store's hands, and the most there ever were. */
  let held: number;
  let most: number;
  /** Resolves when the store may take parts. */
  let gate: Promise<unknown>;
  /** Lets the store take parts, whatever became of the test. */
  let open: () => void;
  let budget: MemoryBudget;
  let options: { contentType: string; partSizeBytes: number; budget: MemoryShare };

  beforeEach(async () => {
    dir = await makeDir('write-blob');
    const real = new FilesystemBlobStore(dir, new SignedUrls('http://x.example', randomBytes(32)));
    [partSizes, puts, held, most, gate] = [[], 0, 0, 0, Promise.resolve()];
    open = () => undefined;
    budget = new MemoryBudget(1024 * PART);
    options = { contentType: 'text/plain', partSizeBytes: PART, budget: budget.of('') };
    // The real store, slowed down and watched.
    store = Object.assign(Object.create(real) as FilesystemBlobStore, {
      put: (...args: Parameters<BlobStore['put']>) => {
        puts++;
        return real.put(...args);
      },
      startMultipart: (...args: Parameters<BlobStore['startMultipart']>) => {
        partSizes.push(args[1].partSizeBytes);
        return real.startMultipart(...args);
      },
      putPart: async (...args: Parameters<BlobStore['putPart']>) => {
        most = Math.max(most, ++held);
        try {
          await gate;
          return await real.putPart(...args);
        } finally {
          held--;
        }
      },
      completeMultipart: real.completeMultipart.bind(real),
      abortMultiparts: real.abortMultiparts.bind(real),
      stat: real.stat.bind(real),
    });
  });

  afterEach(async () => {
    open();
    expect([budget.usedBytes, budget.waiting]).toEqual([0, 0]);
    expect(await readdir(join(dir, 'unfinished'))).toEqual([]);
    await removeDir(dir);
  });

  /** `count` chunks of a part's size; tells how many were asked for, and whether it was closed. */
  function source(count: number, fault?: Error) {
    const seen = { given: 0, closed: false };
    async function* chunks(): AsyncGenerator<Uint8Array> {
      try {
        for (; seen.given < count; seen.given++) {
          await Promise.resolve();
          yield Buffer.alloc(PART, seen.given);
        }
        if (fault) throw fault;
      } finally {
        seen.closed = true;
      }
    }
    return { seen, chunks: chunks() };
  }

  it.each([1, 2, 3])('holds %s parts at most and leaves the rest with a source', async (concurrency) => {
    gate = new Promise<void>((resolve) => (open = resolve));
    const { seen, chunks } = source(20);
    const write = writeBlob(store, 'a', chunks, { ...options, concurrency });
    await eventually(() => expect(held).toBe(concurrency));
    await settle();
    expect(held).toBe(concurrency);
    // What tells that there is more may be in hand as well.
    expect(seen.given).toBeLessThanOrEqual(concurrency + 1);
    expect(budget.usedBytes).toBeLessThanOrEqual(concurrency * PART);
    open();
    expect(await write).toMatchObject({ status: 'created', sizeBytes: 20 * PART });
    expect(most).toBe(concurrency);
  });

  it('waits for the memory that other uploads hold', async () => {
    const release = await budget.reserve(budget.totalBytes);
    const { seen, chunks } = source(2);
    const write = writeBlob(store, 'a', chunks, options);
    await eventually(() => expect(budget.waiting).toBe(1));
    expect(seen.given).toBe(0);
    release();
    expect((await write).sizeBytes).toBe(2 * PART);
  });

  it('uses the memory of a blob of one part again once it is stored, and not before', async () => {
    const size = 4 * MEBIBYTE;
    const content = randomBytes(size);
    const whole = { ...options, sizeBytes: size, partSizeBytes: size };
    async function* messages() {
      for (let at = 0; at < size; at += MEBIBYTE / 2) yield content.subarray(at, at + MEBIBYTE / 2);
    }
    /** The next blocks that parts would get. */
    const next = () => Buffer.concat(Array.from({ length: 4 }, () => budget.blocks.take(BLOCK_BYTES)));
    const isUsedAgain = () => {
      const blocks = next();
      return Array.from({ length: 4 }, (_none, at) =>
        blocks.includes(content.subarray(at * MEBIBYTE, (at + 1) * MEBIBYTE)),
      );
    };
    const broken = Object.assign(Object.create(store) as BlobStore, {
      put: () => Promise.reject(new Error('no store')),
    });
    await expect(writeBlob(broken, 'assets/aa/broken', messages(), whole)).rejects.toThrow('no store');
    expect(isUsedAgain()).toEqual([false, false, false, false]);
    await writeBlob(store, 'assets/aa/whole', messages(), whole);
    expect(isUsedAgain()).toEqual([true, true, true, true]);
  });

  it('needs no parts for what fits into one', async () => {
    const { chunks } = source(1);
    expect(await writeBlob(store, 'a', chunks, options)).toMatchObject({
      status: 'created',
      sizeBytes: PART,
    });
    expect([puts, partSizes]).toEqual([1, []]);
  });

  it.each([
    ['as wanted where the size is not known', undefined, 2 * MEBIBYTE],
    ['as wanted where the parts suffice', 2 * MEBIBYTE * 10_000, 2 * MEBIBYTE],
    ['in whole MiB where they do not', 2 * MEBIBYTE * 10_000 + 1, 3 * MEBIBYTE],
    ['as large as needed', 1024 ** 4, 105 * MEBIBYTE],
  ])('makes parts %s', async (_name, sizeBytes, partSizeBytes) => {
    const fault = new Error('the source broke');
    const wide = { ...options, partSizeBytes: 2 * MEBIBYTE, budget: new MemoryBudget(1024 ** 4).of('') };
    async function* chunks(): AsyncGenerator<Uint8Array> {
      const chunk = Buffer.alloc(MEBIBYTE);
      for (let given = 0; given <= partSizeBytes; given += chunk.length) {
        await Promise.resolve();
        yield chunk;
      }
      throw fault;
    }
    const write = writeBlob(store, 'a', chunks(), { ...wide, ...(sizeBytes && { sizeBytes }) });
    await expect(write).rejects.toBe(fault);
    expect(partSizes).toEqual([partSizeBytes]);
  });

  it.each([0, 1, 5])('fails with what its source fails with after %s parts', async (count) => {
    const fault = new Error('the source broke');
    const { chunks } = source(count, fault);
    await expect(writeBlob(store, 'a', chunks, options)).rejects.toBe(fault);
    expect([held, await store.stat('a')]).toEqual([0, undefined]);
  });

  it('ends at once, and lets go of its source, when its caller gives up', async () => {
    const reason = new Error('enough');
    for (const waits of ['for the store', 'for the source', 'for memory'] as const) {
      const abort = new AbortController();
      const { seen, chunks } = source(waits === 'for the source' ? 0 : 20);
      gate =
        waits === 'for the store'
          ? new Promise((_, reject) => (abort.signal.onabort = () => reject(reason)))
          : settle();
      let asked = false;
      const hanging = {
        [Symbol.asyncIterator]: () => ({
          next: () => {
            asked = true;
            return new Promise<never>(() => undefined);
          },
          return: () => {
            seen.closed = true;
            return Promise.resolve({ done: true as const, value: undefined });
          },
        }),
      };
      const release = waits === 'for memory' ? await budget.reserve(budget.totalBytes) : undefined;
      const from = waits === 'for the source' ? hanging : chunks;
      const outcome = writeBlob(store, 'a', from, { ...options, signal: abort.signal }).catch(
        (e: unknown) => e,
      );
      const waiting = {
        'for the store': () => held > 0,
        'for the source': () => asked,
        'for memory': () => budget.waiting > 0,
      };
      await eventually(() => expect([waits, waiting[waits]()]).toEqual([waits, true]));
      abort.abort(reason);
      expect([waits, await outcome]).toEqual([waits, reason]);
      expect(await store.stat('a')).toBeUndefined();
      if (waits !== 'for memory') expect([waits, seen.closed]).toEqual([waits, true]);
      release?.();
    }
  });

  it('begins nothing for a caller that has given up already', async () => {
    const reason = new Error('enough');
    const { seen, chunks } = source(2);
    const write = writeBlob(store, 'a', chunks, { ...options, signal: AbortSignal.abort(reason) });
    await expect(write).rejects.toBe(reason);
    expect([seen.given, puts, partSizes]).toEqual([0, 0, []]);
  });
});
