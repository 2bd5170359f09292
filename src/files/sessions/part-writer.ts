import { combineCrc32c, crc32cOf } from '../../crc32c.ts';
import type { BlobPart } from '../../storage/blob-store.ts';
import type { BufferedBody } from '../../storage/part-reader.ts';
import { allowedContentType } from '../content-type.ts';
import type { MemoryShare } from '../../storage/memory-budget.ts';
import { callerKey } from '../caller.ts';
import type { FilesContext } from '../context.ts';
import { headOf } from '../head.ts';
import { blobKey } from '../ids.ts';
import type { ResumableHash } from './resumable-hash.ts';
import { saveSession } from './session-store.ts';
import { beginMultipart } from './start.ts';
import { persistedSize, pieceKey, takenOver, type Session, type SessionState } from './state.ts';
import { reached } from '../../points.ts';

/** Least time between two notes in the catalog of how far a running upload has come, in milliseconds. */
const CHECKPOINT_MS = 1000;

/** How long keeping the end of a broken upload may take, in milliseconds. */
const KEEP_TIMEOUT_MS = 10_000;

/** A part that is on its way or durable, with the state of the hash behind it. */
interface SentPart {
  readonly partNumber: number;
  readonly hash: { readonly crc32c: number; readonly sha256State: string };
  part?: BlobPart;
}

/**
 * Takes the bytes of one call, sends whole parts to the store side by side, and notes in the session how far they
 * are durable without a gap.
 */
export class PartWriter {
  readonly #context: FilesContext;
  /** Ends waiting and reading; parts on their way go on without the caller. */
  readonly #signal: AbortSignal;
  /** Revision under which this call may leave a piece. */
  readonly #claim: number;
  readonly #maxBytes: number;
  readonly #memory: MemoryShare;
  readonly #hash: ResumableHash;
  readonly #abort = new AbortController();
  readonly #sending = new Set<Promise<void>>();
  /** Sent parts that the session does not name yet, in order. */
  readonly #sent: SentPart[] = [];
  /** New bytes behind the last part, and their CRC32C. */
  #chunks: Uint8Array[] = [];
  #chunksBytes = 0;
  #chunksSum = 0;
  /** Durable bytes behind the last part; they come before `#chunks`. */
  #tailBytes: number;
  #nextPart: number;
  #session: Session;
  #saving: Promise<void> | undefined;
  #savedAt = Date.now();
  #giveBack: (() => void) | undefined;
  #buffer: Buffer | undefined;

  /**
   * @param session - claimed: nobody else writes to it, or whoever does makes the next save fail
   * @param maxBytes - greatest number of bytes that will come, where that is known
   */
  constructor(
    context: FilesContext,
    session: Session,
    hash: ResumableHash,
    signal: AbortSignal,
    maxBytes = Infinity,
  ) {
    this.#context = context;
    this.#session = session;
    this.#claim = session.state.pending.at(-1)!;
    this.#maxBytes = maxBytes;
    this.#memory = context.budget.of(callerKey(session.state.caller));
    this.#hash = hash;
    this.#signal = AbortSignal.any([signal, this.#abort.signal]);
    this.#tailBytes = session.state.tail.reduce((sum, piece) => sum + piece.sizeBytes, 0);
    this.#nextPart = session.state.parts.length + 1;
  }

  /** The session as it was last saved. */
  get session(): Session {
    return this.#session;
  }

  /** Number of bytes that fit into the part that is being filled. */
  get room(): number {
    return this.#session.state.partSizeBytes - this.#tailBytes - this.#chunksBytes;
  }

  /** What the next part is to be read into, if it has to be whole; where there is none, nothing is copied. */
  get buffer(): Buffer | undefined {
    return this.#buffer;
  }

  /** What ended the writing, if it was the writer's own doing. */
  get failure(): Error | undefined {
    return this.#abort.signal.aborted ? (this.#abort.signal.reason as Error) : undefined;
  }

