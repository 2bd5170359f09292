import { open, stat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { basename } from 'node:path';
import { AssetClientError } from './errors.ts';
import { CHUNK_BYTES } from './pieces.ts';
import type { PreparedSource } from './source.ts';

/** A piece is held back while the next one is read, and a third may wait to be joined with what follows. */
const BUFFERS = 3;

/**
 * A file is sent as it was at the first look. One that changes meanwhile fails: half of the old bytes and half of the
 * new would otherwise become a file that never was.
 */
export function fromPath(path: string): PreparedSource {
  let version: string | undefined;
  const changed = () =>
    new AssetClientError('FAILED_PRECONDITION', `${path} changed while it was being uploaded`, {
      reason: 'SOURCE_CHANGED',
    });
  /** The size, of a file that is what it was. */
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
          // Memory that is used again costs nothing; a fresh buffer for each piece keeps the garbage collector busy.
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
