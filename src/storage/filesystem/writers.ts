import { multipartGone } from '../store-errors.ts';

interface Writers {
  readonly ended: AbortController;
  /** Completion of the current write, by part number. */
  readonly byPart: Map<number, Promise<unknown>>;
}

/**
 * Serialises the writers of unfinished multipart blobs in this process. Writes of one part run one after the other,
 * and none runs while the blob is being finished, because the file they write to becomes the blob.
 */
export class PartWriters {
  readonly #writers = new Map<string, Writers>();
  readonly #finishing = new Map<string, Promise<unknown>>();

  /** Runs `work` for one part. If the blob is finished meanwhile, aborts `work` and rejects with UPLOAD_EXPIRED. */
  async write<T>(
    multipartId: string,
    partNumber: number,
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (this.#finishing.has(multipartId)) throw multipartGone();
    const writers = this.#writers.get(multipartId) ?? { ended: new AbortController(), byPart: new Map() };
    this.#writers.set(multipartId, writers);
    const { ended, byPart } = writers;
    const either = signal ? AbortSignal.any([signal, ended.signal]) : ended.signal;
    const written = Promise.resolve(byPart.get(partNumber)).then(() => {
      either.throwIfAborted();
      return work(either);
    });
    const end = written.catch(() => undefined);
    byPart.set(partNumber, end);
    try {
      return await written;
    } finally {
      if (byPart.get(partNumber) === end) byPart.delete(partNumber);
      if (byPart.size === 0 && this.#writers.get(multipartId) === writers) this.#writers.delete(multipartId);
    }
  }

  /** Runs `work`, which completes or removes the blob, exclusively: ends the writers first and starts no others. */
  async finish<T>(multipartId: string, work: () => Promise<T>): Promise<T> {
    const finished = Promise.resolve(this.#finishing.get(multipartId)).then(async () => {
      const writers = this.#writers.get(multipartId);
      writers?.ended.abort(multipartGone());
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
