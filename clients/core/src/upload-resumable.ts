import type { ErrorCode } from './error-names.ts';
import { AssetClientError, toClientError } from './errors.ts';
import { skip } from './reading.ts';
import { type AssetFile, toAssetFile } from './records.ts';
import { isRetriable, Retries, type Try } from './retry.ts';
import { openAt, sendUpload, type WriteStatus } from './upload-call.ts';
import type { UploadTask } from './upload-task.ts';
import { WholeHash } from './whole-hash.ts';

/** Reasons after which the client must ask the service for the offset. */
const ASK_AGAIN = new Set(['UPLOAD_TAKEN_OVER', 'WRITE_OFFSET_MISMATCH', 'UPLOAD_STALLED']);

/** Codes of a failed call that may have taken effect. */
const MAY_HAVE_BEGUN = new Set<ErrorCode>(['CANCELLED', 'DEADLINE_EXCEEDED', 'UNAVAILABLE', 'UNKNOWN']);

/** Maximum time for cancelling, in milliseconds; the caller waits for it. */
const CANCEL_MS = 3000;

/**
 * An upload over several calls. After a temporary failure it asks the service how much is durable and continues
 * from there.
 *
 * A source that can be read again is sent in one call to its end. A stream is sent in calls of as many bytes as may
 * be kept in memory, each answered when they are durable, so that the client can send again whatever the service
 * asks for.
 */
export class ResumableUpload {
  readonly #task: UploadTask;
  #uploadId: string | undefined;
  /** True while the service may have begun an upload whose id was not received. */
  #mayBeUnknown = false;
  #partBytes = 0;
  readonly #hash = new WholeHash();
  /** Maximum persisted size seen so far. */
  #best = 0;

  constructor(task: UploadTask) {
    this.#task = task;
    this.#uploadId = task.uploadId;
  }

