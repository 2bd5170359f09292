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

/** Where the bytes of a download go. */
export type DownloadTarget =
  /** A directory, which receives the file under a name of its own. */
  | { readonly kind: 'directory'; readonly path: string }
  /** A new file, or a regular file that is replaced; no link any more. */
  | { readonly kind: 'file'; readonly path: string; readonly replaced: Stats | undefined }
  /** A named pipe or a device such as a terminal, which is written to as it is. */
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

/** The error for a name that is taken. */
export function targetExists(path: string): AssetClientError {
  return new AssetClientError(
    'ALREADY_EXISTS',
    `${path} exists already and was left as it is: give another path`,
    {
      reason: 'TARGET_EXISTS',
    },
  );
}

/** Finds out what stands under a path, so that what cannot be written is told before anything is downloaded. */
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
  // A rename would replace what may not be written to.
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

/** What the links lead to that begin at a path, if they end in nothing. As many are followed as Linux does. */
async function endOfLinks(path: string): Promise<string> {
  let at = path;
  for (let links = 0; links < 40; links++) {
    const found = await lstat(at).catch(() => undefined);
    if (found === undefined || !found.isSymbolicLink()) return at;
    const target = await readlink(at);
    const folder = await realpath(dirname(at));
    // Not joined by name: `..` behind a link is the parent of what the link leads to.
    at = isAbsolute(target) ? target : `${folder}${sep}${target}`;
  }
  throw Object.assign(new Error('too many symbolic links'), { code: 'ELOOP' });
}

/**
 * Has `write` fill a new file beside `path`, and gives it the name only when it is whole. A file that is replaced hands on its mode,
 * and its owner where the process may do that.
 *
 * @param exclusive - true to leave alone whatever has the name by then
 */
export async function writeBeside(
  path: string,
  { replaced, exclusive }: { readonly replaced?: Stats | undefined; readonly exclusive: boolean },
  write: (handle: FileHandle) => Promise<void>,
): Promise<void> {
  // In the same directory, since a rename across file systems is a copy. The name is short whatever that of the file is.
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
    // Whether the rest can be removed must not hide why there is a rest.
    await rm(part, { force: true }).catch(() => undefined);
    throw error;
  }
}

/** Renames a file to a name that nobody has. */
async function claim(part: string, path: string): Promise<void> {
  try {
    await link(part, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw targetExists(path);
    // A file system without hard links.
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

/** Has `write` send bytes to a pipe or a device. Waits for somebody who reads the pipe. */
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

/** A pipe that nobody reads would block a thread of the process for good, so it is asked again and again instead. */
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

/** The place of a file in a directory. Throws where the name is taken. */
export async function placeIn(directory: string, name: string): Promise<string> {
  const path = join(directory, name);
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found !== undefined) throw targetExists(path);
  return path;
}
