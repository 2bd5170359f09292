import { isAssetError } from '../../errors/asset-error.ts';
import { uploadExpired } from '../../errors/uploads.ts';
import { reached } from '../../system/crash-points.ts';
import type { BlobPart } from '../../storage/blob.ts';
import { blobKey, readBytes, removeBytes } from '../bytes.ts';
import type { FilesContext } from '../context.ts';
import type { ContentRules } from '../policy/usage-policies.ts';
import { digestOf, type ExpectedChecksums } from './checksums.ts';
import { Hold, type Call, type Content, type Uploaded } from './hold.ts';
import type { Parts } from './parts.ts';
import {
  addExpected,
  cutOf,
  expectedOf,
  NO_PARTS,
  persistedSize,
  toFinished,
  withoutClaim,
  withPart,
  withPiece,
  withStored,
  type Session,
  type SessionState,
} from './session-state.ts';
import { pieceRevisions, storePiece } from './session-pieces.ts';
import {
  abandonIfRefused,
  abandonSession,
  resolveRefused,
  saveSession,
  sweepLatePieces,
} from './session-store.ts';

/** Least time between two checkpoints of a running upload, in milliseconds. */
const CHECKPOINT_MS = 1000;

/** Holds the id of an upload over several calls: saves in its session how far the bytes are durable without a gap. */
export class SessionHold extends Hold {
  readonly #context: FilesContext;
  readonly cut: Hold['cut'];
  /** The session as it was last saved. */
  #session: Session;
  /** The state for the next save; may be newer than that of the session. */
  #state: SessionState;
  #rules: ContentRules | undefined;
  #saving: Promise<void> | undefined;
  #savedAt = Date.now();
  /**
   * True once the session was kept, abandoned or taken over, or is being finished: {@link broken} must not save it
   * again.
   */
  #isOver = false;
  #puts = 0;

  /**
   * @param session - claimed by this call: if another call writes to it, the next save fails
   * @param maxBytes - maximum number of bytes in this call
   */
  constructor(context: FilesContext, session: Session, maxBytes = Infinity) {
    super();
    this.#context = context;
    this.#session = session;
    this.#state = session.state;
    this.cut = cutOf(session, maxBytes);
  }

  get fileId(): string {
    return this.#session.id;
  }

  get facts(): SessionState {
    return this.#state;
  }

