import type { BlobStore } from '../storage/blob-store.ts';
import { readBytes, type FileBytes } from './bytes.ts';
import { SNIFF_BYTES } from './content-type.ts';

/** The bytes at the beginning of some content that tell its type, or all of a shorter one. */
export async function headOf(chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const head: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    if (length >= SNIFF_BYTES) break;
    head.push(chunk);
    length += chunk.byteLength;
  }
  return (head.length === 1 ? head[0]! : Buffer.concat(head)).subarray(0, SNIFF_BYTES);
}

/** The same of a file that is not empty, from the store. */
export async function readHead(store: BlobStore, fileId: string, signal: AbortSignal): Promise<Uint8Array> {
  return readHeadOf({ read: (range, call) => readBytes(store, fileId, call, range) }, signal);
}

/** The same of a file that is not empty, wherever it lies. */
export async function readHeadOf(bytes: Pick<FileBytes, 'read'>, signal: AbortSignal): Promise<Uint8Array> {
  const content = await bytes.read({ offset: 0, length: SNIFF_BYTES }, { signal });
  return Buffer.concat((await content.toArray()) as Uint8Array[]);
}
