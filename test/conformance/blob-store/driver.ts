import { it } from '@jest/globals';
import { crc32c } from '@node-rs/crc32';
import { randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { BlobBody } from '../../../src/storage/blob.ts';
import type { BlobStore } from '../../../src/storage/blob-store.ts';
import type { TcpProxy } from '../../support/tcp-proxy.ts';

/** Optional capabilities; a test names the one it needs. */
export type Capability =
  /** The store itself serves signed URLs. */
  | 'serves-signed-urls'
  /** Stores headers with a blob and returns them by its URLs. */
  | 'keeps-headers'
  /** A URL signed for GET also answers HEAD. */
  | 'head-by-signed-url'
  /** One key may be a prefix of another: `a` and `a/b`. */
  | 'nested-keys'
  /** Of several multipart blobs completed under one key at once, one succeeds. */
  | 'one-completion'
  /** A segment of a key may be longer than a file name. */
  | 'long-segments'
  /** There is a network between driver and store that can be cut. */
  | 'network'
  /** Refuses a part that is sent after its multipart blob was aborted. */
  | 'refuses-parts-after-abort'
  /** Does not store a part through a signed URL whose body breaks off. */
  | 'refuses-broken-parts'
  /** Accepts a signed part without a declared length. */
  | 'streamed-parts'
  /** Lists parts in pages of 1,000. */
  | 'paged-parts';

/** An open store on an empty location. */
export interface OpenedStore {
  readonly store: BlobStore;
  /**
   * The same with a short time limit, for tests of a store that stalls; `store` if there is no such limit. A busy
   * machine may exceed that limit with any request that stores much.
   */
  readonly impatient: BlobStore;
  /** Texts that no message may contain: bucket, address, directory, keys. */
  readonly secrets: readonly string[];
  /** Number of unfinished blobs under a key, counted without the driver. */
  countUnfinished(key: string): Promise<number>;
  /** Stored content type of a blob, read without the driver; undefined if none is stored. */
  contentType(key: string): Promise<string | undefined>;
  /** The network between driver and store, if any. */
  readonly proxy: TcpProxy | undefined;
  /** A second store on the same location, as another process would open it. */
  reopen(): BlobStore;
  /** Stores on the same server that cannot be used, each with the reason. */
  readonly unusable: readonly { readonly why: string; readonly store: BlobStore }[];
  /** Makes the whole store fail until `recover` is called. */
  fail(): Promise<void>;
  recover(): Promise<void>;
  close(): Promise<void>;
}

/** A driver under test. */
export interface Driver {
  readonly name: string;
  open(): Promise<OpenedStore>;
  /** Why a capability is missing. Capabilities that are not listed exist. */
  readonly exceptions: Partial<Record<Capability, string>>;
  /** Size of a part in bytes: the store's minimum, or close to it. */
  readonly partSizeBytes: number;
}

/** Declares a test that needs a capability; without it the test is skipped with the reason in its name. */
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

/** An unused key. */
export function newKey(): string {
  return `assets/${randomBytes(1).toString('hex')}/${randomBytes(8).toString('hex')}`;
}

const RANDOM = randomBytes(11 * 1024 * 1024);

/** The first `size` of some random bytes; at most 11 MiB. */
export function bytes(size: number): Buffer {
  if (size > RANDOM.length) throw new RangeError('no test needs that much');
  return RANDOM.subarray(0, size);
}

/** A body in memory, in chunks of `chunkBytes`. */
export function bufferedBody(data: Buffer, chunkBytes = 256 * 1024): BlobBody & { chunks: Buffer[] } {
  return { sizeBytes: data.length, chunks: cut(data, chunkBytes), crc32c: crc32c(data) };
}

/** A body that is read once. */
export function streamedBody(data: Buffer, sizeBytes = data.length): BlobBody {
  return { sizeBytes, chunks: streamOf(data) };
}

/** Yields `data` in chunks of an odd size, so that none ends with a part. */
export async function* streamOf(data: Buffer, chunkBytes = 190_001): AsyncGenerator<Uint8Array> {
  for (const chunk of cut(data, chunkBytes)) {
    await new Promise((resolve) => setImmediate(resolve));
    yield chunk;
  }
}

/** Yields `data`, then never ends. `closed` tells whether its reader closed it. */
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

/** The rejection of a promise; fails if it resolves. */
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
