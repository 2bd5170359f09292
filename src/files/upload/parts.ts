import { fileTooLarge } from '../../errors/uploads.ts';
import type { BlobPart } from '../../storage/blob.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { HashState } from './checksums.ts';
import type { Inflow } from './inflow.ts';
import { OpenPart, type OpenPartOptions, type PartBody, type Sending } from './open-part.ts';

const MEBIBYTE = 1024 * 1024;

/**
 * Part size of a file in bytes: the wanted size, within the limits of the store, and so large that the store's number of
 * parts suffices for a file of known size.
 */
export function partSizeFor(
  { partLimits }: Pick<BlobStore, 'partLimits'>,
  wantedBytes: number,
  sizeBytes = 0,
): number {
  const neededBytes = Math.ceil(sizeBytes / partLimits.maxParts / MEBIBYTE) * MEBIBYTE;
  return Math.min(Math.max(wantedBytes, partLimits.minBytes, neededBytes), partLimits.maxBytes);
}

/** How bytes are cut into parts and sent. */
export interface PartsOptions extends Pick<
  OpenPartOptions,
  'store' | 'memory' | 'partSizeBytes' | 'tail' | 'spare'
> {
  /** Key of the blob; called when something is sent. */
  readonly key: () => string;
  /** Greatest number of bytes that will come; undefined if unknown. */
  readonly restBytes?: number | undefined;
  /** Number of parts that are sent at once. */
  readonly concurrency: number;
  /**
   * Number of parts that earlier calls stored; undefined if the bytes come in one call. Parts of several calls are kept:
   * each is sent as soon as it is full, and continues on its way when `signal` is aborted.
   */
  readonly storedParts?: number;
  /** Ends reading, and waiting for memory. */
  readonly signal: AbortSignal;
  /** Begins the multipart blob, or returns the id of an earlier one. `part` has the first bytes of this call. */
  readonly begin: (part: OpenPart, call: { readonly signal: AbortSignal }) => Promise<string>;
  /** Called when a part is stored. */
  readonly onStored?: () => void;
}

/** A stored part, and the state of the hash after its bytes. */
export interface StoredPart {
  readonly part: BlobPart;
  readonly hash: HashState | undefined;
}

/** Cuts the bytes of a call into parts and sends them to the store, several at once. */
export class Parts {
  readonly #options: PartsOptions;
  readonly inflow: Inflow;
  readonly #abort = new AbortController();
  /** Aborted when reading must end: by the caller, or by a part that failed. */
  readonly signal: AbortSignal;
  readonly #sendSignal: AbortSignal;
  readonly #sending = new Set<Promise<void>>();
  readonly #sent: { readonly hash: HashState | undefined; part?: BlobPart }[] = [];
  readonly #taken: BlobPart[] = [];
  #open: OpenPart;
  #partNumber: number;
  #multipartId: string | undefined;
  #hasBegun = false;
  #addedBytes = 0;
  /** True once the store has all of the open part. */
  #isOpenStored = false;

