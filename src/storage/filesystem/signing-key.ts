import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { makePrivate, PRIVATE_FILE } from '../../system/private-files.ts';

/**
 * The key that signs URLs of the filesystem store. It is kept in a file that only the service can read, so that
 * URLs work after a restart. The first call creates it; two processes that create it at the same time get the same
 * key.
 */
export function loadSigningKey(path: string): Buffer {
  makePrivate(path);
  const read = () => Buffer.from(readFileSync(path, 'utf8'), 'base64url');
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const temporary = `${path}.${process.pid}`;
  try {
    writeFileSync(temporary, randomBytes(32).toString('base64url'), { mode: PRIVATE_FILE });
    linkSync(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
  return read();
}
