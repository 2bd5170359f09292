import { AssetClientError } from '@asset-service/client-core';
import { randomUUID } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import {
  access,
  type FileHandle,
  link,
  lstat,
  open,
  readlink,
  realpath,
  rename,
  rm,
  stat,
} from 'node:fs/promises';
import { dirname, isAbsolute, join, sep } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Target of a download. */
export type DownloadTarget =
  /** A directory; the file gets a safe form of its own name. */
  | { readonly kind: 'directory'; readonly path: string }
  /** A new file, or a regular file to replace; symbolic links are resolved. */
  | { readonly kind: 'file'; readonly path: string; readonly replaced: Stats | undefined }
  /** A named pipe or a device such as a terminal; written directly. */
  | { readonly kind: 'pipe'; readonly path: string };

/** The error for a local file that could not be written. */
export function targetFailed(path: string, error: unknown): AssetClientError {
  if (error instanceof AssetClientError) return error;
  const { code, message = String(error) } = error as NodeJS.ErrnoException;
  const why = code === undefined ? message : (EXPLAINED[code] ?? message);
  return new AssetClientError('FAILED_PRECONDITION', `${path} could not be written: ${why}`, {
    reason: 'TARGET_FAILED',
    cause: error,
  });
}

const EXPLAINED: Readonly<Record<string, string>> = {
  ENOENT: 'its directory does not exist (ENOENT)',
  ENOTDIR: 'what should be its directory is none (ENOTDIR)',
  ENAMETOOLONG: 'the name is too long for the file system (ENAMETOOLONG)',
  EACCES: 'permission denied (EACCES)',
  EPERM: 'permission denied (EPERM)',
  EROFS: 'the file system is read-only (EROFS)',
  ENOSPC: 'the disk is full (ENOSPC)',
  EDQUOT: 'the disk quota is used up (EDQUOT)',
  EPIPE: 'whoever read it is gone (EPIPE)',
};

/** The error for a target that exists. */
export function targetExists(path: string): AssetClientError {
  return new AssetClientError(
    'ALREADY_EXISTS',
    `${path} exists already and was left as it is: give another path`,
    {
      reason: 'TARGET_EXISTS',
    },
  );
}

/** Determines what a path is, so that an unwritable target fails before the download. */
export async function findTarget(path: string): Promise<DownloadTarget> {
  const found = await statOrNothing(path);
  if (found === undefined) {
    if (path === '' || path.endsWith('/') || path.endsWith(sep)) throw missing(path);
    const end = await endOfLinks(path);
    if ((await statOrNothing(dirname(end))) === undefined) throw missing(path);
    return { kind: 'file', path: end, replaced: undefined };
  }
  if (found.isDirectory()) return { kind: 'directory', path };
  if (found.isFIFO() || found.isCharacterDevice()) return { kind: 'pipe', path };
  if (!found.isFile()) throw targetFailed(path, new Error('it is neither a file nor a pipe'));
  // A rename would replace a read-only file.
  await access(path, constants.W_OK);
  return { kind: 'file', path: await realpath(path), replaced: found };
}

function missing(path: string): AssetClientError {
  return targetFailed(path, Object.assign(new Error('no such directory'), { code: 'ENOENT' }));
}

async function statOrNothing(path: string): Promise<Stats | undefined> {
  return stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

/** Target of a chain of symbolic links that ends in nothing. Follows as many links as Linux does. */
async function endOfLinks(path: string): Promise<string> {
  let at = path;
  for (let links = 0; links < 40; links++) {
    const found = await lstat(at).catch(() => undefined);
    if (found === undefined || !found.isSymbolicLink()) return at;
    const target = await readlink(at);
    const folder = await realpath(dirname(at));
    // Not joined by name: `..` after a link is the parent of the link's target.
    at = isAbsolute(target) ? target : `${folder}${sep}${target}`;
  }
  throw Object.assign(new Error('too many symbolic links'), { code: 'ELOOP' });
}

/**
 * Lets `write` fill a temporary file beside `path` and renames it when it is complete. A replaced file passes on
 * its mode, and its owner if the process may set it.
 *
 * @param exclusive - true to fail if the name exists by then
 */
export async function writeBeside(
  path: string,
  { replaced, exclusive }: { readonly replaced?: Stats | undefined; readonly exclusive: boolean },
  write: (handle: FileHandle) => Promise<void>,
): Promise<void> {
  // In the same directory, because a rename across file systems is a copy. The name is always short.
  const part = join(dirname(path), `.asset-${randomUUID()}.part`);
  try {
    const handle = await open(part, 'wx', replaced === undefined ? 0o666 : 0o600);
    try {
      await write(handle);
      if (replaced !== undefined) {
        await handle.chown(replaced.uid, replaced.gid).catch(() => undefined);
        await handle.chmod(replaced.mode & 0o7777);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await (exclusive ? claim(part, path) : rename(part, path));
  } catch (error) {
    // A failed cleanup must not hide the error.
    await rm(part, { force: true }).catch(() => undefined);
    throw error;
  }
}

/** Renames a file to a name that does not exist. */
async function claim(part: string, path: string): Promise<void> {
  try {
    await link(part, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw targetExists(path);
    // The file system has no hard links.
    await open(path, 'wx').then(
      (handle) => handle.close(),
      (cause: NodeJS.ErrnoException) => {
        throw cause.code === 'EEXIST' ? targetExists(path) : cause;
      },
    );
    return rename(part, path);
  }
  await rm(part, { force: true }).catch(() => undefined);
}

/** Lets `write` send bytes to a pipe or device. Waits until somebody reads the pipe. */
export async function writeInto(
  path: string,
  signal: AbortSignal | undefined,
  write: (handle: FileHandle) => Promise<void>,
): Promise<void> {
  const handle = await openPipe(path, signal);
  try {
    await write(handle);
  } finally {
    await handle.close();
  }
}

/** Opening a pipe without a reader would block a thread forever, so this polls. */
async function openPipe(path: string, signal: AbortSignal | undefined): Promise<FileHandle> {
  for (;;) {
    try {
      const probe = await open(path, constants.O_WRONLY | constants.O_NONBLOCK);
      try {
        return await open(path, constants.O_WRONLY);
      } finally {
        await probe.close();
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error;
      await sleep(50, undefined, { signal });
    }
  }
}

/** The path of a file in a directory. Throws if it exists. */
export async function placeIn(directory: string, name: string): Promise<string> {
  const path = join(directory, name);
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found !== undefined) throw targetExists(path);
  return path;
}
