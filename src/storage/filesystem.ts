import { mkdirSync, realpathSync } from 'node:fs';
import { link, open, readdir, rm, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import {
  assertBlobKey,
  type BlobBody,
  type BlobPart,
  type BlobProperties,
  type BlobRange,
  type BlobStore,
  type SignedPut,
  type SignedUrlOptions,
  type StoreCall,
} from './blob-store.ts';
import {
  hasErrno,
  onDisk,
  syncDir,
  unfinishedName,
  unfinishedPrefix,
  writeBody,
} from './filesystem-files.ts';
import { FilesystemMultipart } from './filesystem-multipart.ts';
import { assertNoLink, isThere, makeDirs, openFile, sizeOfFile } from './filesystem-paths.ts';
import { readRange } from './filesystem-read.ts';
import { PartWriters } from './filesystem-writers.ts';
import type { SignedUrls } from './signed-url.ts';
import { blobMissing, multipartGone } from './store-errors.ts';

/**
 * Blobs as files of one directory, used by one process at a time. A blob is written beside its place, made
 * durable and then linked to its name, which is one step and fails if the name is taken.
 *
 * - `blobs/` holds the blobs, a directory for each segment of the key but the last.
 * - `unfinished/` holds what is being written, named by a hash of the key and a random id. It outlives the
 *   process: a multipart blob can be gone on with or aborted after a restart.
 *
 * The directory may itself be reached through a symbolic link. Below it none is followed.
 */
export class FilesystemBlobStore implements BlobStore {
  readonly kind = 'filesystem';
  readonly partLimits = { minBytes: 1, maxBytes: 5 * 1024 ** 3, maxParts: 10_000 };
  readonly #blobs: string;
  readonly #unfinished: string;
  readonly #urls: SignedUrls;
  readonly #writers = new PartWriters();

  /** Makes `dir` if there is none. `urls` signs for the route under which the service serves the blobs. */
  constructor(dir: string, urls: SignedUrls) {
    mkdirSync(dir, { recursive: true });
    const root = realpathSync(dir);
    this.#blobs = join(root, 'blobs');
    this.#unfinished = join(root, 'unfinished');
    this.#urls = urls;
    for (const path of [this.#blobs, this.#unfinished]) mkdirSync(path, { recursive: true });
  }

  async put(
    key: string,
    body: BlobBody,
    _properties: BlobProperties,
    { signal }: StoreCall = {},
  ): Promise<'created' | 'exists'> {
    const path = this.#path(key);
    signal?.throwIfAborted();
    return this.#onDisk(async () => {
      const temporary = join(this.#unfinished, unfinishedName(key));
      await assertNoLink(this.#unfinished);
      const file = await open(temporary, 'wx');
      try {
        await writeBody(file, body, 0, signal);
        return await this.#publish(temporary, path, signal);
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
    assertBlobKey(key);
    signal?.throwIfAborted();
    const multipartId = unfinishedName(key);
    await this.#onDisk(() => FilesystemMultipart.start(join(this.#unfinished, multipartId), partSizeBytes));
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
    const dir = this.#multipartDir(key, multipartId);
    return this.#writers.write(multipartId, partNumber, signal, (either) =>
      this.#onDisk(async () => {
        const multipart = await FilesystemMultipart.open(dir);
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
    const path = this.#path(key);
    signal?.throwIfAborted();
    const dir = this.#multipartDir(key, multipartId);
    return this.#writers.finish(multipartId, () =>
      this.#onDisk(async () => {
        if (await isThere(path)) return 'exists';
        const multipart = await FilesystemMultipart.open(dir);
        await multipart.seal(parts);
        const status = await this.#publish(multipart.dataPath, path, signal);
        await rm(dir, { recursive: true, force: true });
        return status;
      }),
    );
  }

  async abortMultiparts(key: string): Promise<void> {
    assertBlobKey(key);
    await this.#onDisk(async () => {
      await assertNoLink(this.#unfinished);
      const names = await readdir(this.#unfinished);
      const own = names.filter((name) => name.startsWith(unfinishedPrefix(key)));
      await Promise.all(
        own.map((name) =>
          this.#writers.finish(name, () =>
            rm(join(this.#unfinished, name), { recursive: true, force: true }),
          ),
        ),
      );
    });
  }

  async stat(key: string): Promise<{ readonly sizeBytes: number } | undefined> {
    const path = this.#path(key);
    return this.#onDisk(async () => {
      try {
        return { sizeBytes: await sizeOfFile(path) };
      } catch (error) {
        if (hasErrno(error, 'ENOENT')) return this.#missing();
        throw error;
      }
    });
  }

  async read(key: string, range?: BlobRange, { signal }: StoreCall = {}): Promise<Readable> {
    const path = this.#path(key);
    signal?.throwIfAborted();
    return this.#onDisk(async () => {
      const file = await openFile(path, 'read').catch(async (error: unknown) => {
        if (hasErrno(error, 'ENOENT')) return this.#missing();
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
    const path = this.#path(key);
    await this.#onDisk(async () => {
      try {
        await assertNoLink(dirname(path));
        await unlink(path);
        await syncDir(dirname(path));
      } catch (error) {
        if (!hasErrno(error, 'ENOENT')) throw error;
        await this.#missing();
      }
    });
  }

  signUrl(key: string, options: SignedUrlOptions): Promise<string> {
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
    this.#multipartDir(key, multipartId);
    const { grantId: id, sizeBytes } = options;
    const url = this.#urls.sign({ kind: 'part', id, key, multipartId, partNumber, sizeBytes }, options);
    return { url, headers: {} };
  }

  async listParts(
    key: string,
    multipartId: string,
    { signal }: StoreCall = {},
  ): Promise<readonly BlobPart[]> {
    signal?.throwIfAborted();
    const dir = this.#multipartDir(key, multipartId);
    return this.#onDisk(async () => (await FilesystemMultipart.open(dir)).list());
  }

  async check(): Promise<void> {
    await this.#onDisk(async () => {
      await Promise.all([assertNoLink(this.#blobs), assertNoLink(this.#unfinished)]);
      const probe = join(this.#unfinished, unfinishedName('check'));
      const file = await open(probe, 'wx');
      await file.close();
      await rm(probe);
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /**
   * The file of a key. It ends in a character that keys do not have, so that one key may go on where another
   * ends; segments longer than the system allows are cut with another such character.
   */
  #path(key: string): string {
    assertBlobKey(key);
    return join(this.#blobs, `${key.replace(/[^/]{200}(?=[^/])/g, '$&+/')}~`);
  }

  #multipartDir(key: string, multipartId: string): string {
    assertBlobKey(key);
    if (!multipartId.startsWith(unfinishedPrefix(key)) || !/^[0-9a-f-]+$/.test(multipartId))
      throw multipartGone();
    return join(this.#unfinished, multipartId);
  }

  /** Gives a whole and durable file the name of a blob. */
  async #publish(file: string, path: string, signal: AbortSignal | undefined): Promise<'created' | 'exists'> {
    signal?.throwIfAborted();
    // A root that is gone, such as a disk that is not mounted, is not to be made anew.
    await assertNoLink(this.#blobs);
    await makeDirs(dirname(path));
    try {
      await link(file, path);
    } catch (error) {
      if (hasErrno(error, 'EEXIST') && (await isThere(path))) return 'exists';
      // The only other name that can be missing is that of the file: somebody aborted it.
      throw hasErrno(error, 'ENOENT') ? multipartGone(error) : error;
    }
    await syncDir(dirname(path));
    if (!signal?.aborted) return 'created';
    await unlink(path);
    throw signal.reason;
  }

  /** Resolves if a file is missing because it does not exist, and not because the disk is gone. */
  async #missing(): Promise<undefined> {
    await assertNoLink(this.#blobs);
  }

  /** Like {@link onDisk}; also tells a disk that is gone from whatever else was missed on it. */
  async #onDisk<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await onDisk(work);
    } catch (error) {
      await onDisk(() => this.#missing());
      throw error;
    }
  }
}
