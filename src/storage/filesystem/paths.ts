import { constants } from 'node:fs';
import { lstat, mkdir, open, realpath, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { PRIVATE_DIR } from '../../system/private-files.ts';
import { hasErrno, syncDir } from './files.ts';

// Without O_NONBLOCK, opening a named pipe would block a thread until somebody writes to it.
const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR } = constants;

/**
 * Opens an existing regular file. Never follows a symbolic link, neither at the file nor at a directory above it:
 * otherwise whoever can create one could make the service read or write elsewhere. Rejects with the system code
 * ELOOP for a link or anything else that is not a file.
 *
 * @param path - absolute, and without symbolic links above the store's directory
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

/** Size of a regular file in bytes; rejects like {@link openFile}. */
export async function sizeOfFile(path: string): Promise<number> {
  await assertNoLink(dirname(path));
  const stat = await lstat(path);
  if (!stat.isFile()) throw refused(path);
  return stat.size;
}

/** Rejects with the system code ELOOP if a path contains a symbolic link, and with ENOENT if it does not exist. */
export async function assertNoLink(path: string): Promise<void> {
  if ((await realpath(path)) !== path) throw refused(path);
}

/** Creates a directory and its parents durably. Rejects like {@link assertNoLink}. */
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
    // Another process created it first, or it is a dangling link.
    await assertNoLink(path);
  }
}

/** Returns whether a regular file exists; rejects like {@link openFile} for anything else. */
export async function isThere(path: string): Promise<boolean> {
  try {
    await sizeOfFile(path);
    return true;
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

/** Returns whether a name is taken: by a file, or by a link or anything else. Rejects like {@link assertNoLink}. */
export async function isTaken(path: string): Promise<boolean> {
  await assertNoLink(dirname(path));
  try {
    await lstat(path);
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
