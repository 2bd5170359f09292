import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { makePrivate, PRIVATE_FILE } from '../../private-files.ts';

/**
 * The key that signs the URLs of the filesystem store, kept in a file that only the service can read, so
 * that URLs go on working after a restart. Made with the first call; of two processes that make one at the
 * same time, both get the same.
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
