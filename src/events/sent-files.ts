import { createHash } from 'node:crypto';
import type { Change, FileRecord } from '../catalog/file-catalog.ts';
import { MAX_SENT, type SentFile } from './cursor.ts';

/** Maximum number of remembered files. Beyond it the oldest is forgotten, and its change may be sent again. */
const MAX_FILES = 10_000;

/**
 * A record whose last change is this much older than the watch has no change in the log after its start, in
 * milliseconds. Allows for different clocks of service and catalog, and for long transactions.
 */
const MARGIN_MS = 60_000;

/** The same for cursors, which have room for few files. */
const CURSOR_MARGIN_MS = 5_000;

/**
 * Files that were sent as existing ones and may have changed since the watch began. The log has those changes too; they
 * must not be sent again.
 */
export class SentFiles {
  readonly #begun: number;
  readonly #files = new Map<string, SentFile>();
  #newest: SentFile[] = [];

  /**
   * @param begun - when the watch began, in milliseconds since 1970
   * @param sent - those in the cursor that the watch continues from
   */
  constructor(begun: number, sent: readonly SentFile[]) {
    this.#begun = begun;
    for (const file of sent) this.#put(file);
  }

  /** Remembers a file that was sent. */
  add({ id, revision, updateTime }: FileRecord): void {
    if (updateTime.getTime() < this.#begun - MARGIN_MS) return;
    this.#put({ key: shortHash(id), revision: shortHash(revision), updateTime: updateTime.getTime() });
  }

  /** True if the record after this change, or after a later one, was sent. Call it once per change, in order. */
  covers({ type, fileId, revision, record }: Change): boolean {
    if (this.#files.size === 0) return false;
    const key = shortHash(fileId);
    const file = this.#files.get(key);
    if (file === undefined) return false;
    const isIt = type !== 'purged' && shortHash(revision) === file.revision;
    if (!isIt && type !== 'purged' && record.updateTime.getTime() < file.updateTime) return true;
    this.#files.delete(key);
    this.#newest = this.#newest.filter((other) => other.key !== key);
    return isIt;
  }

  /** The files for a cursor: those changed last, at most {@link MAX_SENT}. */
  get newest(): readonly SentFile[] {
    return this.#newest;
  }

  /** Forgets all files. Called when the log has been read beyond the changes that they include. */
  clear(): void {
    this.#files.clear();
    this.#newest = [];
  }

  #put(file: SentFile): void {
    this.#files.set(file.key, file);
    if (this.#files.size > MAX_FILES) this.#files.delete(this.#files.keys().next().value!);
    if (file.updateTime < this.#begun - CURSOR_MARGIN_MS) return;
    this.#newest = [...this.#newest, file].sort((a, b) => b.updateTime - a.updateTime).slice(0, MAX_SENT);
  }
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 8);
}
