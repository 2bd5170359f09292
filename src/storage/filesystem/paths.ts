import { constants } from 'node:fs';
import { lstat, mkdir, open, realpath, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { PRIVATE_DIR } from '../../private-files.ts';
import { hasErrno, syncDir } from './files.ts';

// Without O_NONBLOCK a named pipe would hold the thread that opens it until somebody writes to it.
const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR } = constants;

/**
 * Opens a regular file that is there. A symbolic link is never followed, neither in the place of the file nor
 * in that of a folder above it: whoever can put one there would have the service read or write what lies elsewhere.
 * Rejects with the system code ELOOP then, and where there is something else than a file.
 *
 * @param path - absolute, and real but for what has been planted
 */
export async function openFile(path: string, access: 'read' | 'write'): Promise<FileHandle> {
  await assertNoLink(dirname(path));
  const file = await open(path, (access === 'read' ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) throw refused(path);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The size of a regular file in bytes; rejects like {@link openFile}. */
export async function sizeOfFile(path: string): Promise<number> {
  await assertNoLink(dirname(path));
  const stat = await lstat(path);
  if (!stat.isFile()) throw refused(path);
  return stat.size;
}

/** Rejects with the system code ELOOP if a path leads through a symbolic link, and with ENOENT if there is nothing. */
export async function assertNoLink(path: string): Promise<void> {
  if ((await realpath(path)) !== path) throw refused(path);
}

/** Makes a directory and those above it, and makes their names durable. Rejects like {@link assertNoLink}. */
export async function makeDirs(path: string): Promise<void> {
  try {
    return await assertNoLink(path);
  } catch (error) {
    if (!hasErrno(error, 'ENOENT')) throw error;
  }
  await makeDirs(dirname(path));
  try {
    await mkdir(path, { mode: PRIVATE_DIR });
    await syncDir(dirname(path));
  } catch (error) {
    if (!hasErrno(error, 'EEXIST')) throw error;
    // Somebody else was faster, or it is a link to nowhere.
    await assertNoLink(path);
  }
}

/** Tells whether there is a regular file; rejects like {@link openFile} where there is something else. */
export async function isThere(path: string): Promise<boolean> {
  try {
    await sizeOfFile(path);
    return true;
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

function refused(path: string): Error {
  const message = `ELOOP: a symbolic link, or no regular file, is in the way of '${path}'`;
  return Object.assign(new Error(message), { code: 'ELOOP', syscall: 'open', path });
}
