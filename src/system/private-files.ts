import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** Mode of a directory that only the service's user can access. */
export const PRIVATE_DIR = 0o700;

/** Mode of a file that only the service's user can read and write. */
export const PRIVATE_FILE = 0o600;

/** Permission bits of other users. */
const OTHERS = 0o077;

/**
 * Creates a directory and its parents for the service's user only, whatever the umask.
 *
 * @returns false if it exists; then its mode stays
 */
export function makePrivateDir(path: string): boolean {
  if (!makeDir(path, PRIVATE_DIR)) return false;
  chmodSync(path, PRIVATE_DIR);
  return true;
}

/**
 * Creates a directory and its parents.
 *
 * @param mode - without the bits of the umask
 * @returns false if it exists
 */
export function makeDir(path: string, mode = 0o777): boolean {
  const parent = dirname(path);
  try {
    return makeLastDir(path, mode);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === path) throw error;
  }
  makeDir(parent, mode);
  // Once: with `recursive`, Node.js tries for ever where the file system takes no directory, such as in /proc.
  return makeLastDir(path, mode);
}

function makeLastDir(path: string, mode: number): boolean {
  try {
    mkdirSync(path, { mode });
    return true;
  } catch (error) {
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
    return false;
  }
}

/** Removes other users' access to a file or directory, if the system permits. Does nothing if it does not exist. */
export function makePrivate(path: string): void {
  try {
    const mode = statSync(path).mode;
    if ((mode & OTHERS) !== 0) chmodSync(path, mode & 0o7777 & ~OTHERS);
  } catch {
    // It does not exist or belongs to another user.
  }
}

/**
 * Creates an empty file for the service's user only. For an existing file it removes other users' access without
 * opening it: closing it would release this process's locks on it.
 */
export function makePrivateFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', PRIVATE_FILE));
  } catch {
    makePrivate(path);
  }
}

/** True if other users have any access to this path. */
export function isOpenToOthers(path: string): boolean {
  return (statSync(path).mode & OTHERS) !== 0;
}
