import { createHash, randomBytes } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { link, readdir, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { assertBlobKey } from '../blob.ts';
import { storeUnavailable } from '../../errors/dependencies.ts';
import { DiskSpace } from '../../system/disk-space.ts';
import { hasErrno, onDisk, syncDir } from './files.ts';
import { assertNoLink, isThere, makeDirs } from './paths.ts';
import { makePrivate, makePrivateDir } from '../../system/private-files.ts';
import { uploadExpired } from '../../errors/uploads.ts';

/**
 * The directory of the store.
 *
 * - `blobs/` has the blobs, with a directory for each segment of the key except the last, and beside those with headers a
 *   file with them.
 * - `unfinished/` has what is being written, named by a hash of the key and a random id. It survives the process: a
 *   multipart blob can be continued or aborted after a restart.
 *
 * The directory itself may be a symbolic link. Links inside it are not followed.
 */
export class FilesystemLayout {
  readonly #blobs: string;
  readonly #unfinished: string;
  readonly #space: DiskSpace;

  /**
   * Creates the directories if they do not exist.
   *
   * @param minFreeBytes - disk space that must stay free: see {@link DiskSpace}
   */
  constructor(dir: string, minFreeBytes?: number) {
    makePrivateDir(dir);
    this.#space = new DiskSpace(dir, minFreeBytes);
    const root = realpathSync(dir);
    this.#blobs = join(root, 'blobs');
    this.#unfinished = join(root, 'unfinished');
    for (const path of [this.#blobs, this.#unfinished]) {
      // Earlier versions created them readable for all users.
      if (!makePrivateDir(path)) makePrivate(path);
    }
  }

  /**
   * Path of a key's file. It ends with a character that keys do not have, so that one key may be a prefix of
   * another. Segments longer than a file name are split with another such character.
   */
  blobPath(key: string): string {
    assertBlobKey(key);
    return join(this.#blobs, `${key.replace(/[^/]{200}(?=[^/])/g, '$&+/')}~`);
  }

  /** A new file to write to; rejects like {@link assertNoLink}. */
  async temporaryPath(key: string): Promise<string> {
    await assertNoLink(this.#unfinished);
    return join(this.#unfinished, unfinishedName(key));
  }

  /** Directory of a multipart blob. Throws UPLOAD_EXPIRED if the id does not belong to the key. */
  multipartDir(key: string, multipartId: string): string {
    assertBlobKey(key);
    if (!multipartId.startsWith(unfinishedPrefix(key)) || !/^[0-9a-f-]+$/.test(multipartId))
      throw uploadExpired();
    return join(this.#unfinished, multipartId);
  }

  /** Directory of the blobs; rejects like {@link assertNoLink}. */
  async blobsDir(): Promise<string> {
    await assertNoLink(this.#blobs);
    return this.#blobs;
  }

  /** Directory of unfinished data; rejects like {@link assertNoLink}. */
  async unfinishedDir(): Promise<string> {
    await assertNoLink(this.#unfinished);
    return this.#unfinished;
  }

  /** All unfinished data of a key. */
  async unfinishedOf(key: string): Promise<{ readonly name: string; readonly path: string }[]> {
    await assertNoLink(this.#unfinished);
    const names = await readdir(this.#unfinished);
    const own = names.filter((name) => name.startsWith(unfinishedPrefix(key)));
    return own.map((name) => ({ name, path: join(this.#unfinished, name) }));
  }

  /**
   * Links a complete and durable file to the name of a blob, in one step.
   *
   * @param path - a {@link blobPath}
   */
  async publish(file: string, path: string, signal: AbortSignal | undefined): Promise<'created' | 'exists'> {
    signal?.throwIfAborted();
    // Does not recreate a missing root, which may be an unmounted disk.
    await this.assertThere();
    await makeDirs(dirname(path));
    try {
      await link(file, path);
    } catch (error) {
      if (hasErrno(error, 'EEXIST') && (await isThere(path))) return 'exists';
      // Only the file itself can be missing: somebody aborted it.
      throw hasErrno(error, 'ENOENT') ? uploadExpired(error) : error;
    }
    await syncDir(dirname(path));
    if (!signal?.aborted) return 'created';
    await unlink(path);
    throw signal.reason;
  }

  /**
   * Resolves if the disk is mounted, so that a missing file really does not exist; rejects like {@link
   * assertNoLink}.
   */
  async assertThere(): Promise<undefined> {
    await assertNoLink(this.#blobs);
  }

  /** Runs work on an existing file; undefined if the file does not exist. */
  async ifThere<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!hasErrno(error, 'ENOENT')) throw error;
      return this.assertThere();
    }
  }

  /** Rejects with STORE_UNAVAILABLE if `sizeBytes` more would leave too little room on the disk. */
  async assertRoom(sizeBytes: number): Promise<void> {
    const shortage = await this.#space.shortage(sizeBytes);
    if (shortage) throw storeUnavailable(shortage, 'full');
  }

  /** Like {@link onDisk}; also distinguishes a missing disk from a missing file. */
  async onDisk<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await onDisk(work);
    } catch (error) {
      await onDisk(() => this.assertThere());
      throw error;
    }
  }
}

/** A new name for unfinished data. */
export function unfinishedName(key: string): string {
  return unfinishedPrefix(key) + randomBytes(8).toString('hex');
}

/** Prefix of the names of all unfinished data of a key. */
function unfinishedPrefix(key: string): string {
  return `${createHash('sha256').update(key).digest('hex').slice(0, 32)}-`;
}
