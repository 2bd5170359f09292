import { open, rm, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import {
  assertBlobKey,
  type BlobBody,
  type BlobHeaders,
  type BlobPart,
  type BlobProperties,
  type BlobRange,
} from '../blob.ts';
import type {
  BlobStore,
  ListedBlob,
  ListPage,
  SignedPut,
  SignedUrl,
  SignedUrlOptions,
  StoreCall,
} from '../blob-store.ts';
import { readRange, syncDir, writeBody } from './files.ts';
import { keepHeaders, readHeaders, removeHeaders } from './headers.ts';
import { FilesystemLayout, unfinishedName } from './layout.ts';
import { listBlobFiles, listMultipartDirs } from './list.ts';
import { FilesystemMultipart } from './multipart.ts';
import { assertNoLink, isThere, openFile, sizeOfFile } from './paths.ts';
import { PartWriters } from './writers.ts';
import { reached } from '../../system/crash-points.ts';
import { PRIVATE_FILE } from '../../system/private-files.ts';
import type { SignedUrls } from '../signed-url.ts';
import { blobMissing } from '../../errors/records.ts';

/**
 * Blobs as files in one directory, used by one process at a time. A blob is written to a temporary file, made
 * durable, and then linked to its name: one step that fails if the name exists.
 */
export class FilesystemBlobStore implements BlobStore {
  readonly kind = 'filesystem';
  readonly keepsHeaders = true;
  readonly partLimits = { minBytes: 1, maxBytes: 5 * 1024 ** 3, maxParts: 10_000 };
  readonly #layout: FilesystemLayout;
  readonly #urls: SignedUrls;
  readonly #writers = new PartWriters();

  /**
   * Creates `dir` if it does not exist.
   *
   * @param urls - signs URLs of the route on which the service serves the blobs
   * @param minFreeBytes - disk space that must stay free: see `DiskSpace`
   */
  constructor(dir: string, urls: SignedUrls, minFreeBytes?: number) {
    this.#layout = new FilesystemLayout(dir, minFreeBytes);
    this.#urls = urls;
  }

  async put(
    key: string,
    body: BlobBody,
    { headers }: BlobProperties,
    { signal }: StoreCall = {},
  ): Promise<'created' | 'exists'> {
    const path = this.#layout.blobPath(key);
    signal?.throwIfAborted();
    return this.#layout.onDisk(async () => {
      await this.#layout.assertRoom(body.sizeBytes);
      const temporary = await this.#layout.temporaryPath(key);
      const file = await open(temporary, 'wx', PRIVATE_FILE);
      try {
        await writeBody(file, body, 0, signal);
        await keepHeaders(this.#layout, key, headers);
        return await this.#layout.publish(temporary, path, signal);
      } finally {
        await file.close();
        await rm(temporary, { force: true });
      }
    });
  }

  async startMultipart(
    key: string,
    { partSizeBytes, headers }: Parameters<BlobStore['startMultipart']>[1],
    { signal }: StoreCall = {},
  ): Promise<string> {
    const multipartId = unfinishedName(key);
    const dir = this.#layout.multipartDir(key, multipartId);
    signal?.throwIfAborted();
    await this.#layout.onDisk(async () => {
      await this.#layout.assertRoom(0);
      await FilesystemMultipart.start(dir, { key, partSizeBytes, headers });
    });
    return multipartId;
  }

  async putPart(
    key: string,
    multipartId: string,
    partNumber: number,
    body: BlobBody,
    { signal }: StoreCall = {},
  ): Promise<BlobPart> {
    signal?.throwIfAborted();
    const dir = this.#layout.multipartDir(key, multipartId);
    return this.#writers.write(multipartId, partNumber, signal, (either) =>
      this.#layout.onDisk(async () => {
        const multipart = await FilesystemMultipart.open(dir);
        await this.#layout.assertRoom(body.sizeBytes);
        return multipart.put(partNumber, body, either);
      }),
    );
  }

  async completeMultipart(
    key: string,
    multipartId: string,
    parts: readonly BlobPart[],
    { signal }: StoreCall = {},
  ): Promise<'created' | 'exists'> {
    const path = this.#layout.blobPath(key);
    signal?.throwIfAborted();
    const dir = this.#layout.multipartDir(key, multipartId);
    return this.#writers.finish(multipartId, () =>
      this.#layout.onDisk(async () => {
        if (await isThere(path)) return 'exists';
        const multipart = await FilesystemMultipart.open(dir);
        await multipart.seal(parts);
        reached('filesystem.sealed');
        await keepHeaders(this.#layout, key, multipart.headers);
        const status = await this.#layout.publish(multipart.sealedPath, path, signal);
        reached('filesystem.published');
        await rm(dir, { recursive: true, force: true });
        return status;
      }),
    );
  }

  async abortMultiparts(key: string): Promise<void> {
    assertBlobKey(key);
    await this.#layout.onDisk(async () => {
      const unfinished = await this.#layout.unfinishedOf(key);
      await Promise.all(
        unfinished.map(({ name, path }) =>
          this.#writers.finish(name, () => rm(path, { recursive: true, force: true })),
        ),
      );
    });
  }

  async stat(key: string): Promise<{ readonly sizeBytes: number } | undefined> {
    const path = this.#layout.blobPath(key);
    return this.#layout.onDisk(() =>
      this.#layout.ifThere(async () => ({ sizeBytes: await sizeOfFile(path) })),
    );
  }

  headersOf(key: string): Promise<BlobHeaders> {
    return this.#layout.onDisk(() => readHeaders(this.#layout, key));
  }

  async read(key: string, range?: BlobRange, { signal }: StoreCall = {}): Promise<Readable> {
    const path = this.#layout.blobPath(key);
    signal?.throwIfAborted();
    return this.#layout.onDisk(async () => {
      const file = await this.#layout.ifThere(() => openFile(path, 'read'));
      if (!file) throw blobMissing();
      try {
        return await readRange(file, range ?? { offset: 0 }, signal);
      } catch (error) {
        await file.close();
        throw error;
      }
    });
  }

  async delete(key: string): Promise<void> {
    const path = this.#layout.blobPath(key);
    await this.#layout.onDisk(() =>
      this.#layout.ifThere(async () => {
        await assertNoLink(dirname(path));
        await unlink(path);
        await syncDir(dirname(path));
      }),
    );
    // Also after a crash between the two: a deletion is repeated.
    await this.#layout.onDisk(() => removeHeaders(this.#layout, key));
  }

  now(): Date {
    return new Date();
  }

  signUrl(key: string, options: SignedUrlOptions): Promise<SignedUrl> {
    assertBlobKey(key);
    const { grantId: id, contentType, contentDisposition, cacheControl } = options;
    const grant = { kind: 'read' as const, id, key, contentType, contentDisposition, cacheControl };
    return Promise.resolve(this.#urls.sign(grant, options));
  }

  async signPart(
    key: string,
    multipartId: string,
    partNumber: number,
    options: Parameters<BlobStore['signPart']>[3],
  ): Promise<SignedPut> {
    this.#layout.multipartDir(key, multipartId);
    const { grantId: id, sizeBytes } = options;
    const grant = { kind: 'part' as const, id, key, multipartId, partNumber, sizeBytes };
    return { ...this.#urls.sign(grant, options), headers: {} };
  }

  async listParts(
    key: string,
    multipartId: string,
    { signal }: StoreCall = {},
  ): Promise<readonly BlobPart[]> {
    signal?.throwIfAborted();
    const dir = this.#layout.multipartDir(key, multipartId);
    return this.#layout.onDisk(async () => (await FilesystemMultipart.open(dir)).list());
  }

  listBlobs(page: ListPage): Promise<readonly ListedBlob[]> {
    return this.#layout.onDisk(async () => listBlobFiles(await this.#layout.blobsDir(), page));
  }

  listMultiparts(page: ListPage): Promise<readonly ListedBlob[]> {
    return this.#layout.onDisk(async () => listMultipartDirs(await this.#layout.unfinishedDir(), page));
  }

  async check(): Promise<void> {
    await this.#layout.onDisk(async () => {
      await this.#layout.assertThere();
      await this.#layout.assertRoom(0);
      const probe = await this.#layout.temporaryPath('check');
      const file = await open(probe, 'wx', PRIVATE_FILE);
      await file.close();
      await rm(probe);
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