  /** Sends the file. Rejects with the first permanent failure, or when the time or the retries are used up. */
  run(): Promise<AssetFile> {
    return this.#task.retries.run(
      (current) => this.#try(current),
      (failure) => this.#mayGoOn(failure),
    );
  }

  /** Tries for a short time to cancel the failed upload. */
  async giveUp(): Promise<void> {
    const { connection, spec } = this.#task;
    const retries = new Retries({ retries: 5, baseDelayMs: 100 }, {}, CANCEL_MS);
    const cancel = async (current: Try) => {
      if (this.#uploadId === undefined && this.#mayBeUnknown) {
        this.#uploadId = (await connection.rpc.startUpload({ uploadSpec: spec! }, current)).uploadId;
      }
      const uploadId = this.#uploadId;
      if (uploadId !== undefined) await connection.rpc.cancelUpload({ uploadId }, current);
    };
    // The service may still be saving the end of the abandoned call.
    const again = (failure: AssetClientError) =>
      isRetriable(failure) || failure.reason === 'UPLOAD_TAKEN_OVER';
    // An upload that cannot be cancelled expires.
    await retries.run(cancel, again).catch(() => undefined);
  }

  async #try(current: Try): Promise<AssetFile> {
    let status = await this.#standing(current);
    while (status.case === 'persistedSize') {
      const from = Number(status.value);
      this.#note(from, current);
      // One try may take many calls: each gets the remaining time.
      status = await this.#send(from, this.#task.retries.next());
      // A service that makes no progress would be asked without end.
      if (status.case === 'persistedSize' && Number(status.value) <= from)
        throw new AssetClientError('INTERNAL', 'the service kept nothing of what was sent');
    }
    if (status.case !== 'file') throw new AssetClientError('INTERNAL', 'the service answered without a file');
    const file = toAssetFile(status.value);
    await this.#assertSame(file, current);
    // The position of the hash, because a record that the caller may not read has no size.
    this.#task.progress.sent(this.#hash.position, current.attempt);
    return file;
  }

  /** Asks for the state of the upload; begins it if needed. */
  async #standing(current: Try): Promise<WriteStatus> {
    const { connection, spec, mayBeBegun } = this.#task;
    if (this.#uploadId === undefined) {
      const started = await connection.rpc
        .startUpload({ uploadSpec: spec! }, current)
        .catch((error: unknown) => {
          const failure = toClientError(error, current.signal);
          this.#mayBeUnknown = MAY_HAVE_BEGUN.has(failure.code);
          throw failure;
        });
      this.#uploadId = started.uploadId;
      this.#partBytes = Number(started.partSizeBytes);
      if (!mayBeBegun) return { case: 'persistedSize', value: 0n };
    }
    return (await connection.rpc.getUpload({ uploadId: this.#uploadId }, current)).writeStatus;
  }

  /** Records the persisted size. */
  #note(persisted: number, current: Try): void {
    const { retries, source, progress } = this.#task;
    if (persisted > this.#best) {
      this.#best = persisted;
      retries.progressed();
    }
    // Bytes that another process sent must still be read here for the hash.
    source.window?.acknowledge(Math.min(persisted, this.#hash.position));
    progress.begin(persisted, current.attempt);
  }

  async #send(from: number, current: Try): Promise<WriteStatus> {
    const { connection, source, progress } = this.#task;
    if (!source.canOpen(Math.min(from, this.#hash.position))) throw this.#lost(from);
    return sendUpload(
      connection,
      {
        source,
        hash: this.#hash,
        from,
        until: source.window === undefined ? Infinity : from + this.#stretch(),
        first: { case: 'uploadId', value: this.#uploadId! },
        onSent: (offset) => progress.sent(offset, current.attempt),
      },
      current,
    );
  }

  /** Bytes of one call: whole parts if they fit, because the service stores an incomplete part twice. */
  #stretch(): number {
    const { windowBytes } = this.#task;
    return this.#partBytes > 0 && this.#partBytes <= windowBytes
      ? windowBytes - (windowBytes % this.#partBytes)
      : windowBytes;
  }

  /** Whether a retry is possible. An upload that no longer exists begins again if the source can be read again. */
  #mayGoOn(failure: AssetClientError): boolean {
    if (failure.reason === 'UPLOAD_NOT_FOUND' && this.#uploadId !== undefined) {
      if (this.#task.uploadId !== undefined) return false;
      this.#uploadId = undefined;
      if (!this.#task.source.canOpen(0)) throw this.#lost(0, failure);
      return true;
    }
    return isRetriable(failure) || ASK_AGAIN.has(failure.reason ?? '');
  }

  #lost(from: number, cause?: AssetClientError): AssetClientError {
    const { source, windowBytes } = this.#task;
    const why = cause?.message ?? `the service asks for the bytes from ${from} on again`;
    return new AssetClientError(
      cause?.code ?? 'FAILED_PRECONDITION',
      `${why} (not tried again: the source is a stream of which only the bytes from ${source.window?.start ?? 0} on are still in memory, at most ${windowBytes}; upload a path, bytes, or a function that opens the stream)`,
      { ...cause, reason: cause?.reason ?? 'SOURCE_NOT_REPEATABLE', cause },
    );
  }

  /**
   * Checks a file that an earlier process made under the same request id. The service did not get these bytes, so
   * the client hashes them and compares.
   */
  async #assertSame(file: AssetFile, current: Try): Promise<void> {
    const { spec } = this.#task;
    const what = spec === undefined ? `the upload ${file.id}` : `the request id ${spec.requestId}`;
    if (!this.#hash.isFinished) await this.#hashRest(current);
    const { sha256 } = this.#hash.finish();
    if (file.sha256 === undefined || file.sha256 === sha256.toString('hex')) return;
    throw new AssetClientError(
      'ALREADY_EXISTS',
      `${what} was used for other content: use a new one for a new upload`,
      { reason: 'REQUEST_ID_REUSED', metadata: { file_id: file.id } },
    );
  }

  async #hashRest(current: Try): Promise<void> {
    const { source } = this.#task;
    const opened = await openAt(source, this.#hash.position);
    try {
      if (opened.position === 0) this.#hash.restart();
      await skip(opened, { hash: this.#hash, to: Infinity, window: source.window }, current);
    } finally {
      await opened.close();
    }
  }
}
