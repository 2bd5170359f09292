import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { pino } from 'pino';
import { auditTo } from '../../src/audit/audit-log.ts';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sql/sqlite.ts';
import { concurrentChange } from '../../src/errors/records.ts';
import { AssetError } from '../../src/errors/asset-error.ts';
import { Admission } from '../../src/files/upload/admission.ts';
import type { FilesContext } from '../../src/files/context.ts';
import { UsagePolicies } from '../../src/files/policy/usage-policies.ts';
import { Quotas } from '../../src/files/quota.ts';
import { RecordLoader } from '../../src/files/record-loader.ts';
import { ReservationPool } from '../../src/files/upload/reservations.ts';
import { completeUpload, getUpload, resumeUpload } from '../../src/files/upload/calls.ts';
import { startUpload } from '../../src/files/upload/start.ts';
import { summed, type Chunk, type ContentEnd } from '../../src/files/upload/chunk.ts';
import { ANONYMOUS } from '../../src/identity/caller.ts';
import { FilesystemBlobStore } from '../../src/storage/filesystem/filesystem-store.ts';
import { MemoryBudget } from '../../src/storage/memory-budget.ts';
import { SignedUrls } from '../../src/storage/signed-url.ts';
import { makeDir, removeDir } from '../support/process.ts';

const down = () => new AssetError('STORE_UNAVAILABLE', 'the store is down', { retryAfterMs: 1 });

/** Content of one call that leaves the file open. */
async function* contentOf(bytes: Uint8Array): AsyncGenerator<Chunk, ContentEnd, undefined> {
  yield summed(bytes);
  return { expected: {}, isComplete: false };
}

describe('a session whose end is met by an outage', () => {
  let dir: string;
  let store: FilesystemBlobStore;
  let catalog: FileCatalog;
  let context: FilesContext;
  const signal = new AbortController().signal;

  beforeEach(async () => {
    dir = await makeDir('session-outage');
    catalog = openSqliteCatalog({ path: join(dir, 'catalog.sqlite') });
    await catalog.migrate();
    const log = pino({ level: 'silent' });
    store = new FilesystemBlobStore(join(dir, 'blobs'), new SignedUrls('http://x', Buffer.alloc(32)));
    context = {
      ...{ store, catalog, log, budget: new MemoryBudget(16 * 2 ** 20), records: new RecordLoader(catalog) },
      ...{ audit: auditTo([]), policies: new UsagePolicies() },
      reservations: new ReservationPool(catalog.uploads, log, { size: 64, ttlMs: 3_600_000 }),
      ...{ admission: new Admission(1000), quotas: new Quotas() },
      uploads: {
        ...{ partSizeBytes: 5 * 2 ** 20, concurrency: 2, stallTimeoutMs: 600_000 },
        ...{ sessionTtlMs: 3_600_000, graceMs: 3_600_000, maxOpenPerCaller: 0 },
      },
    };
  });

  afterEach(async () => {
    await context.reservations.close();
    await Promise.all([store.close(), catalog.close()]);
    await removeDir(dir);
  });

  /** Has a method of an object fail while `work` goes on. */
  async function whileFailing(object: object, method: string, error: Error, work: () => Promise<void>) {
    Object.assign(object, { [method]: () => Promise.reject(error) });
    await work();
    Reflect.deleteProperty(object, method);
  }

  /** Begins an upload and leaves some bytes in it, which are kept as a piece. */
  async function begin(content: Buffer): Promise<string> {
    const description = {
      ...{ name: 'a.bin', contentType: '', owner: '', usage: '', relations: {}, attributes: {} },
    };
    const spec = { description, sizeBytes: content.length, requestId: 'request', direct: false };
    const { uploadId } = await startUpload(context, ANONYMOUS, spec, signal);
    const appendix = { writeOffset: 0, content: contentOf(content) };
    expect(await resumeUpload(context, ANONYMOUS, uploadId, appendix, signal)).toEqual({
      persistedSize: content.length,
    });
    return uploadId;
  }

  it.each([
    ['the store cannot be read', () => store, 'read', 'STORE_UNAVAILABLE', down],
    ['the store takes nothing', () => store, 'put', 'STORE_UNAVAILABLE', down],
    ['the catalog asks to try again', () => catalog, 'create', 'CONCURRENT_CHANGE', concurrentChange],
  ] as const)('keeps its bytes when %s', async (_name, object, method, reason, error) => {
    const content = randomBytes(100_000);
    const uploadId = await begin(content);
    await whileFailing(object(), method, error(), () =>
      expect(completeUpload(context, ANONYMOUS, uploadId, {}, signal)).rejects.toMatchObject({ reason }),
    );
    // It is there still, and nothing of it is lost.
    expect(await getUpload(context, ANONYMOUS, uploadId, signal)).toMatchObject({
      persistedSize: content.length,
    });
    const { file } = await completeUpload(context, ANONYMOUS, uploadId, {}, signal);
    expect(file.sizeBytes).toBe(content.length);
  });

  it('is gone when its bytes are not those that were said', async () => {
    const uploadId = await begin(randomBytes(100));
    const wrong = { sha256: new Uint8Array(32) };
    await expect(completeUpload(context, ANONYMOUS, uploadId, wrong, signal)).rejects.toMatchObject({
      reason: 'CHECKSUM_MISMATCH',
    });
    await expect(getUpload(context, ANONYMOUS, uploadId, signal)).rejects.toMatchObject({
      reason: 'UPLOAD_NOT_FOUND',
    });
  });
});
