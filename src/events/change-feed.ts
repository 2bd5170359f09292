import type { ChangePage, Changes } from '../catalog/file-catalog.ts';
import { isAssetError } from '../errors/asset-error.ts';
import { readMany, recordBytes } from '../files/answer-room.ts';

/** Interval at which the log is polled, in milliseconds. */
const POLL_MS = 250;

/** Interval while the catalog is unavailable, in milliseconds. */
const DOWN_MS = 1_000;

/** Maximum number of changes in a page. */
const MAX_CHANGES = 100;

/** Maximum size of a page, in bytes; a single larger change is a page of its own. */
const MAX_PAGE_BYTES = 256 * 1024;

/** Assumed size of a change before the first page, in bytes. */
const FIRST_BYTES = 16 * 1024;

/** Number of newest pages that are shared. */
const SHARED_PAGES = 8;

/** How long the catalog may be down before watches end, in milliseconds. */
export const MAX_OUTAGE_MS = 30_000;

interface Waiter {
  readonly wake: () => void;
  readonly fail: (error: Error) => void;
}

/**
 * The change log for all watches of a process. One poller checks for new changes while at least one watch waits for
 * them. Watches at the end of the log share the newest pages; the others read their own.
 */
export class ChangeFeed {
  readonly #changes: Changes;
  readonly #waiters = new Set<Waiter>();
  #shared: { readonly from: string; readonly page: ChangePage }[] = [];
  /** Where the poller has read to. It stays known while nobody waits and the poller rests. */
  #head: string | undefined;
  #isPolling = false;
  #meanBytes = FIRST_BYTES;
  #version = 0;

  /** @param changes - the log */
  constructor(changes: Changes) {
    this.#changes = changes;
  }

  /** Number of times that the poller has found new changes; for {@link changed}. */
  get version(): number {
    return this.#version;
  }

  /**
   * The changes after a cursor, as many as fit into a page; none if there are no more.
   *
   * @param fresh - true to ask the catalog in any case; otherwise call {@link changed} for the changes since the last poll
   */
  read(cursor: string, signal: AbortSignal, fresh = false): Promise<ChangePage> {
    const shared = this.#shared.find(({ from }) => from === cursor);
    if (shared) return Promise.resolve(shared.page);
    if (!fresh && cursor === this.#head) return Promise.resolve({ changes: [], cursor });
    return readMany(signal, () => this.#read(cursor, signal));
  }

  /**
   * Resolves when there may be changes after `cursor`, or after `ms` milliseconds.
   *
   * @param cursor - position up to which the caller has read
   * @param version - {@link version} before the caller last read
   * @throws the error of a catalog that has been down for {@link MAX_OUTAGE_MS}; `signal.reason`
   */
  async changed(cursor: string, version: number, ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (version !== this.#version) return;
    await new Promise<void>((resolve, reject) => {
      const settle = (end: () => void) => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        signal.removeEventListener('abort', abort);
        end();
      };
      const waiter: Waiter = {
        wake: () => settle(resolve),
        fail: (error) => settle(() => reject(error)),
      };
      const abort = () => waiter.fail(signal.reason as Error);
      const timer = setTimeout(waiter.wake, Math.max(0, ms));
      signal.addEventListener('abort', abort, { once: true });
      this.#waiters.add(waiter);
      if (this.#isPolling) return;
      this.#isPolling = true;
      this.#head = cursor;
      void this.#poll();
    });
  }

  /** Polls until no watch waits. */
  async #poll(): Promise<void> {
    let downSince: number | undefined;
    let hasMore = false;
    while (await this.#isWanted(hasMore ? 0 : downSince === undefined ? POLL_MS : DOWN_MS)) {
      try {
        const page = await this.#read(this.#head!);
        downSince = undefined;
        hasMore = page.changes.length > 0;
        if (!hasMore) {
          // The log goes on elsewhere after a catalog move.
          this.#head = page.cursor;
          continue;
        }
        this.#shared = [...this.#shared, { from: this.#head!, page }].slice(-SHARED_PAGES);
        this.#head = page.cursor;
        this.#wakeAll();
      } catch (error) {
        hasMore = false;
        if (!isAssetError(error, 'CATALOG_UNAVAILABLE')) {
          // Each watch then reads the log itself and gets the error.
          this.#head = undefined;
          this.#wakeAll();
          break;
        }
        downSince ??= performance.now();
        if (performance.now() - downSince < MAX_OUTAGE_MS) continue;
        for (const waiter of [...this.#waiters]) waiter.fail(error);
      }
    }
    this.#isPolling = false;
  }

  /** Waits, then returns whether a watch still waits for changes. */
  async #isWanted(ms: number): Promise<boolean> {
    await new Promise((resolve) => setTimeout(resolve, ms));
    return this.#waiters.size > 0;
  }

  #wakeAll(): void {
    this.#version += 1;
    for (const waiter of [...this.#waiters]) waiter.wake();
  }

  async #read(cursor: string, signal?: AbortSignal): Promise<ChangePage> {
    const limit = Math.min(MAX_CHANGES, Math.max(1, Math.ceil(MAX_PAGE_BYTES / this.#meanBytes)));
    const { changes, cursor: next } = await this.#changes.read(cursor, limit, signal && { signal });
    let bytes = 0;
    let kept = 0;
    for (const { record } of changes) {
      bytes += recordBytes(record);
      if (kept > 0 && bytes > MAX_PAGE_BYTES) break;
      kept += 1;
    }
    if (kept > 0) this.#meanBytes = bytes / kept;
    if (kept === changes.length) return { changes, cursor: next };
    return { changes: changes.slice(0, kept), cursor: changes[kept - 1]!.cursor };
  }
}
