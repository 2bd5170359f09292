import { setTimeout as sleep } from 'node:timers/promises';
import type { FileCatalog } from '../../catalog/file-catalog.ts';
import type { AssetError } from '../../errors/asset-error.ts';
import { catalogUnavailable, storeUnavailable } from '../../errors/dependencies.ts';
import { newFileId } from '../../files/upload/ids.ts';
import type { BlobStore, StoreCall } from '../../storage/blob-store.ts';
import { endPresence, showPresence } from '../replicas/presence.ts';
import { activeId, isUnderWay, readRow, type StoredRow, type StoreRow } from './row.ts';
import { storeId } from './store-id.ts';

/** Time between two reads of the row, in milliseconds. */
const POLL_MS = 1_000;

/** A row that was read longer ago must be read again before a write, in milliseconds. */
const FRESH_MS = 4_000;

const READ_TIMEOUT_MS = 5_000;

/** How long a replica that shows nothing more counts as running, in milliseconds. */
const SIGHT_MS = 10_000;

/** The same without ASSET_NEXT_STORE: such a replica shows itself with its health, every 25 s at the longest. */
const UNAWARE_MS = 35_000;

/** The stores that the settings of a replica name. */
export interface NamedStores {
  readonly own: BlobStore;
  /** That of ASSET_NEXT_STORE. */
  readonly next?: BlobStore;
}

/** What a replica knows of the move: the row, read again and again, and which of its stores is which. */
export class RowView {
  readonly #catalog: FileCatalog;
  readonly #stores: NamedStores;
  readonly #id = newFileId();
  readonly #closed = new AbortController();
  #polling: Promise<void> | undefined;
  #reading: Promise<void> | undefined;
  #row: StoreRow | undefined;
  #readAt = -Infinity;
  #ids: { readonly own?: string | undefined; readonly next?: string | undefined } = {};
  #mistake: string | undefined;
  /** Why the id of a store is not known; undefined if it is. */
  #unknown: AssetError | undefined;
  #isShown = false;
  #reachesNext = true;

  constructor(catalog: FileCatalog, stores: NamedStores) {
    this.#catalog = catalog;
    this.#stores = stores;
  }

