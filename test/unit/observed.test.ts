import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sql/sqlite.ts';
import { openLog } from '../../src/telemetry/log.ts';
import type { BlobStore } from '../../src/storage/blob-store.ts';
import { FilesystemBlobStore } from '../../src/storage/filesystem/filesystem-store.ts';
import { SignedUrls } from '../../src/storage/signed-url.ts';
import {
  driverCallLog,
  observedCatalog,
  observedStore,
  type Observation,
} from '../../src/telemetry/observed.ts';
import { newFile, newId } from '../conformance/file-catalog/subject.ts';
import { makeDir, removeDir } from '../support/process.ts';

const URLS = new SignedUrls('http://127.0.0.1', Buffer.alloc(32));

describe('an observed driver', () => {
  let dir: string;
  let store: BlobStore;
  let catalog: FileCatalog;
  const seen: Observation[] = [];
  const ends = () => seen.map(({ operation, outcome }) => `${operation} ${outcome}`);

  beforeAll(async () => {
    dir = await makeDir('observed');
    const observer = (one: Observation) => void seen.push(one);
    store = observedStore(new FilesystemBlobStore(join(dir, 'blobs'), URLS), observer);
    catalog = observedCatalog(openSqliteCatalog({ path: join(dir, 'catalog.sqlite') }), observer);
    await catalog.migrate();
  });

  beforeEach(() => void seen.splice(0));

  afterAll(async () => {
    await store.close();
    await catalog.close();
    await removeDir(dir);
  });

  it('works like the driver, and tells each call with its time and end', async () => {
    const body = { sizeBytes: 5, chunks: Readable.from([Buffer.from('hello')]) };
    await store.put('a/key', body, { contentType: 'text/plain' });
    expect(await text(await store.read('a/key'))).toBe('hello');
    await expect(store.read('a/other')).rejects.toMatchObject({ reason: 'BLOB_MISSING' });
    expect([store.kind, store.partLimits.maxParts]).toEqual(['filesystem', expect.any(Number)]);
    expect(ends()).toEqual(['store.put ok', 'store.read ok', 'store.read BLOB_MISSING']);
    expect(seen.every(({ durationMs }) => durationMs >= 0)).toBe(true);
  });

  it('tells the calls of the parts of a catalog by their names', async () => {
    const file = newFile();
    const { id } = await catalog.uploads.reserve([file.id], new Date(Date.now() + 60_000));
    await catalog.create(file, { reservationId: id });
    await expect(catalog.update(newId(), '1', { name: 'x' })).rejects.toMatchObject({
      reason: 'FILE_NOT_FOUND',
    });
    await catalog.legacy.scan('', 5);
    expect(ends()).toEqual([
      'catalog.uploads.reserve ok',
      'catalog.create ok',
      'catalog.update FILE_NOT_FOUND',
      'catalog.legacy.scan ok',
    ]);
  });

  it('tells what was given up and what failed otherwise', async () => {
    const signal = AbortSignal.abort();
    await expect(catalog.get([newId()], { signal })).rejects.toThrow();
    await expect(store.stat('../outside')).rejects.toThrow();
    expect(ends()).toEqual(['catalog.get aborted', 'store.stat error']);
  });

  it('is the driver itself where nobody observes', () => {
    const log = openLog('info', { write: () => undefined });
    expect(driverCallLog(log)).toBeUndefined();
    expect(observedStore(store, undefined)).toBe(store);
  });

  it('is written into a log of level debug', async () => {
    const lines: string[] = [];
    const log = openLog('debug', { write: (line) => void lines.push(line) });
    const logged = observedCatalog(catalog, driverCallLog(log));
    await logged.check();
    const { operation, outcome, ms } = JSON.parse(lines[0]!) as Record<string, unknown>;
    expect({ operation, outcome }).toEqual({ operation: 'catalog.check', outcome: 'ok' });
    expect(ms).toEqual(expect.any(Number));
  });
});
