import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** A file to upload. */
export interface FoundFile {
  /** Where it lies. */
  readonly path: string;
  /** Its place in the folder that was named, with `/` between folders; its name where it was named itself. */
  readonly relativePath: string;
}

/**
 * Lists the files that paths stand for, folders with all that is in them, each folder in the order of its names. Links inside a
 * folder are passed over, since they may lead out of it or in a circle; so is what is neither file nor folder.
 *
 * @param hidden - true to take in what begins with a dot inside a folder
 * @throws like `readdir` for a folder that cannot be read; a path that does not exist is listed as a file
 */
export async function* findFiles(paths: readonly string[], hidden: boolean): AsyncGenerator<FoundFile> {
  for (const path of paths) {
    if (await isFolder(path)) yield* inFolder(path, '', hidden);
    else yield { path, relativePath: basename(path) };
  }
}

/** True for a folder, also one that a link leads to. */
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
