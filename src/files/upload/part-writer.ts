import { reached } from '../../system/crash-points.ts';
import type { BlobPart } from '../../storage/blob.ts';
import { blobKey, pieceKey, spareBlobs } from '../bytes.ts';
import { callerKey } from '../../identity/caller.ts';
import { allowedContentType, headOf } from '../content-type/content-type.ts';
import type { FilesContext } from '../context.ts';
import { digestOf } from './digest.ts';
import type { ContentRules } from '../policy/usage-policies.ts';
import type { Inflow } from './inflow.ts';
import type { OpenPart } from './open-part.ts';
import { Parts } from './parts.ts';
import type { ResumableHash } from './resumable-hash.ts';
import { saveSession } from './session-store.ts';
import { beginMultipart } from './start.ts';
import { persistedSize, withPart, type Piece, type Session, type SessionState } from './session-state.ts';
import { uploadTakenOver } from '../../errors/uploads.ts';

/** Least time between two notes in the catalog of how far a running upload has come, in milliseconds. */
const CHECKPOINT_MS = 1000;

/** How long keeping the end of a broken upload may take, in milliseconds. */
const KEEP_TIMEOUT_MS = 10_000;

/** State of the hash behind a part. */
type HashState = Pick<SessionState, 'crc32c' | 'sha256State'>;

/** What one call writes with. */
export interface PartWriterOptions {
  readonly hash: ResumableHash;
  readonly rules: ContentRules;
  /** Greatest number of bytes that will come, where that is known. */
  readonly maxBytes?: number | undefined;
}

/**
 * Takes the bytes of one call of a session, sends whole parts to the store, and notes in the session how far they
 * are durable without a gap.
 */
export class PartWriter {
  readonly #context: FilesContext;
  readonly #hash: ResumableHash;
  readonly #rules: ContentRules;
  /** Revision under which this call may leave a piece. */
  readonly #claim: number;
  readonly #parts: Parts<HashState>;
  /** Parts that this call has stored, in order. */
  readonly #sent: BlobPart[] = [];
  #session: Session;
  #saving: Promise<void> | undefined;
  #savedAt = Date.now();

