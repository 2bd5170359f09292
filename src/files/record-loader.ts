import type { FileRecord, FileRecords } from '../catalog/file-catalog.ts';

interface Wanted {
  readonly id: string;
  readonly resolve: (record: FileRecord | undefined) => void;
  readonly reject: (error: Error) => void;
}

/** Ids asked for in one go; the most that a catalog looks up in one round trip. */
const MAX_IDS = 200;

/**
 * Looks records up for calls that want one each: what is asked for in the same turn of the event loop goes to the
 * catalog together. Nothing is kept, so every answer is as fresh as that of the catalog itself.
 */
export class RecordLoader {
  readonly #catalog: FileRecords;
  #wanted: Wanted[] = [];

  /** @param catalog - where the records are */
  constructor(catalog: FileRecords) {
    this.#catalog = catalog;
  }

  /** The record of this id; undefined if there is none. Rejects with `signal.reason` when that is aborted. */
  get(id: string, signal: AbortSignal): Promise<FileRecord | undefined> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      const abort = () => reject(signal.reason as Error);
      signal.addEventListener('abort', abort, { once: true });
      const settled = () => signal.removeEventListener('abort', abort);
      this.#wanted.push({
        id,
        resolve: (record) => (settled(), resolve(record)),
        reject: (error) => (settled(), reject(error)),
      });
      if (this.#wanted.length === 1) setImmediate(() => this.#load());
      if (this.#wanted.length === MAX_IDS) this.#load();
    });
  }

  #load(): void {
    const wanted = this.#wanted;
    this.#wanted = [];
    if (wanted.length === 0) return;
    const ids = [...new Set(wanted.map(({ id }) => id))];
    this.#catalog.get(ids).then(
      (records) => wanted.forEach(({ id, resolve }) => resolve(records.get(id))),
      (error: unknown) => wanted.forEach(({ reject }) => reject(error as Error)),
    );
  }
}
