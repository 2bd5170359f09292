import { AssetError } from '../errors.ts';
import type { BlobPart, BlobStore } from './blob-store.ts';
import type { MemoryShare } from './memory-budget.ts';
import { PartReader, type BufferedBody } from './part-reader.ts';
import { sizeMismatch } from './store-errors.ts';

/** How {@link writeBlob} writes. */
export interface WriteBlobOptions {
  /** Number of bytes that `chunks` must bring, where known. */
  readonly sizeBytes?: number;
  /** Media type, ASCII. */
  readonly contentType: string;
  /** Wanted size of a part. It is kept within the store's limits, and grows with a known size. */
  readonly partSizeBytes: number;
  /** Greatest number of parts in memory at once, the one being filled included; 4 where left out. */
  readonly concurrency?: number;
  /** What the memory for parts is taken from, shared by all uploads of the process. */
  readonly budget: MemoryShare;
  /**
   * Gives back the memory of the first part, where the caller took it already: {@link firstPartBytes} of it.
   * The write gives it back in any case.
   */
  readonly firstPart?: () => void;
  /** Ends the write; it then rejects with `signal.reason`. */
  readonly signal?: AbortSignal;
}

/** How long a failed write may take to clean up, in milliseconds. */
const CLEANUP_TIMEOUT_MS = 5_000;

const MEBIBYTE = 1024 * 1024;

/**
 * Stores a blob from a stream of chunks: in one go if it fits into one part, else in parts that are on
 * their way side by side. Takes from `chunks` only what it has memory for.
 *
 * Resolves with `exists`, and stores nothing, if there is a blob under the key already. Rejects with
 * SIZE_MISMATCH if the chunks bring more or fewer bytes than `sizeBytes`, with FILE_TOO_LARGE if they are more than
 * the store's parts can hold, with what `chunks` or `signal` fail with, and like {@link BlobStore.put}. Then
 * nothing it wrote is left, as far as the store could be reached.
 */
export async function writeBlob(
  store: BlobStore,
  key: string,
  chunks: AsyncIterable<Uint8Array>,
  options: WriteBlobOptions,
): Promise<{ readonly status: 'created' | 'exists'; readonly sizeBytes: number }> {
  // Aborted by the caller's signal and by the first failure, so that one failing part ends the others.
  const abort = new AbortController();
  const onAbort = () => abort.abort(options.signal?.reason);
  options.signal?.addEventListener('abort', onAbort, { once: true });
  if (options.signal?.aborted) onAbort();

  const write = new BlobWrite(store, key, chunks, options, abort);
  try {
    return await write.run();
  } finally {
    write.close();
    options.signal?.removeEventListener('abort', onAbort);
  }
}

/** One run of {@link writeBlob}. */
class BlobWrite {
  readonly #store: BlobStore;
  readonly #key: string;
  readonly #options: WriteBlobOptions;
  readonly #abort: AbortController;
  readonly #source: PartReader;
  readonly #partSizeBytes: number;
  /** Gives back the memory of the parts that are still held. */
  readonly #releases = new Set<() => void>();
  #filled: FilledPart | undefined;
  #readBytes = 0;

  constructor(
    store: BlobStore,
    key: string,
    chunks: AsyncIterable<Uint8Array>,
    options: WriteBlobOptions,
    abort: AbortController,
  ) {
    this.#store = store;
    this.#key = key;
    this.#options = options;
    this.#abort = abort;
    this.#source = new PartReader(chunks, abort.signal);
    this.#partSizeBytes = partSize(store, options);
  }

