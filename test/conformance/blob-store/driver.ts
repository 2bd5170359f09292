import { it } from '@jest/globals';
import { crc32c } from '@node-rs/crc32';
import { randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { BlobBody, BlobStore } from '../../../src/storage/blob-store.ts';
import type { TcpProxy } from '../../support/tcp-proxy.ts';

/** What a driver may lack; each topic names the one it needs. */
export type Capability =
  /** Signed URLs are served by the store itself. */
  | 'serves-signed-urls'
  /** A URL signed for GET answers HEAD as well. */
  | 'head-by-signed-url'
  /** A key may go on where another ends: `a` and `a/b`. */
  | 'nested-keys'
  /** Of different multipart blobs that are completed under one key at once, one wins. */
  | 'one-completion'
  /** A segment of a key may be longer than a file name. */
  | 'long-segments'
  /** There is a network between driver and store that can be cut. */
  | 'network'
  /** A part that is sent again after its multipart blob was aborted is refused. */
  | 'refuses-parts-after-abort'
  /** A part that is sent through a signed URL is not stored if its body breaks off. */
  | 'refuses-broken-parts'
  /** A signed part may be sent without its length being said beforehand. */
  | 'streamed-parts'
  /** Parts are listed a page of 1,000 at a time. */
  | 'paged-parts';

/** A store that is open on an empty place of its own. */
export interface OpenedStore {
  readonly store: BlobStore;
  /** Texts that no message may hold: bucket, address, directory, keys. */
  readonly secrets: readonly string[];
  /** Number of unfinished blobs under a key, counted past the driver. */
  countUnfinished(key: string): Promise<number>;
  /** Content type that is kept with a blob, looked up past the driver; undefined if none is kept. */
  contentType(key: string): Promise<string | undefined>;
  /** The network between driver and store; undefined if there is none. */
  readonly proxy: TcpProxy | undefined;
  /** A second store over the same place, as another process would open it. */
  reopen(): BlobStore;
  /** Stores over the same server that cannot be used, each with why. */
  readonly unusable: readonly { readonly why: string; readonly store: BlobStore }[];
  /** Makes the store fail as a whole until `recover` is called. */
  fail(): Promise<void>;
  recover(): Promise<void>;
  close(): Promise<void>;
}

/** A driver under test. */
export interface Driver {
  readonly name: string;
  open(): Promise<OpenedStore>;
  /** Why a capability is lacking. What is not named here is there. */
  readonly exceptions: Partial<Record<Capability, string>>;
  /** Size of a part in bytes: the least that the store takes, or close to it. */
  readonly partSizeBytes: number;
}

/** Declares a test that needs a capability; it is skipped, with the reason in its name, where that is lacking. */
export function itNeeds(
  driver: Driver,
  capability: Capability,
  name: string,
  test: () => Promise<void>,
  timeoutMs?: number,
): void {
  const reason = driver.exceptions[capability];
  if (reason === undefined) it(name, test, timeoutMs);
  else it.skip(`${name} (${capability}: ${reason})`, test);
}

/** A key that nobody used before. */
export function newKey(): string {
  return `assets/${randomBytes(1).toString('hex')}/${randomBytes(8).toString('hex')}`;
}

const RANDOM = randomBytes(11 * 1024 * 1024);

/** The first `size` of some random bytes; larger than 11 MiB is not to be had. */
export function bytes(size: number): Buffer {
  if (size > RANDOM.length) throw new RangeError('no test needs that much');
  return RANDOM.subarray(0, size);
}

/** A body in memory, cut into chunks of `chunkBytes`. */
export function bufferedBody(data: Buffer, chunkBytes = 256 * 1024): BlobBody & { chunks: Buffer[] } {
  return { sizeBytes: data.length, chunks: cut(data, chunkBytes), crc32c: crc32c(data) };
}

/** A body that is read once. */
export function streamedBody(data: Buffer, sizeBytes = data.length): BlobBody {
  return { sizeBytes, chunks: streamOf(data) };
}

/** Yields `data` in chunks of an odd size, so that none ends where a part does. */
export async function* streamOf(data: Buffer, chunkBytes = 190_001): AsyncGenerator<Uint8Array> {
  for (const chunk of cut(data, chunkBytes)) {
    await new Promise((resolve) => setImmediate(resolve));
    yield chunk;
  }
}

/** Yields `data`, then keeps its reader waiting. Tells through `closed` whether the reader let go. */
export function hangingStream(data: Buffer): AsyncIterable<Uint8Array> & { closed: boolean } {
  let given = false;
  return {
    closed: false,
    [Symbol.asyncIterator]() {
      return {
        next: () => {
          if (given) return new Promise<never>(() => undefined);
          given = true;
          return Promise.resolve({ done: false, value: data });
        },
        return: () => {
          this.closed = true;
          return Promise.resolve({ done: true, value: undefined });
        },
      };
    },
  };
}

/** Reads a stream to its end. */
export async function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** What a promise rejects with; fails if it does not. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { reason?: string }> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('it should have been rejected');
}

function cut(data: Buffer, chunkBytes: number): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < data.length; at += chunkBytes) chunks.push(data.subarray(at, at + chunkBytes));
  return chunks;
}
