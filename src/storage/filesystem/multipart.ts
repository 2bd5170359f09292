import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isAssetError } from '../../errors/asset-error.ts';
import { uploadExpired } from '../../errors/uploads.ts';
import type { BlobBody, BlobHeaders, BlobPart } from '../blob.ts';
import { hasErrno, syncDir, writeBody } from './files.ts';
import { assertNoLink, isTaken, isThere, openFile } from './paths.ts';
import { PRIVATE_DIR, PRIVATE_FILE } from '../../system/private-files.ts';

/** File with the properties of the blob. */
const DESCRIPTION = 'multipart.json';

/** File to which parts are written. */
const DATA = 'data';

/** Name of the same file after sealing: no part is written any more, and it may become the blob. */
const SEALED = 'sealed';

/** What is known of a multipart blob when it begins. */
interface Description {
  /** Missing if an earlier version began it. */
  readonly key?: string;
  readonly partSizeBytes: number;
  readonly headers?: BlobHeaders | undefined;
}

/**
 * One unfinished multipart blob: a directory with one file for the bytes of all parts at their offsets, and a small
 * record file for each complete part. All state is on disk, so it survives the process.
 */
export class FilesystemMultipart {
  readonly #dir: string;
  readonly #partSizeBytes: number;
  /** Headers of the blob; undefined if it has none. */
  readonly headers: BlobHeaders | undefined;

  private constructor(dir: string, { partSizeBytes, headers }: Description) {
    this.#dir = dir;
    this.#partSizeBytes = partSizeBytes;
    this.headers = headers;
  }

  /** Creates one in a directory that does not exist yet. */
  static async start(dir: string, description: Description): Promise<void> {
    await assertNoLink(dirname(dir));
    await mkdir(dir, { mode: PRIVATE_DIR });
    try {
      await syncDir(dirname(dir));
      await writeFile(join(dir, DATA), '', { flag: 'wx', mode: PRIVATE_FILE });
      await writeDurably(join(dir, DESCRIPTION), description);
    } catch (error) {
      await rm(dir, { recursive: true, force: true });
      throw error;
    }
  }

  /** Opens one; rejects with UPLOAD_EXPIRED if it does not exist. */
  static async open(dir: string): Promise<FilesystemMultipart> {
    return new FilesystemMultipart(dir, await readJson<Description>(join(dir, DESCRIPTION)));
  }

  /** Key of the one in a directory; undefined if there is none, or an earlier version began it. */
  static async keyOf(dir: string): Promise<string | undefined> {
    try {
      return (await readJson<Description>(join(dir, DESCRIPTION))).key;
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
   * Stores one part. When a part is sent again, the old one stays until the new one is complete. Rejects with
   * UPLOAD_EXPIRED if the multipart blob does not exist or is sealed.
   */
  async put(partNumber: number, body: BlobBody, signal: AbortSignal | undefined): Promise<BlobPart> {
    if (body.sizeBytes > this.#partSizeBytes) throw new RangeError('a part is larger than its part size');
    const name = `part-${partNumber}.json`;
    // A list of the directory would take longer with every part. A link in the place of the record is replaced by it.
    const [isOpen, isSent] = await Promise.all([
      isThere(join(this.#dir, DATA)),
      isTaken(join(this.#dir, name)),
    ]).catch(expired);
    if (!isOpen) throw uploadExpired();
    const part: BlobPart = {
      partNumber,
      sizeBytes: body.sizeBytes,
      tag: randomBytes(8).toString('hex'),
      ...(body.crc32c !== undefined && { crc32c: body.crc32c }),
    };
    if (isSent) await this.#replace(name, body, part, signal);
    else await this.#write(body, part, signal);
    await writeDurably(join(this.#dir, name), part).catch(expired);
    return part;
  }

  /** The complete parts, by number. Rejects with UPLOAD_EXPIRED if the multipart blob does not exist. */
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
   * Checks that all `parts` are present, truncates the data to them and prevents further writes. Rejects with
   * UPLOAD_EXPIRED if a part is missing. May be repeated after a crash.
   *
   * The file is renamed before it becomes a blob. Otherwise, after a crash before the directory is removed, whoever
   * has a part's URL could still change the blob.
   */
  async seal(parts: readonly BlobPart[]): Promise<void> {
    let size = 0;
    for (const part of parts) {
      const stored = await readJson<BlobPart>(join(this.#dir, `part-${part.partNumber}.json`));
      if (stored.tag !== part.tag) throw uploadExpired();
      if (size !== (part.partNumber - 1) * this.#partSizeBytes) {
        throw new RangeError('a part other than the last is smaller than the part size');
      }
      size += stored.sizeBytes;
    }
    const dataPath = join(this.#dir, DATA);
    const isSealed = !(await isThere(dataPath));
    const data = await openFile(isSealed ? this.sealedPath : dataPath, 'write').catch(expired);
    try {
      // An earlier call sealed fewer parts and truncated the rest.
      if ((await data.stat()).size < size) throw uploadExpired();
      // Later parts may have been sent and abandoned.
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
      // After a crash during the copy, the old part's record must not describe mixed bytes.
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
  throw hasErrno(error, 'ENOENT') ? uploadExpired(error) : error;
}

async function readJson<T>(path: string): Promise<T> {
  const file = await openFile(path, 'read').catch(expired);
  try {
    return JSON.parse(await file.readFile('utf8')) as T;
  } finally {
    await file.close();
  }
}

/** Writes a file and renames it in one step, so that readers never see half of it. */
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
