import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { migrateCatalog } from '../../../src/app/catalog.ts';
import { withStoreAndCatalog } from '../../../src/app/legacy.ts';
import type { FileCatalog } from '../../../src/catalog/file-catalog.ts';
import { loadConfig } from '../../../src/config/config.ts';
import { crc32c } from '../../../src/files/upload/crc32c.ts';
import { blobKey } from '../../../src/files/bytes.ts';
import { verify, type VerifyOptions } from '../../../src/legacy/verify.ts';
import type { BlobStore } from '../../../src/storage/blob-store.ts';
import { createFile } from '../../conformance/file-catalog/subject.ts';
import { makeDir, removeDir } from '../../support/process.ts';

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
      await expect(run(parts, { pageSize: 3, onProgress }, interrupted.signal)).rejects.toThrow(
        'interrupted',
      );
      const rest = await run(parts, { pageSize: 3 });
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
      const half = { pageSize: 2, sample: 50 };
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
});