  constructor(inflow: Inflow, options: PartsOptions) {
    this.inflow = inflow;
    this.#options = options;
    this.signal = AbortSignal.any([options.signal, this.#abort.signal]);
    this.#sendSignal = options.storedParts === undefined ? this.signal : this.#abort.signal;
    this.#partNumber = options.storedParts ?? 0;
    this.#open = this.#newPart(false, options.tail);
  }

  /** The failure of a part; undefined if none failed. */
  get failure(): Error | undefined {
    return this.#abort.signal.aborted ? (this.#abort.signal.reason as Error) : undefined;
  }

  /** Id of the multipart blob, once there is one. */
  get multipartId(): string | undefined {
    return this.#multipartId;
  }

  /** True once a multipart blob may have been begun. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** The part that is being filled. */
  get open(): OpenPart {
    return this.#open;
  }

  /** True while no part was sent: the open one is the whole file. */
  get isOne(): boolean {
    return this.#partNumber === 0;
  }

  /** True if every part that was sent is stored. Bytes behind a gap cannot be kept. */
  get areDurable(): boolean {
    return this.#sent.every(({ part }) => part !== undefined);
  }

  /** Takes all bytes. Rejects with the first failure. */
  async pour(): Promise<void> {
    const onAbort = () => this.inflow.abort(this.signal.reason as Error);
    this.signal.addEventListener('abort', onAbort, { once: true });
    try {
      while (await this.#next());
    } finally {
      this.signal.removeEventListener('abort', onAbort);
    }
  }

  /** Sends the last part, unless it is the whole file, and waits until all are stored. Rejects with the first failure. */
  async flush(): Promise<void> {
    if (this.isOne) return;
    if (this.#open.sizeBytes > 0) await this.#send();
    await this.settle();
    this.signal.throwIfAborted();
  }

  /** Waits until no part is on its way. */
  async settle(): Promise<void> {
    await Promise.all(this.#sending);
  }

  /** The parts that are stored without a gap and were not taken before. */
  take(): readonly StoredPart[] {
    const gap = this.#sent.findIndex(({ part }) => part === undefined);
    const taken = this.#sent.splice(0, gap === -1 ? this.#sent.length : gap) as StoredPart[];
    this.#taken.push(...taken.map(({ part }) => part));
    return taken;
  }

  /** The parts that were taken, in order. */
  get taken(): readonly BlobPart[] {
    return this.#taken;
  }

  /** Ends everything with `reason`, and waits until it has ended. Returns the first failure. */
  async fail(reason: unknown): Promise<Error> {
    this.#abort.abort(reason);
    await this.settle();
    return this.#abort.signal.reason as Error;
  }

  /** Sends the open part, which stays open, by `send`. */
  async sendOpen<T>(
    send: (body: PartBody, call: { readonly signal: AbortSignal }) => Promise<T>,
    { signal = this.#sendSignal, ...rest }: Partial<Sending> = {},
  ): Promise<T> {
    this.#isOpenStored = false;
    const sent = await this.#open.send({ signal, ...rest }, (body) => send(body, { signal }));
    this.#isOpenStored = true;
    return sent;
  }

  /** Drops the open part. No part may be on its way. */
  async close(): Promise<void> {
    await this.#open.drop(this.#isOpenStored);
  }

  /** Takes the next bytes. Returns false at the end. */
  async #next(): Promise<boolean> {
    this.signal.throwIfAborted();
    if (this.#open.room === 0) {
      if (!(this.#isSentAtOnce || (await this.inflow.hasMore()))) return false;
      await this.#send();
    }
    while (this.#sending.size >= this.#options.concurrency) await Promise.race(this.#sending);
    this.signal.throwIfAborted();
    if (this.#restBytes > 0) await this.#open.prepare(this.signal);
    const asked = performance.now();
    const chunk = await this.inflow.next(this.#open.room);
    this.#open.pace.waited(performance.now() - asked);
    if (chunk === undefined) return false;
    await this.#open.add(chunk, this.signal);
    this.inflow.accept(chunk);
    this.#addedBytes += chunk.bytes.length;
    return true;
  }

  get #restBytes(): number {
    return (this.#options.restBytes ?? Infinity) - this.#addedBytes;
  }

  get #isSentAtOnce(): boolean {
    const { restBytes, storedParts } = this.#options;
    return (
      storedParts !== undefined || this.#partNumber > 0 || (restBytes !== undefined && this.#restBytes > 0)
    );
  }

  #newPart(isQuick: boolean, tail?: OpenPartOptions['tail']): OpenPart {
    const { store, memory, partSizeBytes, spare, restBytes } = this.#options;
    const left = this.#restBytes;
    const isWhole =
      left >= partSizeBytes && tail === undefined && (restBytes !== undefined || this.#partNumber > 0);
    const how = { restBytes: left, isWhole, isQuick, ...(tail && { tail }) };
    return new OpenPart({ store, memory, partSizeBytes, spare, ...how });
  }

  async #send(): Promise<void> {
    const part = this.#open;
    if (this.#partNumber === this.#options.store.partLimits.maxParts) {
      const maxBytes = this.#options.partSizeBytes * this.#partNumber;
      throw fileTooLarge(maxBytes, 'whose size is not given', { advice: 'give its size' });
    }
    this.#hasBegun = true;
    this.#multipartId ??= await this.#options.begin(part, { signal: this.signal });
    this.#partNumber += 1;
    const entry: { readonly hash: HashState | undefined; part?: BlobPart } = {
      hash: this.inflow.hashState(),
    };
    this.#sent.push(entry);
    const sent = this.#put(part, this.#multipartId, this.#partNumber)
      .then((stored) => {
        entry.part = stored;
        this.#options.onStored?.();
      })
      .catch((error: unknown) => this.#abort.abort(error))
      .finally(() => this.#sending.delete(sent));
    this.#sending.add(sent);
    this.#open = this.#newPart(part.pace.isQuick);
    this.#isOpenStored = false;
  }

  async #put(part: OpenPart, multipartId: string, partNumber: number): Promise<BlobPart> {
    const { store, key } = this.#options;
    const call = { signal: this.#sendSignal };
    let isStored = false;
    try {
      const stored = await part.send(call, (body) =>
        store.putPart(key(), multipartId, partNumber, body, call),
      );
      isStored = true;
      return stored;
    } finally {
      await part.drop(isStored);
    }
  }
}
