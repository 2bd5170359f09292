import { expect } from '@jest/globals';
import { channel } from 'node:diagnostics_channel';
import { join } from 'node:path';
import type { FileCatalog, FileRecord } from '../../../src/catalog/file-catalog.ts';
import { openSqliteCatalog } from '../../../src/catalog/sql/sqlite.ts';
import { blobKey } from '../../../src/files/bytes.ts';
import type { StepOptions, StoreMove } from '../../../src/move/store/progress.ts';
import type { BlobStore } from '../../../src/storage/blob-store.ts';
import { FilesystemBlobStore } from '../../../src/storage/filesystem/filesystem-store.ts';
import { MemoryBudget } from '../../../src/storage/memory-budget.ts';
import { S3BlobStore } from '../../../src/storage/s3/s3-store.ts';
import type { S3Options } from '../../../src/storage/s3/bucket.ts';
import { S3ObjectCopier } from '../../../src/storage/s3/s3-object-copier.ts';
import { S3ObjectReader } from '../../../src/storage/s3/s3-object-reader.ts';
import { SignedUrls } from '../../../src/storage/signed-url.ts';
import { newId } from '../../conformance/file-catalog/subject.ts';
import { removeDir } from '../../support/process.ts';
import { createBucket } from '../../support/shared-servers.ts';

/** Never aborted. */
export const never: AbortSignal = new AbortController().signal;

/** Options of a step in a test: no replicas to wait for. */
export function options(fields: Partial<StepOptions> = {}): StepOptions {
  return { holder: newId(), leaseMs: 2_000, replicasMs: 0, ...fields };
}

/** A move between two stores of one catalog, as the commands open it. */
export class Moves {
  readonly dir: string;
  readonly #opened: { close(): unknown }[] = [];

  constructor(dir: string) {
    this.dir = dir;
  }

  async close(): Promise<void> {
    for (const one of this.#opened.toReversed()) await one.close();
    await removeDir(this.dir);
  }

  async open(
    from: 'directory' | 's3',
    to: 'directory' | 's3',
  ): Promise<StoreMove & { readonly s3: S3Options[] }> {
    const name = newId();
    const catalog: FileCatalog = openSqliteCatalog({ path: join(this.dir, `${name}.db`) });
    await catalog.migrate();
    this.#opened.push(catalog);
    const s3: S3Options[] = [];
    for (const kind of [from, to]) if (kind === 's3') s3.push(await this.#bucket());
    const [one, two] = [from === 's3' ? s3[0] : undefined, to === 's3' ? s3.at(-1) : undefined];
    const [own, next] = [this.#moved(`${name}-a`, one, two), this.#moved(`${name}-b`, two, one)];
    const limits = { budget: new MemoryBudget(64 * 2 ** 20).of(''), partSizeBytes: 5 * 2 ** 20 };
    return { catalog, own, next, limits, s3 };
  }

  async #bucket(): Promise<S3Options> {
    const { endpoint, region, bucket, accessKeyId, secretAccessKey } = await createBucket();
    return { endpoint, region, bucket, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } };
  }

  #moved(name: string, s3: S3Options | undefined, other: S3Options | undefined): StoreMove['own'] {
    if (s3 === undefined) {
      const urls = new SignedUrls('http://x', Buffer.alloc(32));
      const store = new FilesystemBlobStore(join(this.dir, name), urls, 0);
      return { store, reader: undefined, copier: undefined };
    }
    const reader = new S3ObjectReader(s3);
    const copier = other && new S3ObjectCopier(s3, other.bucket);
    const store = new S3BlobStore(s3);
    this.#opened.push(store, reader, ...(copier ? [copier] : []));
    return { store, reader, copier };
  }
}

/** Ids of files. */
export const idsOf = (files: readonly FileRecord[]) => files.map(({ id }) => id);

/** Which of these files a store has. */
export async function thereIn(store: BlobStore, ids: readonly string[]): Promise<string[]> {
  const found = await Promise.all(ids.map(async (id) => ((await store.stat(blobKey(id))) ? [id] : [])));
  return found.flat();
}

/** Runs a step that ends at a point: nothing after the point happens but a note of the reason. */
export async function killedAt(point: string, run: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
  const killed = new AbortController();
  const onReached = () => killed.abort(new Error('killed'));
  channel(`asset-service:${point}`).subscribe(onReached);
  try {
    await expect(run(killed.signal)).rejects.toThrow('killed');
  } finally {
    channel(`asset-service:${point}`).unsubscribe(onReached);
  }
}
