import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isBlobKey } from '../blob.ts';
import type { ListedBlob, ListPage } from '../blob-store.ts';
import { hasErrno } from './files.ts';
import { FilesystemMultipart } from './multipart.ts';

/** Blobs by key; see `BlobStore.listBlobs`. */
export async function listBlobFiles(root: string, page: ListPage): Promise<ListedBlob[]> {
  const found: ListedBlob[] = [];
  for await (const [key, path] of keysBelow(root, '', page)) {
    if (found.length === page.limit) break;
    const info = await unlessGone(stat(path));
    if (info?.isFile()) found.push({ key, sizeBytes: info.size, modifyTime: info.mtime });
  }
  return found;
}

/** Keys of unfinished multipart blobs; see `BlobStore.listMultiparts`. */
export async function listMultipartDirs(dir: string, page: ListPage): Promise<ListedBlob[]> {
  const latest = new Map<string, Date>();
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const path = join(dir, entry.name);
    const key = await FilesystemMultipart.keyOf(path);
    if (key === undefined || !isIn(key, page)) continue;
    const time = (await unlessGone(stat(path)))?.mtime;
    if (time && time > (latest.get(key) ?? new Date(0))) latest.set(key, time);
  }
  return [...latest]
    .map(([key, modifyTime]) => ({ key, sizeBytes: 0, modifyTime }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .slice(0, page.limit);
}

/** Keys below a directory with the paths of their files, in key order. */
async function* keysBelow(
  dir: string,
  before: string,
  page: ListPage,
): AsyncGenerator<readonly [string, string]> {
  const entries = (await unlessGone(readdir(dir, { withFileTypes: true }))) ?? [];
  const named = entries.flatMap((entry) => {
    // `+` splits a segment that is longer than a file name; a file name ends with `~`.
    const { name } = entry;
    if (entry.isDirectory())
      return [{ name, isFile: false, key: before + (name.endsWith('+') ? name.slice(0, -1) : `${name}/`) }];
    return entry.isFile() && name.endsWith('~')
      ? [{ name, key: before + name.slice(0, -1), isFile: true }]
      : [];
  });
  for (const { name, key, isFile } of named.sort((a, b) => (a.key < b.key ? -1 : 1))) {
    const path = join(dir, name);
    if (isFile) {
      if (isBlobKey(key) && isIn(key, page)) yield [key, path];
    } else if (mayHold(key, page)) {
      yield* keysBelow(path, key, page);
    }
  }
}

function isIn(key: string, { prefix, after = '' }: ListPage): boolean {
  return key.startsWith(prefix) && key > after;
}

/** False if the page has no key with this start. */
function mayHold(start: string, { prefix, after = '' }: ListPage): boolean {
  const fits = start.startsWith(prefix) || prefix.startsWith(start);
  return fits && (start > after || after.startsWith(start));
}

/** An entry may have been deleted since its directory was read. */
async function unlessGone<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