  private constructor(
    context: FilesContext,
    session: Session,
    tail: readonly Required<Piece>[],
    options: PartWriterOptions,
    signal: AbortSignal,
  ) {
    const { store, budget, uploads } = context;
    const { sizeBytes, stored, partSizeBytes, pending, caller } = session.state;
    this.#context = context;
    this.#session = session;
    this.#hash = options.hash;
    this.#rules = options.rules;
    this.#claim = pending.at(-1)!;
    const blobs = tail.map(({ revision, ...rest }) => ({ key: pieceKey(session.id, revision), ...rest }));
    this.#parts = new Parts<HashState>({
      ...{ store, signal, partSizeBytes, concurrency: uploads.concurrency },
      ...{ memory: budget.of(callerKey(caller)), spare: spareBlobs(context) },
      ...(tail.length > 0 && { tail: blobs }),
      restBytes: sizeBytes === undefined ? undefined : sizeBytes - persistedSize(session),
      maxBytes: options.maxBytes,
      storedParts: stored.count,
      isEager: true,
      outlivesCaller: true,
      key: () => blobKey(session.id),
      begin: (part, call) => this.#begin(part, call.signal),
      mark: () => this.#hash.save(),
      onStored: () => this.#onStored(),
    });
  }

  /**
   * @param session - claimed: nobody else writes to it, or whoever does makes the next save fail
   * @param signal - ends waiting and reading; parts on their way go on without the caller
   */
  static async open(
    context: FilesContext,
    session: Session,
    options: PartWriterOptions,
    signal: AbortSignal,
  ): Promise<PartWriter> {
    const tail: Required<Piece>[] = [];
    for (const piece of session.state.tail) {
      // Releases before did not keep it.
      const crc32c = piece.crc32c ?? (await sumOf(context, session.id, piece, signal));
      tail.push({ ...piece, crc32c });
    }
    return new PartWriter(context, session, tail, options, signal);
  }

  /** The session as it was last saved. */
  get session(): Session {
    return this.#session;
  }

  /** What ended the writing, if it was the writer's own doing. */
  get failure(): Error | undefined {
    return this.#parts.failure;
  }

  /** The whole file, while no part of it was sent. */
  get whole(): Parts<HashState> | undefined {
    return this.#parts.isOne ? this.#parts : undefined;
  }

  /** Takes all bytes of a call. */
  async pour(inflow: Inflow): Promise<void> {
    await this.#parts.pour(inflow);
  }

  /** Gives back the memory of a part that was not filled. */
  async close(): Promise<void> {
    await this.#parts.close();
  }

  /**
   * Waits for the parts on their way, keeps what is behind them as a piece, and saves the session. Rejects with
   * what failed, after saving what did not.
   */
  async keep(expected = this.#session.state.expected): Promise<Session> {
    await this.#parts.settle();
    await this.#saving;
    const hasPiece = this.#parts.areDurable && this.#parts.open.addedBytes > 0;
    const piece = hasPiece ? await this.#writePiece() : undefined;
    const state = this.#withStored();
    const tail = piece ? [...state.tail, piece] : state.tail;
    const pending = state.pending.filter((revision) => revision !== this.#claim);
    const hash = piece ? this.#hash.save() : {};
    const kept = { ...state, ...hash, tail, pending, expected };
    this.#session = await saveSession(this.#context, this.#session, kept);
    if (this.failure !== undefined) throw this.failure;
    return this.#session;
  }

  /**
   * Sends what is behind the last whole part, unless that is all of the file, and waits until everything is durable.
   *
   * @returns the state with all parts
   */
  async flush(): Promise<SessionState> {
    if (this.#parts.isOne) return this.#session.state;
    await this.#parts.flush();
    await this.#saving;
    return this.#withStored();
  }

  /** The parts that this call has stored, in order. */
  get sent(): readonly BlobPart[] {
    return this.#sent;
  }

  /** Checksums of the whole file. To be asked once, after the last byte. */
  digest(): { readonly sha256: string; readonly crc32c: number } {
    return this.#hash.finish();
  }

  /** The media type of the file; decided from its first part, and held to the usage policy, where it was not before. */
  async typeOf(part: OpenPart, signal: AbortSignal): Promise<string> {
    const { description, contentType } = this.#session.state;
    if (contentType !== undefined) return contentType;
    return allowedContentType(this.#rules, description, await headOf(part.body({ signal }).chunks));
  }

  async #begin(part: OpenPart, signal: AbortSignal): Promise<string> {
    const { multipartId } = this.#session.state;
    if (multipartId !== undefined) return multipartId;
    const contentType = await this.typeOf(part, signal);
    const begun = await beginMultipart(this.#context, this.#session, contentType, signal);
    reached('session.multipart-begun');
    const state = { ...this.#session.state, multipartId: begun, contentType };
    this.#session = await saveSession(this.#context, this.#session, state);
    return begun;
  }

  async #writePiece(): Promise<Piece> {
    const key = pieceKey(this.#session.id, this.#claim);
    // The caller may be gone by now, and its signal with it.
    const call = { signal: AbortSignal.timeout(KEEP_TIMEOUT_MS) };
    const octets = { contentType: 'application/octet-stream' };
    return this.#parts.sendOpen(
      async (body) => {
        const status = await this.#context.store.put(key, body, octets, call);
        if (status === 'exists') throw uploadTakenOver(this.#session.id);
        reached('session.piece-stored');
        return { revision: this.#claim, sizeBytes: body.sizeBytes, crc32c: body.crc32c };
      },
      { added: true, ...call },
    );
  }

  #onStored(): void {
    reached('session.part-stored');
    if (Date.now() - this.#savedAt >= CHECKPOINT_MS) this.#checkpoint();
  }

  /** The state with the parts that are durable without a gap. */
  #withStored(): SessionState {
    let state = this.#session.state;
    for (const { part, mark } of this.#parts.takeStored()) {
      // The first part took in what was the tail.
      const stale = [...state.stale, ...state.tail.map(({ revision }) => revision)];
      this.#sent.push(part);
      state = { ...state, ...mark, stored: withPart(state.stored, part), tail: [], stale };
    }
    return state;
  }

  /** Notes how far the upload has come, one note at a time. */
  #checkpoint(): void {
    if (this.#saving !== undefined) return;
    this.#savedAt = Date.now();
    const before = persistedSize(this.#session);
    const state = this.#withStored();
    if (state === this.#session.state) return;
    this.#saving = saveSession(this.#context, this.#session, state)
      .then((saved) => {
        this.#session = saved;
        this.#context.log.debug({ uploadId: saved.id, before, now: persistedSize(saved) }, 'checkpoint');
      })
      .catch((error: unknown) => void this.#parts.fail(error))
      .finally(() => (this.#saving = undefined));
  }
}

async function sumOf(
  { store }: FilesContext,
  uploadId: string,
  { revision }: Piece,
  signal: AbortSignal,
): Promise<number> {
  return (await digestOf(await store.read(pieceKey(uploadId, revision), undefined, { signal }))).crc32c;
}
