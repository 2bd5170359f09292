import type { BufferedBody } from '../../storage/part-reader.ts';
import { allowedContentType } from '../content-type.ts';
import type { MemoryShare } from '../../storage/memory-budget.ts';
import { callerKey } from '../../identity/caller.ts';
import type { FilesContext } from '../context.ts';
import { headOf } from '../head.ts';
import { blobKey } from '../ids.ts';
import { OpenPart } from './open-part.ts';
import type { ResumableHash } from './resumable-hash.ts';
import { SentParts } from './sent-parts.ts';
import { saveSession } from './session-store.ts';
import { beginMultipart } from './start.ts';
import { persistedSize, pieceKey, takenOver, type Session, type SessionState } from './state.ts';
import { reached } from '../../points.ts';

/** Least time between two notes in the catalog of how far a running upload has come, in milliseconds. */
const CHECKPOINT_MS = 1000;

/** How long keeping the end of a broken upload may take, in milliseconds. */
const KEEP_TIMEOUT_MS = 10_000;

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
  readonly #sent = new SentParts();
  #open: OpenPart;
  #nextPart: number;
  #session: Session;
  #saving: Promise<void> | undefined;
  #savedAt = Date.now();

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
    const tailBytes = session.state.tail.reduce((sum, piece) => sum + piece.sizeBytes, 0);
    this.#open = new OpenPart(this.#memory, session.state.partSizeBytes, tailBytes);
    this.#nextPart = session.state.parts.length + 1;
  }

  /** The session as it was last saved. */
  get session(): Session {
    return this.#session;
  }

  /** Number of bytes that fit into the part that is being filled. */
  get room(): number {
    return this.#open.room;
  }

  /** What the next part is to be read into, if it has to be whole; where there is none, nothing is copied. */
  get buffer(): Buffer | undefined {
    return this.#open.buffer;
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
    await this.#open.reserve(sizeBytes, this.#signal);
    if (this.#isWholePartAhead()) this.#open.takeBuffer();
  }

  /** Adds bytes, at most {@link room}; a part that is full with them is sent. */
  async add(body: BufferedBody): Promise<void> {
    this.#hash.update(body);
    this.#open.add(body);
    if (this.room === 0) await this.#send();
  }

  /** Gives back the memory of a part that was not filled. */
  release(): void {
    this.#open.release();
  }

  /**
   * Waits for the parts on their way, keeps what is behind them as a piece, and saves the session. Rejects with
   * what failed, after saving what did not.
   */
  async keep(expected = this.#session.state.expected): Promise<Session> {
    await Promise.all(this.#sending);
    await this.#saving;
    const hasPiece = this.#sent.areDurable && this.#open.added.sizeBytes > 0;
    const piece = hasPiece ? await this.#writePiece() : undefined;
    const state = this.#sent.moveInto(this.#session.state);
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
      return { state: this.#session.state, body: [...(await this.#readTail()), ...this.#open.added.chunks] };
    }
    if (this.#open.sizeBytes > 0) await this.#send();
    await Promise.all(this.#sending);
    await this.#saving;
    this.#signal.throwIfAborted();
    return { state: this.#sent.moveInto(this.#session.state) };
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
    const part = this.#open;
    const body = part.whole(await this.#readTail());
    if (this.#session.state.multipartId === undefined) await this.#begin(body.chunks);
    const partNumber = this.#nextPart++;
    const note = this.#sent.add(this.#hash.save());
    this.#open = new OpenPart(this.#memory, this.#session.state.partSizeBytes, 0);
    const multipartId = this.#session.state.multipartId!;
    const sent = this.#context.store
      .putPart(blobKey(this.#session.id), multipartId, partNumber, body, { signal: this.#abort.signal })
      .then((stored) => {
        note(stored);
        // A request that failed might still look at it.
        part.reuseBuffer();
        reached('session.part-stored');
        if (Date.now() - this.#savedAt >= CHECKPOINT_MS) this.#checkpoint();
      })
      .catch((error: unknown) => this.#abort.abort(error))
      .finally(() => {
        part.release();
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
    if (this.#open.tailBytes === 0) return chunks;
    for (const { revision } of this.#session.state.tail) {
      const piece = await this.#context.store.read(pieceKey(this.#session.id, revision), undefined, {
        signal: this.#signal,
      });
      for await (const chunk of piece) chunks.push(chunk as Uint8Array);
    }
    return chunks;
  }

  async #writePiece() {
    const body = this.#open.added;
    const piece = { revision: this.#claim, sizeBytes: body.sizeBytes };
    // The caller may be gone by now, and its signal with it.
    const signal = AbortSignal.timeout(KEEP_TIMEOUT_MS);
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

  /** Notes how far the upload has come, one note at a time. */
  #checkpoint(): void {
    if (this.#saving !== undefined) return;
    this.#savedAt = Date.now();
    const before = persistedSize(this.#session);
    const state = this.#sent.moveInto(this.#session.state);
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
