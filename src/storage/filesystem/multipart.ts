import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isAssetError } from '../../errors.ts';
import type { BlobBody, BlobPart } from '../blob-store.ts';
import { hasErrno, syncDir, writeBody } from './files.ts';
import { assertNoLink, isThere, openFile } from './paths.ts';
import { PRIVATE_DIR, PRIVATE_FILE } from '../../private-files.ts';
import { multipartGone } from '../store-errors.ts';

/** What the multipart blob is to be. */
const DESCRIPTION = 'multipart.json';

/** Where parts are written. */
const DATA = 'data';

/** The same file once all parts are there: parts are no longer written, and the file may become the blob. */
const SEALED = 'sealed';

/**
 * One unfinished multipart blob: a directory with a file for the bytes of all parts, each at its place, and
 * for every part that is whole a small file that says so. It needs no memory of its own, so that it
 * outlives the process.
 */
export class FilesystemMultipart {
  readonly #dir: string;
  readonly #partSizeBytes: number;

  private constructor(dir: string, partSizeBytes: number) {
    this.#dir = dir;
    this.#partSizeBytes = partSizeBytes;
  }

  /** Begins one in a directory that does not exist yet. */
  static async start(dir: string, key: string, partSizeBytes: number): Promise<void> {
    await assertNoLink(dirname(dir));
    await mkdir(dir, { mode: PRIVATE_DIR });
    try {
      await syncDir(dirname(dir));
      await writeFile(join(dir, DATA), '', { flag: 'wx', mode: PRIVATE_FILE });
      await writeDurably(join(dir, DESCRIPTION), { partSizeBytes, key });
    } catch (error) {
      await rm(dir, { recursive: true, force: true });
      throw error;
    }
  }

  /** Opens one; rejects with UPLOAD_EXPIRED if it is gone. */
  static async open(dir: string): Promise<FilesystemMultipart> {
    const { partSizeBytes } = await readJson<{ partSizeBytes: number }>(join(dir, DESCRIPTION));
    return new FilesystemMultipart(dir, partSizeBytes);
  }

  /** The key of the one in a directory; undefined if there is none, or an earlier version began it. */
  static async keyOf(dir: string): Promise<string | undefined> {
    try {
      return (await readJson<{ key?: string }>(join(dir, DESCRIPTION))).key;
    } catch (error) {
      if (isAssetError(error, 'UPLOAD_EXPIRED')) return undefined;
      throw error;
    }
  }

  /** The file that is the whole blob after {@link seal}. */
  get sealedPath(): string {
    return join(this.#dir, SEALED);
  }

  /**
   * Stores one part. A part that is sent again stays as it was until the new one is whole. Rejects with UPLOAD_EXPIRED if the
   * multipart blob is gone or sealed.
   */
  async put(partNumber: number, body: BlobBody, signal: AbortSignal | undefined): Promise<BlobPart> {
    if (body.sizeBytes > this.#partSizeBytes) throw new RangeError('a part is larger than its part size');
    const name = `part-${partNumber}.json`;
    const names = await readdir(this.#dir).catch(expired);
    if (!names.includes(DATA)) throw multipartGone();
    const part: BlobPart = {
      partNumber,
      sizeBytes: body.sizeBytes,
      tag: randomBytes(8).toString('hex'),
      ...(body.crc32c !== undefined && { crc32c: body.crc32c }),
    };
    if (names.includes(name)) await this.#replace(name, body, part, signal);
    else await this.#write(body, part, signal);
    await writeDurably(join(this.#dir, name), part).catch(expired);
    return part;
  }

  /** The parts that are whole, by number. Rejects with UPLOAD_EXPIRED if the multipart blob is gone. */
  async list(): Promise<BlobPart[]> {
    const names = await readdir(this.#dir).catch(expired);
    const parts = await Promise.all(
      names
        .filter((name) => /^part-\d+\.json$/.test(name))
        .map((name) => readJson<BlobPart>(join(this.#dir, name))),
    );
    return parts.sort((a, b) => a.partNumber - b.partNumber);
  }

  /**
   * Checks that `parts` are all here, cuts the data to them and lets no part be written any more. Rejects with
   * UPLOAD_EXPIRED if a part is not here. May be repeated after a crash.
   *
   * The file gets another name before it becomes a blob. Otherwise a crash between that and the removal of the
   * directory would leave the blob open to whoever has the URL of a part.
   */
  async seal(parts: readonly BlobPart[]): Promise<void> {
    let size = 0;
    for (const part of parts) {
      const stored = await readJson<BlobPart>(join(this.#dir, `part-${part.partNumber}.json`));
      if (stored.tag !== part.tag) throw multipartGone();
      if (size !== (part.partNumber - 1) * this.#partSizeBytes) {
        throw new RangeError('a part other than the last is smaller than the part size');
      }
      size += stored.sizeBytes;
    }
    const dataPath = join(this.#dir, DATA);
    const isSealed = !(await isThere(dataPath));
    const data = await openFile(isSealed ? this.sealedPath : dataPath, 'write').catch(expired);
    try {
      // An earlier call sealed fewer parts: the rest is gone.
      if ((await data.stat()).size < size) throw multipartGone();
      // Parts beyond the last one may have been sent and given up.
      await data.truncate(size);
      await data.sync();
    } finally {
      await data.close();
    }
    if (isSealed) return;
    await rename(dataPath, this.sealedPath);
    await syncDir(this.#dir);
  }

  async #write(body: BlobBody, part: BlobPart, signal: AbortSignal | undefined): Promise<void> {
    const data = await openFile(join(this.#dir, DATA), 'write').catch(expired);
    try {
      await writeBody(data, body, (part.partNumber - 1) * this.#partSizeBytes, signal);
    } finally {
      await data.close();
    }
  }

  async #replace(
    name: string,
    body: BlobBody,
    part: BlobPart,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const path = join(this.#dir, `${part.tag}.new`);
    const file = await open(path, 'wx+', PRIVATE_FILE).catch(expired);
    try {
      await writeBody(file, body, 0, signal);
      // A crash in the middle of the copy must not leave the old part's record over mixed bytes.
      await rm(join(this.#dir, name));
      await syncDir(this.#dir);
      const chunks = file.createReadStream({ start: 0, autoClose: false }) as AsyncIterable<Uint8Array>;
      await this.#write({ sizeBytes: body.sizeBytes, chunks }, part, undefined);
    } finally {
      await file.close();
      await rm(path, { force: true });
    }
  }
}

function expired(error: unknown): never {
  throw hasErrno(error, 'ENOENT') ? multipartGone(error) : error;
}

async function readJson<T>(path: string): Promise<T> {
  const file = await openFile(path, 'read').catch(expired);
  try {
    return JSON.parse(await file.readFile('utf8')) as T;
  } finally {
    await file.close();
  }
}

/** Puts a file under its name in one step, so that nobody ever reads half of it. */
async function writeDurably(path: string, value: unknown): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}`;
  const file = await open(temporary, 'wx', PRIVATE_FILE);
  try {
    await file.writeFile(JSON.stringify(value));
    await file.sync();
    await rename(temporary, path);
  } finally {
    await file.close();
    await rm(temporary, { force: true });
  }
  await syncDir(dirname(path));
}
