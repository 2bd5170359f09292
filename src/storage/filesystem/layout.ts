import { createHash, randomBytes } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { link, readdir, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { assertBlobKey } from '../blob-store.ts';
import { hasErrno, syncDir } from './files.ts';
import { assertNoLink, isThere, makeDirs } from './paths.ts';
import { makePrivate, makePrivateDir } from '../../private-files.ts';
import { multipartGone } from '../store-errors.ts';

/**
 * What lies where in the directory of the store.
 *
 * - `blobs/` holds the blobs, a directory for each segment of the key but the last.
 * - `unfinished/` holds what is being written, named by a hash of the key and a random id. It outlives the
 *   process: a multipart blob can be gone on with or aborted after a restart.
 *
 * The directory may itself be reached through a symbolic link. Below it none is followed.
 */
export class FilesystemLayout {
  readonly #blobs: string;
  readonly #unfinished: string;

  /** Makes the directories if there are none. */
  constructor(dir: string) {
    makePrivateDir(dir);
    const root = realpathSync(dir);
    this.#blobs = join(root, 'blobs');
    this.#unfinished = join(root, 'unfinished');
    for (const path of [this.#blobs, this.#unfinished]) {
      // Those of earlier versions were open to all.
      if (!makePrivateDir(path)) makePrivate(path);
    }
  }

  /**
   * The file of a key. It ends in a character that keys do not have, so that one key may go on where another
   * ends; segments longer than the system allows are cut with another such character.
   */
  blobPath(key: string): string {
    assertBlobKey(key);
    return join(this.#blobs, `${key.replace(/[^/]{200}(?=[^/])/g, '$&+/')}~`);
  }

  /** A new file to write in; rejects like {@link assertNoLink}. */
  async temporaryPath(key: string): Promise<string> {
    await assertNoLink(this.#unfinished);
    return join(this.#unfinished, unfinishedName(key));
  }

  /** The directory of a multipart blob. Throws UPLOAD_EXPIRED where the id is none of the key's. */
  multipartDir(key: string, multipartId: string): string {
    assertBlobKey(key);
    if (!multipartId.startsWith(unfinishedPrefix(key)) || !/^[0-9a-f-]+$/.test(multipartId))
      throw multipartGone();
    return join(this.#unfinished, multipartId);
  }

  /** Where the blobs lie; rejects like {@link assertNoLink}. */
  async blobsDir(): Promise<string> {
    await assertNoLink(this.#blobs);
    return this.#blobs;
  }

  /** Where all that is unfinished lies; rejects like {@link assertNoLink}. */
  async unfinishedDir(): Promise<string> {
    await assertNoLink(this.#unfinished);
    return this.#unfinished;
  }

  /** All that is unfinished under a key. */
  async unfinishedOf(key: string): Promise<{ readonly name: string; readonly path: string }[]> {
    await assertNoLink(this.#unfinished);
    const names = await readdir(this.#unfinished);
    const own = names.filter((name) => name.startsWith(unfinishedPrefix(key)));
    return own.map((name) => ({ name, path: join(this.#unfinished, name) }));
  }

  /**
   * Gives a whole and durable file the name of a blob, in one step.
   *
   * @param path - a {@link blobPath}
   */
  async publish(file: string, path: string, signal: AbortSignal | undefined): Promise<'created' | 'exists'> {
    signal?.throwIfAborted();
    // A root that is gone, such as a disk that is not mounted, is not to be made anew.
    await this.assertThere();
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

  /** Resolves if the disk is there, so that a file which is missing does not exist; rejects like {@link assertNoLink}. */
  async assertThere(): Promise<undefined> {
    await assertNoLink(this.#blobs);
  }
}

/** A new name for something unfinished. */
export function unfinishedName(key: string): string {
  return unfinishedPrefix(key) + randomBytes(8).toString('hex');
}

/** What the names of all that is unfinished under a key begin with, so that it can be found. */
function unfinishedPrefix(key: string): string {
  return `${createHash('sha256').update(key).digest('hex').slice(0, 32)}-`;
}
