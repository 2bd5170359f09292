import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** A file to upload. */
export interface FoundFile {
  /** Path to open. */
  readonly path: string;
  /** Path in the given folder, with `/` as separator; the file name if the file itself was given. */
  readonly relativePath: string;
}

/**
 * Lists the files at `paths`, folders with their content in the order of names. Skips links inside a folder,
 * because they may lead outside or in circles, and everything that is neither file nor folder.
 *
 * @param hidden - true to include names inside a folder that start with a dot
 * @throws like `readdir` for a folder that cannot be read; a path that does not exist is listed as a file
 */
export async function* findFiles(paths: readonly string[], hidden: boolean): AsyncGenerator<FoundFile> {
  for (const path of paths) {
    if (await isFolder(path)) yield* inFolder(path, '', hidden);
    else yield { path, relativePath: basename(path) };
  }
}

/** True for a folder or a link to one. */
export async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() ?? false;
}

async function* inFolder(folder: string, relative: string, hidden: boolean): AsyncGenerator<FoundFile> {
  const entries = await readdir(folder, { withFileTypes: true });
  for (const entry of entries.sort((one, other) => (one.name < other.name ? -1 : 1))) {
    if (!hidden && entry.name.startsWith('.')) continue;
    const path = join(folder, entry.name);
    const relativePath = relative === '' ? entry.name : `${relative}/${entry.name}`;
    if (entry.isDirectory()) yield* inFolder(path, relativePath, hidden);
    else if (entry.isFile()) yield { path, relativePath };
  }
}
