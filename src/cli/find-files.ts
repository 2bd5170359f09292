import { isUtf8 } from 'node:buffer';
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** A file to upload. */
export interface FoundFile {
  /** Path to open. */
  readonly path: string;
  /** Path in the given folder, with `/` as separator; the file name if the file itself was given. */
  readonly relativePath: string;
  /** True for a file or folder whose name is not UTF-8: no string of JavaScript names it. `path` is for people. */
  readonly isUnnamable?: true;
}

/**
 * Lists the files at `paths`, folders with their content in the order of names. Skips links inside a folder,
 * because they may lead outside or in circles, and everything that is neither file nor folder. Of a folder whose name is
 * not UTF-8 only the folder is listed.
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
  const entries = await readdir(folder, { withFileTypes: true, encoding: 'buffer' });
  const named = entries.map((entry) => ({
    entry,
    name: entry.name.toString(),
    isNamable: isUtf8(entry.name),
  }));
  for (const { entry, name, isNamable } of named.sort((one, other) => (one.name < other.name ? -1 : 1))) {
    if (!hidden && name.startsWith('.')) continue;
    const relativePath = relative === '' ? name : `${relative}/${name}`;
    const path = join(folder, name);
    if (!isNamable) {
      if (!entry.isDirectory() && !entry.isFile()) continue;
      yield { path: join(folder, escaped(entry.name)), relativePath, isUnnamable: true };
      continue;
    }
    if (entry.isDirectory()) yield* inFolder(path, relativePath, hidden);
    else if (entry.isFile()) yield { path, relativePath };
  }
}

/** A name with its bytes outside of ASCII as `\\xE9`. */
function escaped(name: Buffer): string {
  return [...name]
    .map((byte) =>
      byte > 0x1f && byte < 0x7f
        ? String.fromCharCode(byte)
        : `\\x${byte.toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .join('');
}
