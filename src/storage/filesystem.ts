import { open, rm, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { DiskSpace } from '../system/disk-space.ts';
import {
  assertBlobKey,
  type BlobBody,
  type BlobPart,
  type BlobProperties,
  type BlobRange,
  type BlobStore,
  type ListedBlob,
  type ListPage,
  type SignedPut,
  type SignedUrl,
  type SignedUrlOptions,
  type StoreCall,
} from './blob-store.ts';
import { hasErrno, onDisk, syncDir, writeBody } from './filesystem/files.ts';
import { FilesystemLayout, unfinishedName } from './filesystem/layout.ts';
import { listBlobFiles, listMultipartDirs } from './filesystem/list.ts';
import { FilesystemMultipart } from './filesystem/multipart.ts';
import { assertNoLink, isThere, openFile, sizeOfFile } from './filesystem/paths.ts';
import { readRange } from './filesystem/read.ts';
import { PartWriters } from './filesystem/writers.ts';
import { reached } from '../system/crash-points.ts';
import { PRIVATE_FILE } from '../system/private-files.ts';
import type { SignedUrls } from './signed-url.ts';
import { storeUnavailable } from '../errors/dependencies.ts';
import { blobMissing } from '../errors/records.ts';

/**
 * Blobs as files in one directory, used by one process at a time. A blob is written to a temporary file, made
 * durable, and then linked to its name: one step that fails if the name exists.
 */
export class FilesystemBlobStore implements BlobStore {
  readonly kind = 'filesystem';
  readonly keepsHeaders = false;
  readonly partLimits = { minBytes: 1, maxBytes: 5 * 1024 ** 3, maxParts: 10_000 };
  readonly #layout: FilesystemLayout;
  readonly #urls: SignedUrls;
  readonly #space: DiskSpace;
  readonly #writers = new PartWriters();

  /**
   * Creates `dir` if it does not exist.
   *
   * @param urls - signs URLs of the route on which the service serves the blobs
   * @param minFreeBytes - disk space that must stay free: see {@link DiskSpace}
   */
  constructor(dir: string, urls: SignedUrls, minFreeBytes?: number) {
    this.#layout = new FilesystemLayout(dir);
    this.#urls = urls;
    this.#space = new DiskSpace(dir, minFreeBytes);
  }

  async put(
    key: string,
    body: BlobBody,
    _properties: BlobProperties,
    { signal }: StoreCall = {},
  ): Promise<'created' | 'exists'> {
    const path = this.#layout.blobPath(key);
    signal?.throwIfAborted();
    return this.#onDisk(async () => {
      await this.#assertRoom(body.sizeBytes);
      const temporary = await this.#layout.temporaryPath(key);
      const file = await open(temporary, 'wx', PRIVATE_FILE);
      try {
        await writeBody(file, body, 0, signal);
        return await this.#layout.publish(temporary, path, signal);
      } finally {
        await file.close();
        await rm(temporary, { force: true });
      }
    });
  }

  async startMultipart(
    key: string,
    { partSizeBytes }: Parameters<BlobStore['startMultipart']>[1],
    { signal }: StoreCall = {},
  ): Promise<string> {
    const multipartId = unfinishedName(key);
    const dir = this.#layout.multipartDir(key, multipartId);
    signal?.throwIfAborted();
    await this.#onDisk(async () => {
      await this.#assertRoom(0);
      await FilesystemMultipart.start(dir, key, partSizeBytes);
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
      this.#onDisk(async () => {
        const multipart = await FilesystemMultipart.open(dir);
        await this.#assertRoom(body.sizeBytes);
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
      this.#onDisk(async () => {
        if (await isThere(path)) return 'exists';
        const multipart = await FilesystemMultipart.open(dir);
        await multipart.seal(parts);
        reached('filesystem.sealed');
        const status = await this.#layout.publish(multipart.sealedPath, path, signal);
        reached('filesystem.published');
        await rm(dir, { recursive: true, force: true });
        return status;
      }),
    );
  }

  async abortMultiparts(key: string): Promise<void> {
    assertBlobKey(key);
    await this.#onDisk(async () => {
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
    return this.#onDisk(async () => {
      try {
        return { sizeBytes: await sizeOfFile(path) };
      } catch (error) {
        if (hasErrno(error, 'ENOENT')) return this.#layout.assertThere();
        throw error;
      }
    });
  }

  async read(key: string, range?: BlobRange, { signal }: StoreCall = {}): Promise<Readable> {
    const path = this.#layout.blobPath(key);
    signal?.throwIfAborted();
    return this.#onDisk(async () => {
      const file = await openFile(path, 'read').catch(async (error: unknown) => {
        if (hasErrno(error, 'ENOENT')) return this.#layout.assertThere();
        throw error;
      });
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
    await this.#onDisk(async () => {
      try {
        await assertNoLink(dirname(path));
        await unlink(path);
        await syncDir(dirname(path));
      } catch (error) {
        if (!hasErrno(error, 'ENOENT')) throw error;
        await this.#layout.assertThere();
      }
    });
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
    return this.#onDisk(async () => (await FilesystemMultipart.open(dir)).list());
  }

  listBlobs(page: ListPage): Promise<readonly ListedBlob[]> {
    return this.#onDisk(async () => listBlobFiles(await this.#layout.blobsDir(), page));
  }

  listMultiparts(page: ListPage): Promise<readonly ListedBlob[]> {
    return this.#onDisk(async () => listMultipartDirs(await this.#layout.unfinishedDir(), page));
  }

  async check(): Promise<void> {
    await this.#onDisk(async () => {
      await this.#layout.assertThere();
      await this.#assertRoom(0);
      const probe = await this.#layout.temporaryPath('check');
      const file = await open(probe, 'wx', PRIVATE_FILE);
      await file.close();
      await rm(probe);
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #assertRoom(sizeBytes: number): Promise<void> {
    const shortage = await this.#space.shortage(sizeBytes);
    if (shortage) throw storeUnavailable(shortage, 'full');
  }

  /** Like {@link onDisk}; also distinguishes a missing disk from a missing file. */
  async #onDisk<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await onDisk(work);
    } catch (error) {
      await onDisk(() => this.#layout.assertThere());
      throw error;
    }
  }
}
