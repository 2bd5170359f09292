import { createHash } from 'node:crypto';
import type { Change, FileRecord } from '../catalog/file-catalog.ts';
import { MAX_SENT, type SentFile } from './cursor.ts';

/** Most files that are remembered; beyond it the oldest is forgotten, and its change may be sent once more. */
const MAX_FILES = 10_000;

/**
 * Records whose last change is this much older than the watch have no change in the log after its start, in
 * milliseconds: the clocks of service and catalog may differ, and a transaction may take a while.
 */
const MARGIN_MS = 60_000;

/** The same for cursors, which are short. */
const CURSOR_MARGIN_MS = 5_000;

/**
 * Files that were sent as existing ones and may have changed since the watch began: the log has those changes too,
 * and what a caller has seen is not sent again.
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

  /** True if the result of a change, or of a later one, was sent. Asked once per change, in order. */
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

  /** Those to put into a cursor: the ones changed last, at most {@link MAX_SENT}. */
  get newest(): readonly SentFile[] {
    return this.#newest;
  }

  /** Forgets all, when the log has been read beyond the end of the existing files. */
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
