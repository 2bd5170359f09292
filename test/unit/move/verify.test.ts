import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { pino } from 'pino';
import { migrateCatalog } from '../../../src/app/catalog.ts';
import { withStoreAndCatalog } from '../../../src/app/legacy.ts';
import type { FileCatalog } from '../../../src/catalog/file-catalog.ts';
import { loadConfig } from '../../../src/config/config.ts';
import { crc32c } from '../../../src/files/upload/crc32c.ts';
import { blobKey } from '../../../src/files/bytes.ts';
import { positionOf, troubleOf, Verifier } from '../../../src/move/verifier.ts';
import { verify, verifyState, type VerifyOptions, type VerifyState } from '../../../src/move/verify.ts';
import type { BlobStore } from '../../../src/storage/blob-store.ts';
import { createFile } from '../../conformance/file-catalog/subject.ts';
import { eventually } from '../../support/eventually.ts';
import { makeDir, removeDir } from '../../support/process.ts';

type Line = Readonly<Record<string, unknown>>;

interface Parts {
  readonly catalog: FileCatalog;
  readonly store: BlobStore;
}

describe('verify', () => {
  let dir: string;

  beforeEach(async () => {
    dir = await makeDir('verify');
    await migrateCatalog(config());
  });
  afterEach(() => removeDir(dir));

  const config = () => loadConfig({ ASSET_DATA_DIR: dir });
  const within = <T>(work: (parts: Parts) => Promise<T>) => withStoreAndCatalog(config(), work);
  const run = (parts: Parts, more: Partial<VerifyOptions> = {}, signal = new AbortController().signal) =>
    verify(parts, { sample: 100, since: undefined, restart: false, ...more }, signal);

  async function put(store: BlobStore, id: string, text: string): Promise<void> {
    const chunks = [Buffer.from(text)];
    await store.delete(blobKey(id));
    await store.put(blobKey(id), { sizeBytes: text.length, chunks }, { contentType: 'text/plain' });
  }

  async function add({ catalog, store }: Parts, text: string, fields = {}): Promise<string> {
    const content = Buffer.from(text);
    const sha256 = new Uint8Array(createHash('sha256').update(content).digest());
    const bytes = { sizeBytes: content.length, sha256, crc32c: crc32c(content) };
    const { id } = await createFile(catalog, { ...bytes, ...fields });
    await put(store, id, text);
    return id;
  }

  it('reads every file and names each that is damaged, with the reason', async () => {
    await within(async (parts) => {
      await Promise.all(['', 'one', 'two'].map((text) => add(parts, text)));
      const ids = await Promise.all(
        ['missing', 'shorter', 'changed', 'summed'].map((text) => add(parts, text)),
      );
      await parts.store.delete(blobKey(ids[0]!));
      await put(parts.store, ids[1]!, 'short');
      await put(parts.store, ids[2]!, 'CHANGED');
      const wrongSum = await add(parts, 'sum', { crc32c: 1 });
      await add(parts, 'old', { sha256: undefined, crc32c: undefined });
      const { damaged, ...state } = await run(parts);
      expect(state).toMatchObject({
        state: 'done',
        checked: 8,
        damagedCount: 4,
        unknown: 0,
        notMoved: 1,
        resumedFrom: '',
      });
      expect(new Map(damaged.map(({ id, reason }) => [id, reason]))).toEqual(
        new Map([
          [ids[0], 'missing'],
          [ids[1], 'size'],
          [ids[2], 'sha256'],
          [wrongSum, 'crc32c'],
        ]),
      );
      expect(Date.parse(state.endTime)).toBeGreaterThanOrEqual(Date.parse(state.startTime));
    });
  });

  it('goes on where it was interrupted, reads nothing twice, and begins anew once it was done', async () => {
    await within(async (parts) => {
      for (let i = 0; i < 7; i++) await add(parts, `file ${i}`);
      const interrupted = new AbortController();
      const onProgress = () => interrupted.abort(new Error('interrupted'));
      await expect(run(parts, { pageSize: () => 3, onProgress }, interrupted.signal)).rejects.toThrow(
        'interrupted',
      );
      const rest = await run(parts, { pageSize: () => 3 });
      expect(rest).toMatchObject({ state: 'done', checked: 7 });
      expect(rest.resumedFrom).toHaveLength(15);
      expect(await run(parts)).toMatchObject({ checked: 7, resumedFrom: '' });
    });
  });

  it('does not go on with a run of another sample', async () => {
    await within(async (parts) => {
      for (let i = 0; i < 4; i++) await add(parts, `file ${i}`);
      const interrupted = new AbortController();
      const onProgress = () => interrupted.abort(new Error('interrupted'));
      const half = { pageSize: () => 2, sample: 50 };
      await expect(run(parts, { ...half, onProgress }, interrupted.signal)).rejects.toThrow('interrupted');
      expect(await run(parts)).toMatchObject({ checked: 4, resumedFrom: '' });
    });
  });

  it('reads a sample, and what changed since a time', async () => {
    await within(async (parts) => {
      for (let i = 0; i < 60; i++) await add(parts, `file ${i}`);
      const { checked } = await run(parts, { sample: 50 });
      expect(checked).toBeGreaterThan(5);
      expect(checked).toBeLessThan(55);
      expect((await run(parts, { since: new Date(Date.now() + 60_000) })).checked).toBe(0);
      expect((await run(parts, { since: new Date(Date.now() - 600_000) })).checked).toBe(60);
    });
  });

  it('reads no more files and bytes per second than it may', async () => {
    await within(async (parts) => {
      for (let i = 0; i < 4; i++) await add(parts, 'x'.repeat(100));
      for (const limit of [{ filesPerSecond: 20 }, { bytesPerSecond: 2_000 }]) {
        const started = performance.now();
        expect((await run(parts, limit)).checked).toBe(4);
        // The first of four is not delayed.
        expect(performance.now() - started).toBeGreaterThanOrEqual(140);
      }
    });
  });

  describe('continuously', () => {
    const PERIOD_MS = 500;
    const OPEN = { signal: new AbortController().signal };

    /** Runs a verifier, and returns the lines of its log at the end. */
    async function verifying(parts: Parts, work: (verifier: Verifier) => Promise<void>): Promise<Line[]> {
      const lines: Line[] = [];
      const write = (line: string) => void lines.push(JSON.parse(line) as Line);
      const verifier = new Verifier({ ...parts, log: pino({ level: 'info' }, { write }) }, PERIOD_MS);
      try {
        await work(verifier);
      } finally {
        await verifier.close();
      }
      return lines;
    }

    const passes = (parts: Parts) => verifyState(parts.catalog, undefined, 'verify-last-pass');

    it('reads all files again and again, and its health names damage until a later pass finds it mended', async () => {
      await within(async (parts) => {
        const ids = await Promise.all(['one', 'two', 'three'].map((text) => add(parts, text)));
        await put(parts.store, ids[0]!, 'ONE');
        const lines = await verifying(parts, async (verifier) => {
          await eventually(async () => expect(await passes(parts)).toMatchObject({ checked: 3 }));
          await expect(verifier.check(OPEN)).rejects.toThrow(
            /the bytes of 1 files do not match .* the last full pass ended at 20/,
          );
          await put(parts.store, ids[0]!, 'one');
          await eventually(() => verifier.check(OPEN));
          // The check may resolve in the middle of a pass: after it has read the file.
          await eventually(async () =>
            expect(await passes(parts)).toMatchObject({ state: 'done', checked: 3, damagedCount: 0 }),
          );
        });
        expect(lines).toContainEqual(
          expect.objectContaining({ file_id: ids[0], reason: 'sha256', level: 50 }),
        );
        expect(lines).toContainEqual(expect.objectContaining({ checked: 3, damaged: 1 }));
      });
    });

    it('is done by one process at a time', async () => {
      await within(async (parts) => {
        await add(parts, 'one');
        await parts.catalog.acquireLease('verify', 'another', new Date(Date.now() + 60_000));
        await verifying(parts, async (verifier) => {
          await expect(verifier.check(OPEN)).resolves.toBeUndefined();
          await parts.catalog.releaseLease('verify', 'another');
          expect(await passes(parts)).toBeUndefined();
          await eventually(async () => expect(await passes(parts)).toMatchObject({ checked: 1 }));
        });
      });
    });

    it('spreads the files over the whole period by their ids', () => {
      expect(positionOf('000000000000000')).toBe(0);
      expect(positionOf('i00000000000000')).toBeCloseTo(0.5, 5);
      expect(positionOf('zzzzzzzzzzzzzzz')).toBeCloseTo(1, 5);
    });

    it('takes a file for damaged until it was read again, beyond those that are listed too', () => {
      const last = {
        ...{ state: 'done', damagedCount: 5, unknown: 0, endTime: '2026-11-29T00:00:00.000Z' },
        damaged: ['a', 'b', 'c'].map((id) => ({ id, reason: 'missing' })),
      } as unknown as VerifyState;
      const running = { ...last, state: 'running', cursor: 'b', damagedCount: 0, damaged: [] } as const;
      expect(troubleOf(undefined, last)).toContain('of 5 files');
      expect(troubleOf(running, last)).toContain('of 3 files');
      expect(troubleOf({ ...running, unknown: 2 }, undefined)).toBe(
        'verification: the store gave no answer about 2 files; there was no full pass yet',
      );
      expect(troubleOf(undefined, { ...last, damagedCount: 0, damaged: [] })).toBeUndefined();
    });
  });
});