  async run(): Promise<{ status: 'created' | 'exists'; sizeBytes: number }> {
    this.#filled = await this.#fill();
    if (await this.#hasMore()) return this.#writeParts();
    const { signal } = this.#abort;
    const status = await this.#store.put(this.#key, this.#takeFilled().body, this.#options, { signal });
    return { status, sizeBytes: this.#readBytes };
  }

  /** Gives back what is held. No part may be on its way any more. */
  close(): void {
    this.#source.close();
    for (const release of this.#releases) release();
  }

  async #writeParts(): Promise<{ status: 'created' | 'exists'; sizeBytes: number }> {
    const { signal } = this.#abort;
    const call = { signal };
    const sending = new Set<Promise<void>>();
    const parts: BlobPart[] = [];
    let status: 'created' | 'exists' | undefined;
    try {
      const properties = { contentType: this.#options.contentType, partSizeBytes: this.#partSizeBytes };
      const multipartId = await this.#store.startMultipart(this.#key, properties, call);
      let partNumber = 0;
      const send = () => {
        const { body, buffer, release } = this.#takeFilled();
        partNumber += 1;
        const sent = this.#store
          .putPart(this.#key, multipartId, partNumber, body, call)
          .then((part) => {
            parts.push(part);
            // A request that failed might still look at it.
            if (buffer) this.#options.budget.buffers.giveBack(buffer);
          })
          .catch((error: unknown) => this.#abort.abort(error))
          .finally(() => {
            release();
            sending.delete(sent);
          });
        sending.add(sent);
      };

      send();
      while (await this.#hasMore()) {
        if (partNumber === this.#store.partLimits.maxParts) throw tooLarge(this.#readBytes);
        while (sending.size >= (this.#options.concurrency ?? 4)) await Promise.race(sending);
        this.#filled = await this.#fill();
        send();
      }
      await Promise.all(sending);
      signal.throwIfAborted();
      parts.sort((a, b) => a.partNumber - b.partNumber);
      status = await this.#store.completeMultipart(this.#key, multipartId, parts, call);
      return { status, sizeBytes: this.#readBytes };
    } catch (error) {
      this.#abort.abort(error);
      await Promise.all(sending);
      // The first failure, not what followed from it.
      throw signal.reason;
    } finally {
      if (status !== 'created') await this.#dropParts();
    }
  }

  /** The part to send next. A variable of a function that waits for all parts would hold it until the last. */
  #takeFilled(): FilledPart {
    const filled = this.#filled!;
    this.#filled = undefined;
    return filled;
  }

  /** Takes memory for a part before reading it, so that a part that is in memory waits for nothing. */
  async #fill(): Promise<FilledPart> {
    const { signal } = this.#abort;
    const left = (this.#options.sizeBytes ?? Infinity) - this.#readBytes;
    const wanted = Math.min(this.#partSizeBytes, left);
    const first = this.#readBytes === 0 ? this.#options.firstPart : undefined;
    const giveBack = first ?? (await this.#options.budget.reserve(wanted, signal));
    const release = () => {
      giveBack();
      this.#releases.delete(release);
    };
    this.#releases.add(release);
    // Nobody knows yet that a file of unknown size is a large one.
    const isWhole = wanted === this.#partSizeBytes && (this.#readBytes > 0 || left !== Infinity);
    const buffer = isWhole ? this.#options.budget.buffers.take(wanted) : undefined;
    const body = await this.#source.read(wanted, buffer);
    this.#readBytes += body.sizeBytes;
    return { body, buffer, release };
  }

  /** Tells whether the source has more, and checks what it brought against the size that was said. */
  async #hasMore(): Promise<boolean> {
    const { sizeBytes } = this.#options;
    const more = await this.#source.hasMore();
    if (sizeBytes === undefined) return more;
    if (more && this.#readBytes === sizeBytes) throw sizeMismatch(sizeBytes, `more than ${sizeBytes}`);
    if (!more && this.#readBytes < sizeBytes) throw sizeMismatch(sizeBytes, this.#readBytes);
    return more;
  }

  async #dropParts(): Promise<void> {
    try {
      // The caller's signal may be aborted by now.
      await this.#store.abortMultiparts(this.#key, { signal: AbortSignal.timeout(CLEANUP_TIMEOUT_MS) });
    } catch {
      // The sweeper does it later; the failure that led here is the one to tell.
    }
  }
}

interface FilledPart {
  readonly body: BufferedBody;
  /** What the body lies in, if it was copied. */
  readonly buffer: Buffer | undefined;
  readonly release: () => void;
}

/** How much memory the first part of a write takes. A caller that looks at the first bytes takes it before. */
export function firstPartBytes(
  store: BlobStore,
  options: Pick<WriteBlobOptions, 'sizeBytes' | 'partSizeBytes'>,
): number {
  return Math.min(partSize(store, options), options.sizeBytes ?? Infinity);
}

function partSize(
  { partLimits }: BlobStore,
  { sizeBytes = 0, partSizeBytes }: Pick<WriteBlobOptions, 'sizeBytes' | 'partSizeBytes'>,
): number {
  const needed = Math.ceil(sizeBytes / partLimits.maxParts / MEBIBYTE) * MEBIBYTE;
  const wanted = Math.max(partSizeBytes, partLimits.minBytes, needed);
  return Math.min(wanted, partLimits.maxBytes);
}

function tooLarge(readBytes: number): AssetError {
  return new AssetError(
    'FILE_TOO_LARGE',
    `a file whose size is not told beforehand may have at most ${readBytes} bytes: give its size`,
    { metadata: { max_size_bytes: String(readBytes) } },
  );
}
