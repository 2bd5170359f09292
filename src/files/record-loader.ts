import type { FileRecord, FileRecords } from '../catalog/file-catalog.ts';

interface Wanted {
  readonly id: string;
  readonly resolve: (record: FileRecord | undefined) => void;
  readonly reject: (error: Error) => void;
}

/** Maximum number of ids per request to the catalog. */
const MAX_IDS = 200;

/**
 * Loads records for calls that need one each: requests in the same turn of the event loop go to the catalog
 * together. Nothing is cached.
 */
export class RecordLoader {
  readonly #catalog: FileRecords;
  #wanted: Wanted[] = [];

  /** @param catalog - the source of the records */
  constructor(catalog: FileRecords) {
    this.#catalog = catalog;
  }

  /** The record with this id, if any. Rejects with `signal.reason` when aborted. */
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
