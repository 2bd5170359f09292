import type { ErrorCode } from './error-names.ts';
import { AssetClientError, toClientError } from './errors.ts';
import { skip } from './reading.ts';
import { type AssetFile, toAssetFile } from './records.ts';
import { isRetriable, Retries, type Try } from './retry.ts';
import { openAt, sendUpload, type WriteStatus } from './upload-call.ts';
import type { UploadTask } from './upload-task.ts';
import { WholeHash } from './whole-hash.ts';

/** Reasons after which the service knows better than the client where the upload stands. */
const ASK_AGAIN = new Set(['UPLOAD_TAKEN_OVER', 'WRITE_OFFSET_MISMATCH', 'UPLOAD_STALLED']);

/** Codes of a failed call that the service may have done nevertheless. */
const MAY_HAVE_BEGUN = new Set<ErrorCode>(['CANCELLED', 'DEADLINE_EXCEEDED', 'UNAVAILABLE', 'UNKNOWN']);

/** Longest time that cancelling takes, in milliseconds; the caller waits for its failure meanwhile. */
const CANCEL_MS = 3000;

/**
 * An upload over as many calls as it takes. After each failure that may pass it asks the service how much is durable and goes on
 * from there.
 *
 * A source that can be read again is sent in one call to its end. A stream is sent in calls of as many bytes as may be kept in
 * memory, each answered when they are durable; so whatever the service asks for again is still there.
 */
export class ResumableUpload {
  readonly #task: UploadTask;
  #uploadId: string | undefined;
  /** True while the service may have begun an upload whose id did not arrive. */
  #mayBeUnknown = false;
  #partBytes = 0;
  readonly #hash = new WholeHash();
  /** The most that the service was ever known to have. */
  #best = 0;

  constructor(task: UploadTask) {
    this.#task = task;
    this.#uploadId = task.uploadId;
  }

  /** Sends the file. Rejects with the first failure that cannot pass, or when the patience is at its end. */
  run(): Promise<AssetFile> {
    return this.#task.retries.run(
      (current) => this.#try(current),
      (failure) => this.#mayGoOn(failure),
    );
  }

  /** Cancels the upload after it failed, as far as that can be done in a short time. */
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
    // The service may still be writing down where the call ended that was given up.
    const again = (failure: AssetClientError) =>
      isRetriable(failure) || failure.reason === 'UPLOAD_TAKEN_OVER';
    // What cannot be cancelled now expires.
    await retries.run(cancel, again).catch(() => undefined);
  }

  async #try(current: Try): Promise<AssetFile> {
    let status = await this.#standing(current);
    while (status.case === 'persistedSize') {
      const from = Number(status.value);
      this.#note(from, current);
      // Many calls may make one try: each gets what is left of the time.
      status = await this.#send(from, this.#task.retries.next());
      // Asking such a service again would never end.
      if (status.case === 'persistedSize' && Number(status.value) <= from)
        throw new AssetClientError('INTERNAL', 'the service kept nothing of what was sent');
    }
    if (status.case !== 'file') throw new AssetClientError('INTERNAL', 'the service answered without a file');
    const file = toAssetFile(status.value);
    await this.#assertSame(file, current);
    // By the bytes themselves: a record that the caller may not read says no size.
    this.#task.progress.sent(this.#hash.position, current.attempt);
    return file;
  }

  /** Asks where the upload stands, and begins it if need be. */
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

  /** Takes note of what is durable. */
  #note(persisted: number, current: Try): void {
    const { retries, source, progress } = this.#task;
    if (persisted > this.#best) {
      this.#best = persisted;
      retries.progressed();
    }
    // What another process sent still has to be read here for the hash.
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

  /** Bytes of one call: whole parts where they fit, since the service stores the rest of a part twice. */
  #stretch(): number {
    const { windowBytes } = this.#task;
    return this.#partBytes > 0 && this.#partBytes <= windowBytes
      ? windowBytes - (windowBytes % this.#partBytes)
      : windowBytes;
  }

  /** Whether to ask again after a failure. An upload that is gone begins anew, where the source can. */
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
   * A file that an earlier process made under the same request id must have these bytes. The service cannot tell, since it was
   * not sent them; so they are read and hashed here.
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
