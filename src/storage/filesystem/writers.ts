import { tooManyUploads } from '../../errors/limits.ts';
import { uploadExpired } from '../../errors/uploads.ts';

/** Maximum number of writers of one part: one that writes, and others that wait, such as retries after a lost connection. */
const MAX_WRITERS = 4;

interface Writers {
  readonly ended: AbortController;
  /** Promise of the end of the last write, by part number. */
  readonly byPart: Map<number, Promise<unknown>>;
  /** Number of writers that write or wait, by part number. */
  readonly counts: Map<number, number>;
}

/**
 * Serialises the writers of unfinished multipart blobs in this process. Writes of one part run one after the other,
 * and none runs while the blob is being finished, because the file they write to becomes the blob.
 */
export class PartWriters {
  readonly #writers = new Map<string, Writers>();
  readonly #finishing = new Map<string, Promise<unknown>>();

  /**
   * Runs `work` for one part. If the blob is finished meanwhile, aborts `work` and rejects with UPLOAD_EXPIRED. Rejects with
   * TOO_MANY_UPLOADS if too many writers wait for the part, and with the reason of `signal`, also while it waits.
   */
  async write<T>(
    multipartId: string,
    partNumber: number,
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (this.#finishing.has(multipartId)) throw uploadExpired();
    const writers = this.#writers.get(multipartId) ?? newWriters();
    const { ended, byPart, counts } = writers;
    const count = counts.get(partNumber) ?? 0;
    if (count >= MAX_WRITERS) throw tooManyUploads('this part is being sent several times');
    const either = signal ? AbortSignal.any([signal, ended.signal]) : ended.signal;
    either.throwIfAborted();
    this.#writers.set(multipartId, writers);
    counts.set(partNumber, count + 1);
    const waiting = new AbortController();
    const leave = () => {
      if (waiting.signal.aborted) return;
      waiting.abort();
      counts.set(partNumber, counts.get(partNumber)! - 1);
    };
    let hasBegun = false;
    const written = Promise.resolve(byPart.get(partNumber)).then(() => {
      either.throwIfAborted();
      hasBegun = true;
      return work(either);
    });
    const over = () => {
      leave();
      if (byPart.get(partNumber) === end) byPart.delete(partNumber);
      if (byPart.size === 0 && this.#writers.get(multipartId) === writers) this.#writers.delete(multipartId);
    };
    const end = written.then(over, over);
    byPart.set(partNumber, end);
    return new Promise<T>((resolve, reject) => {
      written.then(resolve, reject);
      const giveUp = () => {
        // Its turn comes in any case, so that the next one waits for the one before.
        if (hasBegun) return;
        leave();
        reject(either.reason as Error);
      };
      either.addEventListener('abort', giveUp, { once: true, signal: waiting.signal });
    });
  }

  /** Runs `work`, which completes or removes the blob, exclusively: ends the writers first and starts no others. */
  async finish<T>(multipartId: string, work: () => Promise<T>): Promise<T> {
    const finished = Promise.resolve(this.#finishing.get(multipartId)).then(async () => {
      const writers = this.#writers.get(multipartId);
      writers?.ended.abort(uploadExpired());
      if (writers) await Promise.all(writers.byPart.values());
      return work();
    });
    const end = finished.catch(() => undefined);
    this.#finishing.set(multipartId, end);
    try {
      return await finished;
    } finally {
      if (this.#finishing.get(multipartId) === end) this.#finishing.delete(multipartId);
    }
  }
}

function newWriters(): Writers {
  return { ended: new AbortController(), byPart: new Map(), counts: new Map() };
}