  /** Takes memory for the part that is about to be filled. */
  async reserve(): Promise<void> {
    while (this.#sending.size >= this.#context.uploads.concurrency) await Promise.race(this.#sending);
    this.#signal.throwIfAborted();
    const sizeBytes = Math.min(this.#session.state.partSizeBytes, this.#maxBytes);
    this.#giveBack ??= await this.#memory.reserve(sizeBytes, this.#signal);
    if (this.#isWholePartAhead()) this.#buffer ??= this.#memory.buffers.take(this.room);
  }

  /** Adds bytes, at most {@link room}; a part that is full with them is sent. */
  async add(body: BufferedBody): Promise<void> {
    this.#hash.update(body);
    this.#chunks.push(...body.chunks);
    this.#chunksBytes += body.sizeBytes;
    this.#chunksSum = combineCrc32c(this.#chunksSum, body.crc32c, body.sizeBytes);
    if (this.room === 0) await this.#send();
  }

  /** Gives back the memory of a part that was not filled. */
  release(): void {
    this.#giveBack?.();
    this.#giveBack = undefined;
  }

  /**
   * Waits for the parts on their way, keeps what is behind them as a piece, and saves the session. Rejects with
   * what failed, after saving what did not.
   */
  async keep(expected = this.#session.state.expected): Promise<Session> {
    await Promise.all(this.#sending);
    await this.#saving;
    // A failed part leaves a gap, and what is behind a gap cannot be kept.
    const complete = this.#sent.every(({ part }) => part !== undefined);
    const piece = complete && this.#chunksBytes > 0 ? await this.#writePiece() : undefined;
    const state = this.#durableState();
    const tail = piece ? [...state.tail, piece] : state.tail;
    const pending = state.pending.filter((revision) => revision !== piece?.revision);
    const hash = piece ? this.#hash.save() : {};
    this.#session = await saveSession(this.#context, this.#session, {
      ...state,
      ...hash,
      tail,
      pending,
      expected,
    });
    if (this.failure !== undefined) throw this.failure;
    return this.#session;
  }

  /**
   * Sends what is behind the last whole part and waits until everything is durable.
   *
   * @returns the state with all parts; and the whole file as one body, if no part was begun
   */
  async flush(): Promise<{ readonly state: SessionState; readonly body?: readonly Uint8Array[] }> {
    if (this.#nextPart === 1) {
      return { state: this.#session.state, body: [...(await this.#readTail()), ...this.#chunks] };
    }
    if (this.#tailBytes + this.#chunksBytes > 0) await this.#send();
    await Promise.all(this.#sending);
    await this.#saving;
    this.#signal.throwIfAborted();
    return { state: this.#durableState() };
  }

  /** Checksums of the whole file. To be asked once, after the last byte. */
  digest(): { readonly sha256: string; readonly crc32c: number } {
    return this.#hash.finish();
  }

  #isWholePartAhead(): boolean {
    const { sizeBytes, partSizeBytes } = this.#session.state;
    if (this.room < partSizeBytes || this.#maxBytes < partSizeBytes) return false;
    // Nobody knows yet that a file of unknown size is a large one.
    if (sizeBytes === undefined) return this.#nextPart > 1;
    return sizeBytes >= this.#nextPart * partSizeBytes;
  }

  async #send(): Promise<void> {
    const tail = await this.#readTail();
    const chunks = [...tail, ...this.#chunks];
    const tailSum = tail.reduce((sum, chunk) => combineCrc32c(sum, crc32cOf(chunk), chunk.length), 0);
    const crc32c = combineCrc32c(tailSum, this.#chunksSum, this.#chunksBytes);
    if (this.#session.state.multipartId === undefined) await this.#begin(chunks);
    const sizeBytes = this.#tailBytes + this.#chunksBytes;
    const partNumber = this.#nextPart++;
    const entry: SentPart = { partNumber, hash: this.#hash.save() };
    const giveBack = this.#giveBack;
    const buffer = this.#buffer;
    this.#giveBack = undefined;
    this.#buffer = undefined;
    this.#sent.push(entry);
    this.#chunks = [];
    this.#chunksBytes = 0;
    this.#chunksSum = 0;
    this.#tailBytes = 0;
    const multipartId = this.#session.state.multipartId!;
    const sent = this.#context.store
      .putPart(
        blobKey(this.#session.id),
        multipartId,
        partNumber,
        { sizeBytes, chunks, crc32c },
        {
          signal: this.#abort.signal,
        },
      )
      .then((part) => {
        entry.part = part;
        // A request that failed might still look at it.
        if (buffer) this.#memory.buffers.giveBack(buffer);
        reached('session.part-stored');
        if (Date.now() - this.#savedAt >= CHECKPOINT_MS) this.#checkpoint();
      })
      .catch((error: unknown) => this.#abort.abort(error))
      .finally(() => {
        giveBack?.();
        this.#sending.delete(sent);
      });
    this.#sending.add(sent);
  }

  async #begin(head: readonly Uint8Array[]): Promise<void> {
    const contentType = await this.decideType(head);
    const multipartId = await beginMultipart(this.#context, this.#session, contentType, this.#signal);
    reached('session.multipart-begun');
    const state = { ...this.#session.state, multipartId, contentType };
    this.#session = await saveSession(this.#context, this.#session, state);
  }

  /** Decides the media type from the first bytes and holds it to the usage policy. */
  async decideType(head: readonly Uint8Array[]): Promise<string> {
    const { description, contentType } = this.#session.state;
    if (contentType !== undefined) return contentType;
    return allowedContentType(this.#context.policies, description, headOf(head));
  }

  async #readTail(): Promise<Uint8Array[]> {
    const chunks: Uint8Array[] = [];
    if (this.#tailBytes === 0) return chunks;
    for (const { revision } of this.#session.state.tail) {
      const piece = await this.#context.store.read(pieceKey(this.#session.id, revision), undefined, {
        signal: this.#signal,
      });
      for await (const chunk of piece) chunks.push(chunk as Uint8Array);
    }
    return chunks;
  }

  async #writePiece() {
    const piece = { revision: this.#claim, sizeBytes: this.#chunksBytes };
    // The caller may be gone by now, and its signal with it.
    const signal = AbortSignal.timeout(KEEP_TIMEOUT_MS);
    const body = { sizeBytes: piece.sizeBytes, chunks: this.#chunks, crc32c: this.#chunksSum };
    const key = pieceKey(this.#session.id, piece.revision);
    const status = await this.#context.store.put(
      key,
      body,
      { contentType: 'application/octet-stream' },
      { signal },
    );
    if (status === 'exists') throw takenOver(this.#session.id);
    reached('session.piece-stored');
    return piece;
  }

  /** The state with every part that is durable without a gap. */
  #durableState(): SessionState {
    let state = this.#session.state;
    while (this.#sent[0]?.part !== undefined) {
      const { part, hash } = this.#sent.shift()!;
      // The first part took in what was the tail.
      const stale = [...state.stale, ...state.tail.map(({ revision }) => revision)];
      state = { ...state, ...hash, parts: [...state.parts, part!], tail: [], stale };
    }
    return state;
  }

  /** Notes how far the upload has come, one note at a time. */
  #checkpoint(): void {
    if (this.#saving !== undefined) return;
    this.#savedAt = Date.now();
    const before = persistedSize(this.#session);
    const state = this.#durableState();
    if (state === this.#session.state) return;
    this.#saving = saveSession(this.#context, this.#session, state)
      .then((saved) => {
        this.#session = saved;
        this.#context.log.debug({ uploadId: saved.id, before, now: persistedSize(saved) }, 'checkpoint');
      })
      .catch((error: unknown) => this.#abort.abort(error))
      .finally(() => (this.#saving = undefined));
  }
}
