import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { catalogUnavailable } from '../../src/errors/dependencies.ts';
import { concurrentChange } from '../../src/errors/records.ts';
import { AssetError } from '../../src/errors/asset-error.ts';
import { readBytes } from '../../src/files/bytes.ts';
import { summed, type Chunk } from '../../src/files/upload/checksums.ts';
import type { ContentEnd } from '../../src/files/upload/inflow.ts';
import { completeUpload, getUpload, resumeUpload } from '../../src/files/upload/resume.ts';
import { startUpload } from '../../src/files/upload/start.ts';
import { ANONYMOUS } from '../../src/identity/caller.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { openFilesContext } from './files-context.ts';

const down = () => new AssetError('STORE_UNAVAILABLE', 'the store is down', { retryAfterMs: 1 });

/** Content of one call, which leaves the file open. `before` runs before each chunk. */
async function* contentOf(
  chunks: readonly Uint8Array[],
  before: (index: number) => Promise<unknown> = () => Promise.resolve(),
): AsyncGenerator<Chunk, ContentEnd, undefined> {
  for (const [index, bytes] of chunks.entries()) {
    await before(index);
    yield summed(bytes);
  }
  return { expected: {}, isComplete: false };
}

describe('a session that meets an outage', () => {
  let dir: string;
  let context: Awaited<ReturnType<typeof openFilesContext>>;
  const signal = new AbortController().signal;

  beforeEach(async () => {
    dir = await makeDir('session-outage');
    context = await openFilesContext(dir, 200_000);
  });

  afterEach(async () => {
    await context.close();
    await removeDir(dir);
  });

  /** Has a method of an object fail while `work` goes on. */
  async function whileFailing(object: object, method: string, error: Error, work: () => Promise<void>) {
    Object.assign(object, { [method]: () => Promise.reject(error) });
    await work();
    Reflect.deleteProperty(object, method);
  }

  /** Begins an upload. */
  async function start(sizeBytes?: number): Promise<string> {
    const description = {
      ...{ name: 'a.bin', contentType: '', owner: '', usage: '', relations: {}, attributes: {} },
    };
    const spec = { description, sizeBytes, requestId: 'request', direct: false };
    return (await startUpload(context, ANONYMOUS, spec, signal)).uploadId;
  }

  async function append(uploadId: string, writeOffset: number, ...content: Parameters<typeof contentOf>) {
    const appendix = { writeOffset, content: contentOf(...content) };
    return resumeUpload(context, ANONYMOUS, uploadId, appendix, signal);
  }

  /** Begins an upload and leaves some bytes in it, which are kept as a piece. */
  async function begin(content: Buffer): Promise<string> {
    const uploadId = await start(content.length);
    expect(await append(uploadId, 0, [content])).toEqual({ persistedSize: content.length });
    return uploadId;
  }

  it.each([
    ['the store cannot be read', () => context.store, 'read', 'STORE_UNAVAILABLE', down],
    ['the store takes nothing', () => context.store, 'put', 'STORE_UNAVAILABLE', down],
    ['the catalog asks to try again', () => context.catalog, 'create', 'CONCURRENT_CHANGE', concurrentChange],
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

  it('loses no part when the catalog is away at a checkpoint', async () => {
    const { partSizeBytes } = context.uploads;
    const content = randomBytes(4 * partSizeBytes + 100);
    const chunks = [0, 1, 2, 3, 4].map((part) =>
      content.subarray(part * partSizeBytes).subarray(0, partSizeBytes),
    );
    const uploadId = await start();
    const { catalog } = context;
    let failed = 0;
    const fail = () => {
      failed++;
      Reflect.deleteProperty(catalog.uploads, 'update');
      return Promise.reject(catalogUnavailable(new Error('away'), 'down'));
    };
    const isFailing = append(uploadId, 0, chunks, async (index) => {
      if (index !== 3) return;
      // Checkpoints are at least a second apart.
      await sleep(1_100);
      Object.assign(catalog.uploads, { update: fail });
    }).catch((error: unknown) => error);
    expect(await isFailing).toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
    expect(failed).toBe(1);
    const progress = await getUpload(context, ANONYMOUS, uploadId, signal);
    const persistedSize = 'persistedSize' in progress ? progress.persistedSize : NaN;
    expect(persistedSize).toBeGreaterThanOrEqual(3 * partSizeBytes);
    await append(uploadId, persistedSize, [content.subarray(persistedSize)]);
    const { file } = await completeUpload(context, ANONYMOUS, uploadId, {}, signal);
    const stored = Buffer.concat(await (await readBytes(context.store, file.id, { signal })).toArray());
    expect(stored.equals(content)).toBe(true);
  });
});
