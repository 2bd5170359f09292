import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs';

/** Mode of a directory that only the user of the service can look into. */
export const PRIVATE_DIR = 0o700;

/** Mode of a file that only the user of the service can read and write. */
export const PRIVATE_FILE = 0o600;

/** What users other than the owner may do, as bits of a mode. */
const OTHERS = 0o077;

/**
 * Makes a directory, and those above it, for the user of the service alone, whatever the umask.
 *
 * @returns false if it was there; it keeps its mode then
 */
export function makePrivateDir(path: string): boolean {
  if (mkdirSync(path, { recursive: true, mode: PRIVATE_DIR }) === undefined) return false;
  chmodSync(path, PRIVATE_DIR);
  return true;
}

/** Takes a file or directory from all other users, where the system lets us. Nothing happens if there is none. */
export function makePrivate(path: string): void {
  try {
    const mode = statSync(path).mode;
    if ((mode & OTHERS) !== 0) chmodSync(path, mode & 0o7777 & ~OTHERS);
  } catch {
    // It is not there, or belongs to somebody else.
  }
}

/**
 * Makes an empty file for the user of the service alone. One that is there is taken from all other users, and not opened:
 * closing it would give up the locks that this process has on it.
 */
export function makePrivateFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', PRIVATE_FILE));
  } catch {
    makePrivate(path);
  }
}

/** True if other users may do something with what is at this path. */
export function isOpenToOthers(path: string): boolean {
  return (statSync(path).mode & OTHERS) !== 0;
}