  get rules(): ContentRules {
    return (this.#rules ??= this.#context.policies.rulesOf(this.facts.description.usage));
  }

  get fence() {
    return { upload: { revision: this.#session.revision } };
  }

  get contentType(): string | undefined {
    return this.#state.contentType;
  }

  get multipartId(): string | undefined {
    return this.#state.multipartId;
  }

  override async noteBegun(multipartId: string, contentType: string): Promise<void> {
    reached('session.multipart-begun');
    this.#state = { ...this.#state, multipartId, contentType };
    await this.#save();
  }

  /** Saves a checkpoint: at most once in {@link CHECKPOINT_MS}, one at a time. */
  override noteStored(parts: Parts): void {
    reached('session.part-stored');
    if (Date.now() - this.#savedAt < CHECKPOINT_MS || this.#saving !== undefined) return;
    this.#savedAt = Date.now();
    const before = persistedSize(this.#session);
    this.#takeStored(parts);
    if (this.#state === this.#session.state) return;
    this.#saving = this.#save()
      .then(() => {
        const progress = { uploadId: this.fileId, before, now: persistedSize(this.#session) };
        this.#context.log.debug(progress, 'checkpoint');
      })
      .catch((error: unknown) => void parts.fail(error))
      .finally(() => (this.#saving = undefined));
  }

  /**
   * Makes all received bytes durable: waits for the parts being sent, stores the bytes behind them as a piece, and
   * saves the session. If something fails, saves the rest and then rejects with that error.
   *
   * @returns the number of bytes that are durable
   */
  async keep(parts: Parts, given: ExpectedChecksums = {}): Promise<number> {
    this.#state = { ...this.#state, expected: addExpected(this.#state, given) };
    this.#isOver = true;
    await parts.settle();
    await this.#saving;
    this.#takeStored(parts);
    let failure: unknown = parts.failure;
    const claim = this.#state.pending.at(-1)!;
    try {
      const piece = await storePiece(this.#context, { id: this.fileId, state: this.#state }, parts, claim);
      this.#state = withoutClaim(
        piece ? withPiece(this.#state, piece, parts.inflow.hashState()) : this.#state,
        claim,
      );
    } catch (error) {
      failure ??= error;
    }
    await this.#save();
    if (failure !== undefined) throw failure as Error;
    return persistedSize(this.#session);
  }

  override async check<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      await this.#saving;
      // Also when it is being finished.
      const isRefused = await abandonIfRefused(this.#context, this.#session, error);
      this.#isOver ||= isRefused;
      throw error;
    }
  }

  override expect(given: ExpectedChecksums): ExpectedChecksums {
    this.#state = { ...this.#state, expected: addExpected(this.#state, given) };
    return expectedOf(this.#state);
  }

  /** Like {@link expect}, and saves them. */
  async saveExpected(given: ExpectedChecksums): Promise<ExpectedChecksums> {
    const expected = this.expect(given);
    await this.#save();
    return expected;
  }

  override async noteFinishing(content: Content, parts: Parts): Promise<void> {
    await this.#saving;
    this.#takeStored(parts);
    this.#state = { ...this.#state, finishing: toFinished(content) };
    // If this save fails, another call may finish the upload: a piece that is kept then could outlive it.
    this.#isOver = true;
    await this.#save();
    reached('session.finishing');
  }

  override async allParts(
    taken: readonly BlobPart[],
    multipartId: string,
    call: Call,
  ): Promise<readonly BlobPart[]> {
    const { stored } = this.#state;
    if (taken.length === stored.count) return taken;
    const listed = await this.#context.store.listParts(blobKey(this.fileId), multipartId, call);
    const all = listed.slice(0, stored.count);
    if (all.reduce(withPart, NO_PARTS).digest !== stored.digest) throw uploadExpired();
    return all;
  }

  async assembled(status: 'created' | 'exists', content: Content, call: Call): Promise<boolean> {
    // For parts `exists` means that an earlier try to complete the same parts succeeded.
    if (status === 'created' || this.#state.multipartId !== undefined) return true;
    // Another call stored the blob after it lost the session to this one. It is used only if its content is equal.
    const { store } = this.#context;
    const there = await digestOf(await readBytes(store, this.fileId, call));
    if (Buffer.compare(there.sha256, content.sha256) === 0) return true;
    if (++this.#puts === 2) throw new Error('a blob has the id of an upload');
    await removeBytes(store, this.fileId, { blob: true }, call);
    return false;
  }

  async tidy(call: Call): Promise<void> {
    reached('session.assembled');
    // Before the record is created: it replaces the session, which has the list of pieces.
    const pieces = pieceRevisions(this.#session);
    await removeBytes(this.#context.store, this.fileId, { pieces, unfinished: true }, call);
    reached('session.pieces-removed');
  }

  async committed({ file }: Uploaded): Promise<void> {
    reached('session.committed');
    if (file.id !== this.fileId) await abandonSession(this.#context, this.#session);
    else await sweepLatePieces(this.#context, this.#session);
  }

  override refused(error: unknown): Promise<Uploaded> {
    return resolveRefused(this.#context, this.#session, error);
  }

  async broken(parts: Parts, error: unknown): Promise<unknown> {
    if (this.#isOver) return parts.failure ?? error;
    try {
      await this.keep(parts);
    } catch (err) {
      if (err !== parts.failure) {
        const what = 'the end of a broken upload could not be kept';
        this.#context.log.warn({ err, uploadId: this.fileId }, what);
      }
    }
    return parts.failure ?? error;
  }

  /** Takes the parts that are durable without a gap into the state. */
  #takeStored(parts: Parts): void {
    for (const { part, hash } of parts.take()) this.#state = withStored(this.#state, part, hash);
  }

  async #save(): Promise<void> {
    try {
      this.#session = await saveSession(this.#context, this.#session, this.#state);
    } catch (error) {
      // The session belongs to another call now.
      if (isAssetError(error, 'UPLOAD_TAKEN_OVER')) this.#isOver = true;
      throw error;
    }
  }
}
