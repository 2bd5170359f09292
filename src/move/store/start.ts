import { isAssetError } from '../../errors/asset-error.ts';
import { findDerivedNames, removeBytes } from '../../files/bytes.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import { reached } from '../../system/crash-points.ts';
import { MoveRefused } from '../refused.ts';
import { verifyState } from '../verify.ts';
import { begin, type BegunMove } from './begin.ts';
import { exclusively, STORE_MOVE, type StepOptions, type StoreMove, type StoreProgress } from './progress.ts';
import { Transport, type Transported } from './transport.ts';
import { dropVerification, STORE_VERIFY } from './verification.ts';

/** Files or changes of one step: what the next run may repeat after a crash. */
const PAGE = 50;

/**
 * Copies all files to the target, after the position of an earlier run, then what has changed since, and what the last
 * verification named. May be repeated.
 *
 * @throws MoveRefused if another process does it or the settings name other stores; why the run stopped otherwise, which
 *   the progress says too
 */
export function startStoreMove(
  move: StoreMove,
  options: StepOptions,
  signal: AbortSignal,
): Promise<StoreProgress> {
  return exclusively(move, options, signal, async (held) =>
    new Mover(move, await begin(move, held), options, held).run(),
  );
}

/** Follows the change log for a step that holds the lease. Resolves with the progress. */
export async function follow(
  move: StoreMove,
  begun: BegunMove,
  options: StepOptions,
  signal: AbortSignal,
): Promise<StoreProgress> {
  return new Mover(move, begun, options, signal).followOnly();
}

/** One run. */
class Mover {
  readonly #move: StoreMove;
  readonly #begun: BegunMove;
  readonly #options: StepOptions;
  readonly #signal: AbortSignal;
  readonly #transport: Transport;
  readonly #derived = new Map<BlobStore, Promise<readonly string[]>>();
  #progress: StoreProgress;

  constructor(move: StoreMove, begun: BegunMove, options: StepOptions, signal: AbortSignal) {
    [this.#move, this.#begun, this.#options, this.#signal] = [move, begun, options, signal];
    const { progress } = begun;
    const rate = options.rate ?? progress.rate;
    this.#transport = new Transport(move, progress.refused, rate);
    const urlSeconds = Math.max(progress.urlSeconds ?? 0, options.urlSeconds ?? 0);
    this.#progress = { ...progress, rate, urlSeconds, holder: options.holder, lastError: '' };
  }

  run(): Promise<StoreProgress> {
    return this.#running(async () => {
      await this.#keep({ run: this.#progress.isCopied ? 'following' : 'copying' });
      await this.#copy();
      await this.#mend();
      await this.#follow();
    });
  }

  followOnly(): Promise<StoreProgress> {
    return this.#running(() => this.#follow());
  }

  async #running(work: () => Promise<void>): Promise<StoreProgress> {
    try {
      await work();
      return await this.#keep({ run: 'following' });
    } catch (error) {
      const lastError = error instanceof Error ? error.message : String(error);
      // If that fails too, the progress still has the position.
      await this.#keep({ run: 'stopped', lastError }, AbortSignal.timeout(5_000)).catch(() => undefined);
      throw error;
    }
  }

  async #copy(): Promise<void> {
    const { legacy } = this.#move.catalog;
    while (!this.#progress.isCopied) {
      const { cursor } = this.#progress;
      const page = await legacy.scan(cursor, PAGE, { signal: this.#signal });
      const files = page.map(({ file }) => file);
      const done = await this.#transport.copy(
        files,
        [this.#begun.toTarget],
        { isDoubted: false },
        this.#signal,
      );
      reached('store-move.copied');
      await this.#keep({
        ...this.#added(done),
        cursor: files.at(-1)?.id ?? cursor,
        isCopied: page.length < PAGE,
      });
    }
  }

  /** Files that could not be copied, because their bytes may be right now, and those that a verification named. */
  async #mend(): Promise<void> {
    const { catalog } = this.#move;
    const verified = await verifyState(catalog, this.#signal, STORE_VERIFY);
    const damaged = verified?.damaged ?? [];
    const ids = [...this.#transport.refused, ...damaged].map(({ id }) => id);
    if (ids.length === 0) return;
    const done = await this.#transport.copyOnly(
      ids,
      [this.#begun.toTarget],
      { isDoubted: true },
      this.#signal,
    );
    await this.#keep(this.#added(done));
    if (damaged.length > 0) await dropVerification(catalog, this.#signal);
  }

  /** Follows up to what was the end of the log at the beginning: under load there is always more. */
  async #follow(): Promise<void> {
    const { changes } = this.#move.catalog;
    const call = { signal: this.#signal };
    const end = await changes.position('now', call);
    const deadline = performance.now() + (this.#options.followMs ?? Infinity);
    let firstAfter: string | undefined;
    while (performance.now() < deadline) {
      const { log, followed } = this.#progress;
      const page = await changes.read(log, PAGE, call).catch((error: unknown) => {
        throw isAssetError(error, 'CURSOR_EXPIRED') ? logLost() : error;
      });
      const ids = page.changes.map(({ fileId }) => fileId);
      const { directions } = this.#begun;
      const done = await this.#transport.copyOnly(ids, directions, { isDoubted: false }, this.#signal);
      await this.#dropPurged(
        page.changes.filter(({ type }) => type === 'purged').map(({ fileId }) => fileId),
      );
      if (page.cursor === log) return;
      reached('store-move.followed');
      await this.#keep({ ...this.#added(done), log: page.cursor, followed: followed + page.changes.length });
      firstAfter ??= (await changes.read(end, 1, call)).changes[0]?.id;
      if (page.changes.some(({ id }) => id === firstAfter)) return;
    }
  }

  /** A replica without the settings of the move purges bytes in one store only, and a killed run may have left a copy. */
  async #dropPurged(purged: readonly string[]): Promise<void> {
    const signal = this.#signal;
    if (purged.length === 0) return;
    const alive = await this.#move.catalog.get([...new Set(purged)], { signal });
    for (const { store } of this.#begun.purgedIn) {
      const derived = await this.#derivedIn(store);
      for (const id of purged)
        if (!alive.has(id)) await removeBytes(store, id, { blob: true, derived }, { signal });
    }
  }

  /** Names of what is derived from files in a store, read once. */
  #derivedIn(store: BlobStore): Promise<readonly string[]> {
    const known = this.#derived.get(store) ?? findDerivedNames(store, { signal: this.#signal });
    this.#derived.set(store, known);
    return known;
  }

  #added({ files, bytes, into }: Transported): Partial<StoreProgress> {
    const { copied, copiedBytes } = this.#progress;
    const { source, target, stored } = this.#begun;
    // Until now only the source had it.
    const isLate = stored.row.active === 'target' && into.has(target);
    const urlTime = source.store.now().toISOString();
    return { copied: copied + files, copiedBytes: copiedBytes + bytes, ...(isLate && { urlTime }) };
  }

  async #keep(change: Partial<StoreProgress>, signal = this.#signal): Promise<StoreProgress> {
    const { refused } = this.#transport;
    this.#progress = { ...this.#progress, refused, ...change, updateTime: new Date().toISOString() };
    await this.#move.catalog.legacy.putState(STORE_MOVE, this.#progress, { signal });
    const { copied, followed } = this.#progress;
    this.#options.onProgress?.(`${copied} files, ${followed} changes`);
    return this.#progress;
  }
}

function logLost(): MoveRefused {
  return new MoveRefused(
    'the change log of the catalog no longer has what changed since the last run (ASSET_CHANGES_RETENTION): run ' +
      '`asset-service store move cancel`, and start again',
  );
}
