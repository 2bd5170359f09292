import type { BlobBody, BlobPart } from '../../storage/blob.ts';
import type { Chunk } from './chunk.ts';
import { OpenPart, type OpenPartOptions } from './open-part.ts';
import { fileTooLarge } from '../../errors/uploads.ts';
import { sendAgain } from './send-again.ts';

/** Where the bytes of parts come from. */
export interface PartSource {
  /** The next bytes, at most so many; undefined at the end. Rejects with what ends them early. */
  next(maxBytes: number): Promise<Chunk | undefined>;
  /** Whether any bytes are left, which may mean to wait for them. */
  hasMore(): Promise<boolean>;
  /** Says that the part which is being filled has these bytes now. */
  accept(chunk: Chunk): void;
  /** Ends the wait for bytes. */
  abort(reason: Error): void;
}

/** What parts are cut and sent with; `S` is what is noted at the end of each. */
export interface PartsOptions<S> extends Pick<
  OpenPartOptions,
  'store' | 'memory' | 'partSizeBytes' | 'tail' | 'spare'
> {
  /** Key of the blob; asked for when something is sent. */
  readonly key: () => string;
  /** Number of bytes that will come, where that is known. */
  readonly restBytes?: number | undefined;
  /** Greatest number of bytes that will come, where that is known. */
  readonly maxBytes?: number | undefined;
  /** Parts on their way to the store at once. */
  readonly concurrency: number;
  /** Parts that are in the store already. */
  readonly storedParts?: number;
  /** True to send a part that is full before it is known whether more will come. */
  readonly isEager?: boolean;
  /** Ends reading, and waiting for memory. */
  readonly signal: AbortSignal;
  /** True if parts on their way go on when the signal is aborted. */
  readonly outlivesCaller?: boolean;
  /** Begins the multipart blob, or names the one there is; it begins with the bytes of `part`. */
  readonly begin: (part: OpenPart, call: { readonly signal: AbortSignal }) => Promise<string>;
  /** What to keep with a part: asked when all of its bytes have come, and none behind them. */
  readonly mark: () => S;
  /** Told when a part is stored. */
  readonly onStored?: () => void;
}

/** A part that is stored. */
export interface StoredPart<S> {
  readonly part: BlobPart;
  readonly mark: S;
}

/** Cuts the bytes of an upload into parts and sends these to the store side by side. */
export class Parts<S = undefined> {
  readonly #options: PartsOptions<S>;
  readonly #abort = new AbortController();
  readonly #signal: AbortSignal;
  readonly #sendSignal: AbortSignal;
  readonly #sending = new Set<Promise<void>>();
  readonly #sent: { readonly mark: S; part?: BlobPart }[] = [];
  #open: OpenPart;
  #partNumber: number;
  #multipartId: string | undefined;
  #addedBytes = 0;

  constructor(options: PartsOptions<S>) {
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#abort.signal]);
    this.#sendSignal = options.outlivesCaller ? this.#abort.signal : this.#signal;
    this.#partNumber = options.storedParts ?? 0;
    this.#open = this.#newPart(false, options.tail);
  }

  /** Aborted when reading is to end: by the caller, or by a part that failed. */
  get signal(): AbortSignal {
    return this.#signal;
  }

  /** What a part failed with, if one did. */
  get failure(): Error | undefined {
    return this.#abort.signal.aborted ? (this.#abort.signal.reason as Error) : undefined;
  }

  /** Id of the multipart blob, once there is one. */
  get multipartId(): string | undefined {
    return this.#multipartId;
  }

  /** The part that is being filled; all of the file while none was sent. */
  get open(): OpenPart {
    return this.#open;
  }

  /** True while no part was sent: the open one is all of the file. */
  get isOne(): boolean {
    return this.#partNumber === 0;
  }

  /** True unless a part that was sent has failed or is still on its way. What is behind a gap cannot be kept. */
  get areDurable(): boolean {
    return this.#sent.every(({ part }) => part !== undefined);
  }

  /** Takes all bytes of a source. Rejects with the first failure. */
  async pour(source: PartSource): Promise<void> {
    const onAbort = () => source.abort(this.#signal.reason as Error);
    this.#signal.addEventListener('abort', onAbort, { once: true });
    try {
      await this.#pour(source);
    } finally {
      this.#signal.removeEventListener('abort', onAbort);
    }
  }

  async #pour(source: PartSource): Promise<void> {
    for (;;) {
      this.#signal.throwIfAborted();
      if (this.#open.room === 0) {
        if (!(this.#isSentAtOnce || (await source.hasMore()))) return;
        await this.#send();
      }
      while (this.#sending.size >= this.#options.concurrency) await Promise.race(this.#sending);
      this.#signal.throwIfAborted();
      if (this.#restBytes > 0) await this.#open.prepare(this.#signal);
      const asked = performance.now();
      const chunk = await source.next(this.#open.room);
      this.#open.pace.waited(performance.now() - asked);
      if (chunk === undefined) return;
      await this.#open.add(chunk, this.#signal);
      source.accept(chunk);
      this.#addedBytes += chunk.bytes.length;
    }
  }

  /** Sends the last part and waits until all are stored. Rejects with the first failure. */
  async flush(): Promise<void> {
    if (this.#open.sizeBytes > 0) await this.#send();
    await this.settle();
    this.#signal.throwIfAborted();
  }

  /** Waits until no part is on its way. */
  async settle(): Promise<void> {
    await Promise.all(this.#sending);
  }

  /** The parts that are stored without a gap and were not taken yet. */
  takeStored(): readonly StoredPart<S>[] {
    const gap = this.#sent.findIndex(({ part }) => part === undefined);
    return this.#sent.splice(0, gap === -1 ? this.#sent.length : gap) as StoredPart<S>[];
  }

  /** Ends everything with `reason`, and waits until it has ended. */
  async fail(reason: unknown): Promise<Error> {
    this.#abort.abort(reason);
    await this.settle();
    return this.#abort.signal.reason as Error;
  }

  /** Sends the bytes of the open part, which stays open, by `send`. */
  async sendOpen<T>(
    send: (body: BlobBody & { readonly crc32c: number }) => Promise<T>,
    body: Parameters<OpenPart['body']>[0] = {},
  ): Promise<T> {
    await this.#open.seal();
    return sendAgain(
      this.#options.memory,
      () => this.#open.body(body),
      body.signal ?? this.#sendSignal,
      send,
    );
  }

  /** Lets go of the open part. No part may be on its way. */
  async close(): Promise<void> {
    await this.#open.drop(false);
  }

  get #restBytes(): number {
    const { restBytes = Infinity, maxBytes = Infinity } = this.#options;
    return Math.min(restBytes, maxBytes) - this.#addedBytes;
  }

  get #isSentAtOnce(): boolean {
    const { restBytes, isEager } = this.#options;
    return isEager === true || this.#partNumber > 0 || (restBytes !== undefined && this.#restBytes > 0);
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
    this.#multipartId ??= await this.#options.begin(part, { signal: this.#signal });
    this.#partNumber += 1;
    const entry: { readonly mark: S; part?: BlobPart } = { mark: this.#options.mark() };
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
  }

  async #put(part: OpenPart, multipartId: string, partNumber: number): Promise<BlobPart> {
    const { store, key, memory } = this.#options;
    const signal = this.#sendSignal;
    let isStored = false;
    try {
      await part.seal();
      const put = (body: BlobBody) => store.putPart(key(), multipartId, partNumber, body, { signal });
      const stored = await sendAgain(memory, () => part.body({ signal }), signal, put);
      isStored = true;
      return stored;
    } finally {
      await part.drop(isStored);
    }
  }
}
