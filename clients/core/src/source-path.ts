import { open, stat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { basename } from 'node:path';
import { AssetClientError } from './errors.ts';
import { CHUNK_BYTES } from './pieces.ts';
import type { PreparedSource } from './source.ts';

/** One piece is held back while the next is read, and a third may wait to be joined with the next. */
const BUFFERS = 3;

/**
 * A file on disk. If it changes while it is sent, the upload fails: a mix of old and new bytes never was a file.
 */
export function fromPath(path: string): PreparedSource {
  let version: string | undefined;
  const changed = () =>
    new AssetClientError('FAILED_PRECONDITION', `${path} changed while it was being uploaded`, {
      reason: 'SOURCE_CHANGED',
    });
  const longer = (size: number) => {
    const message = `${path} has more bytes than its size, which is ${size}: upload it as a stream`;
    return new AssetClientError('FAILED_PRECONDITION', message, { reason: 'SOURCE_CHANGED' });
  };
  /** The size, after checking that the file is unchanged. */
  const look = (stats: Stats) => {
    if (!stats.isFile()) throw new TypeError(`${path} is not a regular file`);
    const now = `${stats.size} ${stats.mtimeMs} ${stats.ino}`;
    if (now !== (version ??= now)) throw changed();
    return stats.size;
  };
  return {
    name: basename(path),
    size: async () => look(await stat(path)),
    canOpen: () => true,
    open: async (position) => {
      const handle = await open(path, 'r');
      async function* chunks(size: number): AsyncGenerator<Uint8Array> {
        const buffers: Buffer[] = [];
        for (let offset = position, turn = 0; offset < size; turn = (turn + 1) % BUFFERS) {
          // Reused buffers; a new one per piece would keep the garbage collector busy.
          const buffer = (buffers[turn] ??= Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, size - offset)));
          const wanted = Math.min(buffer.length, size - offset);
          for (let filled = 0; filled < wanted;) {
            const { bytesRead } = await handle.read(buffer, filled, wanted - filled, offset + filled);
            if (bytesRead === 0) throw changed();
            filled += bytesRead;
          }
          yield buffer.subarray(0, wanted);
          offset += wanted;
        }
        look(await handle.stat());
        // Files of /proc and the like have the size 0 and are not empty.
        const { bytesRead } = await handle.read(Buffer.alloc(1), 0, 1, size);
        if (bytesRead > 0) throw longer(size);
      }
      try {
        return { chunks: chunks(look(await handle.stat())), position, close: () => handle.close() };
      } catch (error) {
        await handle.close();
        throw error;
      }
    },
  };
}