  /** Reads the row every second, and shows in the catalog what it said, until this is closed. */
  poll(): void {
    this.#polling ??= this.#poll();
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#polling;
    if (!this.#isShown) return;
    // A replica that has ended must not hold up a switch. If that fails, its presence expires.
    const call = { signal: AbortSignal.timeout(READ_TIMEOUT_MS) };
    await endPresence(this.#catalog, 'store', this.#id, call).catch(() => undefined);
  }

  /** The row that was read last; undefined if no move began. */
  get row(): StoreRow | undefined {
    return this.#row;
  }

  /** True after the first read. */
  get isRead(): boolean {
    return this.#readAt !== -Infinity;
  }

  /** True if the row that was read last is young enough to decide a write. */
  get isFresh(): boolean {
    return performance.now() - this.#readAt < FRESH_MS;
  }

  /** Resolves if the store of ASSET_NEXT_STORE is available; what it finds is shown to the steps of the move. */
  async checkNext(call: StoreCall): Promise<void> {
    try {
      await this.#stores.next?.check(call);
      this.#reachesNext = true;
    } catch (error) {
      this.#reachesNext = false;
      throw error;
    }
  }

  /** Why the settings contradict the row, for the operator; undefined if they do not. */
  get mistake(): string | undefined {
    return this.#mistake;
  }

  /** True if the store of ASSET_NEXT_STORE gets new files. */
  get nextIsActive(): boolean {
    const active = activeId(this.#row);
    return active !== undefined && active === this.#ids.next;
  }

  /**
   * Reads the row if it is not fresh.
   *
   * @throws AssetError STORE_UNAVAILABLE, CATALOG_UNAVAILABLE
   */
  async refresh(): Promise<void> {
    if (this.isFresh) return;
    await this.read();
  }

  /** Reads the row, and rejects like {@link refresh}. */
  read(): Promise<void> {
    return (this.#reading ??= this.#read().finally(() => (this.#reading = undefined)));
  }

  /** Shows in the catalog which row this replica obeys, for a while. Nothing if no move is under way. */
  async show(): Promise<void> {
    const row = this.#row;
    if (row === undefined || !isUnderWay(row)) return;
    const isBlind = this.#mistake !== undefined || !this.#reachesNext;
    const state = this.#stores.next === undefined ? 'unaware' : isBlind ? 'blind' : 'ready';
    const expireTime = Date.now() + (state === 'unaware' ? UNAWARE_MS : SIGHT_MS);
    const presence = { id: this.#id, epoch: row.epoch, state, expireTime } as const;
    this.#isShown = true;
    await showPresence(this.#catalog, 'store', presence, { signal: AbortSignal.timeout(READ_TIMEOUT_MS) });
  }

  async #read(): Promise<void> {
    const at = performance.now();
    const call = { signal: AbortSignal.timeout(READ_TIMEOUT_MS) };
    let stored: StoredRow | undefined;
    try {
      stored = await readRow(this.#catalog, call);
    } catch (error) {
      throw call.signal.aborted ? catalogUnavailable(error) : error;
    }
    if (stored !== undefined) await this.#learnIds(call);
    this.#mistake = this.#mistakeIn(stored?.row);
    this.#row = stored?.row;
    this.#readAt = at;
  }

  /** A store has no id until a move begins; then it keeps it. */
  async #learnIds(call: { readonly signal: AbortSignal }): Promise<void> {
    const { own, next } = this.#stores;
    const [ownId, nextId] = await Promise.allSettled([
      this.#ids.own ?? storeId(own, call),
      this.#ids.next ?? (next && storeId(next, call)),
    ]);
    const failures = [ownId, nextId].flatMap((end) =>
      end.status === 'rejected' ? [end.reason as unknown] : [],
    );
    this.#ids = {
      own: ownId.status === 'fulfilled' ? ownId.value : undefined,
      next: nextId.status === 'fulfilled' ? nextId.value : undefined,
    };
    this.#unknown = failures.length > 0 ? storeUnavailable(failures[0]) : undefined;
  }

  /** @throws AssetError STORE_UNAVAILABLE if that depends on a store that does not answer */
  #mistakeIn(row: StoreRow | undefined): string | undefined {
    if (row === undefined) return undefined;
    const { own, next } = this.#ids;
    const active = activeId(row);
    if (!isUnderWay(row)) {
      // Only what is certain: a store without an id may be a copy that somebody has made since.
      const isLeft = own === row[row.active === 'source' ? 'target' : 'source'].id && next !== active;
      return isLeft
        ? `ASSET_STORE names another store than the ${row[row.active].kind} store that a store move has made the one of all files: set ASSET_STORE and what belongs to it as after the move (docs/moving.md)`
        : undefined;
    }
    const hasNext = this.#stores.next !== undefined;
    if (active !== own && active !== next) {
      if (this.#unknown) throw this.#unknown;
      const names = hasNext
        ? 'ASSET_STORE and ASSET_NEXT_STORE name other stores'
        : 'ASSET_STORE names another store';
      return `a store move has made a ${row[row.active].kind} store the one of new files, and ${names}: set ASSET_NEXT_STORE and what belongs to it as in the move (docs/moving.md)`;
    }
    const other = row[row.active === 'source' ? 'target' : 'source'].id;
    const isKnown = other === own || other === next || this.#unknown !== undefined;
    if (!row.switched || isKnown) return undefined;
    const name = hasNext ? 'ASSET_NEXT_STORE names another store' : 'ASSET_NEXT_STORE is not set';
    return `a store move is under way and files may be in two stores, but ${name}: set it as in the move until \`asset-service store move complete\` is done`;
  }

  async #poll(): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      // A failure shows in the health of the catalog and the store, and at the next write.
      await this.read()
        .then(() => this.show())
        .catch(() => undefined);
      await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}
