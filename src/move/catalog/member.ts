import type { FileCatalog } from '../../catalog/file-catalog.ts';
import { isAssetError } from '../../errors/asset-error.ts';
import { catalogUnavailable } from '../../errors/dependencies.ts';
import { endPresence, showPresence, type Presence } from '../replicas/presence.ts';
import { newestRow } from '../replicas/row.ts';
import { WriteGate } from '../replicas/write-gate.ts';
import { contradiction } from './contradiction.ts';
import { endPause, lookAt, spreadRow, type Look } from './row-upkeep.ts';
import type { CatalogRow } from './row.ts';

/** Times of a replica that knows the target, and of one that does not, in milliseconds. */
const AWARE = { lookMs: 1_000, showMs: 2_500, ttlMs: 10_000 };
const UNAWARE = { lookMs: 5_000, showMs: 10_000, ttlMs: 30_000 };

/** Interval of looks while a pause is near. */
const NEAR_MS = 40;

/** How long it counts as near: a mover that was killed leaves the row as it is. */
const NEAR_UNTIL_MS = 15_000;
/** Maximum time of each part of a look at the active catalog. */
const LOOK_TIMEOUT_MS = 5_000;
/** The same of the other catalog: one that hangs must not keep this process from showing itself in time. */
const OTHER_TIMEOUT_MS = 1_500;
/** Time added to that of a pause before a replica ends it. */
const PATIENCE_MS = 3_000;

/** Part of the validity of its presence for which a replica writes. */
const MARGIN = 0.75;

/** The presence that was shown last. */
type Shown = Pick<Presence, 'epoch' | 'state'> & { readonly in: FileCatalog; readonly at: number };

/**
 * Membership of a process in catalog moves: looks at the row at an interval, shows the process as present, and knows the
 * active catalog. Writes run through {@link write}, which holds them during a pause.
 */
export class CatalogMember {
  readonly own: FileCatalog;
  readonly next: FileCatalog | undefined;
  readonly #id: string;
  readonly #tell: (text: string) => void;
  readonly #times: typeof AWARE;
  readonly #gate = new WriteGate(() =>
    catalogUnavailable(new Error('a catalog move held the write for too long')),
  );
  readonly #ids = new Map<FileCatalog, string>();
  #row: CatalogRow | undefined;
  #active: FileCatalog | undefined;
  #mistake: string | undefined;
  #looking: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** When the row came to its epoch here. */
  #epochSince = 0;
  #shown: Shown | undefined;

  /**
   * @param catalogs - of ASSET_CATALOG and, if set, of ASSET_NEXT_CATALOG
   * @param id - of the process: 15 of `[a-z0-9]`
   * @param tell - is told when the row changes
   */
  constructor(
    { own, next }: { readonly own: FileCatalog; readonly next?: FileCatalog | undefined },
    id: string,
    tell: (text: string) => void = () => undefined,
  ) {
    [this.own, this.next, this.#id, this.#tell] = [own, next, id, tell];
    this.#times = next ? AWARE : UNAWARE;
  }

  /** The last known row of a move, if any. */
  get row(): CatalogRow | undefined {
    return this.#row;
  }

  /** The active catalog as far as known; before the first look that of ASSET_CATALOG. */
  get active(): FileCatalog {
    return this.#active ?? this.own;
  }

  /** True once it is known which catalog is active. */
  get hasLooked(): boolean {
    return this.#active !== undefined;
  }

  /** The catalog with an id, if it is open here. */
  withId(id: string): FileCatalog | undefined {
    return [this.own, this.next].find((one) => one && this.#ids.get(one) === id);
  }

  /** Looks at an interval until it is closed. */
  start(): void {
    if (this.#isClosed) return;
    const isNear = this.#row?.state === 'preparing' || this.#row?.state === 'paused';
    const near = isNear && performance.now() - this.#epochSince < NEAR_UNTIL_MS;
    const next = () =>
      void this.look().then(
        () => this.start(),
        () => this.start(),
      );
    this.#timer = setTimeout(next, near ? NEAR_MS : this.#times.lookMs);
    this.#timer.unref();
  }

  /** Ends the presence. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#looking?.catch(() => undefined);
    this.#gate.open();
    if (this.#shown === undefined) return;
    const signal = AbortSignal.timeout(LOOK_TIMEOUT_MS);
    // If that fails it expires.
    await endPresence(this.#shown.in, 'catalog', this.#id, { signal }).catch(() => undefined);
  }

  /** The active catalog for a read. */
  async reader(): Promise<FileCatalog> {
    if (this.#active === undefined) await this.look();
    this.#assertFits();
    return this.active;
  }

  /**
   * Runs a write on the active catalog, as soon as none of the pauses of a move holds it.
   *
   * @throws what `write` throws; CATALOG_UNAVAILABLE if it is not known which catalog is active, or the settings
   *   contradict the move; `signal.reason`
   */
  async write<T>(write: (catalog: FileCatalog) => Promise<T>, signal?: AbortSignal): Promise<T> {
    for (;;) {
      if (!this.#isPresent) await this.look();
      // Checked in the gate again: a held write may have waited long.
      const ended = await this.#gate.run(async () => {
        if (!this.#isPresent) return undefined;
        this.#assertFits();
        return { value: await write(this.active) };
      }, signal);
      if (ended) return ended.value;
    }
  }

  /** Throws what keeps this process from serving. */
  assertServes(): void {
    if (this.#mistake !== undefined) throw new Error(this.#mistake);
  }

  /**
   * Looks now, or waits for the look that runs.
   *
   * @throws AssetError CATALOG_UNAVAILABLE if the active catalog does not answer
   */
  look(): Promise<void> {
    this.#looking ??= this.#look()
      .catch((error: unknown) => {
        throw isAssetError(error) ? error : catalogUnavailable(error);
      })
      .finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  /** True while a mover that does not see this process as paused waits for it. */
  get #isPresent(): boolean {
    const [shown, { ttlMs }] = [this.#shown, this.#times];
    return shown !== undefined && shown.in === this.#active && performance.now() - shown.at < ttlMs * MARGIN;
  }

  #assertFits(): void {
    if (this.#mistake !== undefined) throw catalogUnavailable(new Error(this.#mistake));
  }

  async #look(): Promise<void> {
    // After a new presence the row is read once more: a pause that began before it is then seen.
    for (let isNew = true; isNew;) {
      const [own, next] = await Promise.allSettled([
        this.#read(this.own),
        this.next ? this.#read(this.next) : Promise.resolve(undefined),
      ]);
      const looks = [own, next].map((one) => (one.status === 'fulfilled' ? one.value : undefined));
      const newest = newestRow(looks.map((look) => look?.stored));
      if (newest && newest.row.epoch > (this.#row?.epoch ?? -1)) this.#take(newest.row);
      const isNextKnown = next.status === 'fulfilled';
      this.#mistake =
        this.#row &&
        contradiction(this.#row, {
          ...{ own: this.#ids.get(this.own), next: this.next && this.#ids.get(this.next) },
          ...{ hasNext: this.next !== undefined, isNextKnown },
        });
      const failed = this.#findActive(own, next);
      if (this.#row?.state !== 'paused') this.#gate.open();
      if (failed) throw failed.reason;
      const isBlind = this.#mistake !== undefined || !isNextKnown || own.status === 'rejected';
      isNew = await this.#show(isBlind);
      const others = [this.own, this.next].map((catalog, i) => ({ catalog, look: looks[i] }));
      if (this.#row && this.#mistake === undefined) {
        await spreadRow(
          this.#row,
          others.filter(({ catalog }) => catalog !== this.active),
          AbortSignal.timeout(OTHER_TIMEOUT_MS),
        );
      }
    }
    if (
      this.#row?.state === 'paused' &&
      performance.now() - this.#epochSince > this.#row.maxPauseMs + PATIENCE_MS
    )
      await endPause(this.active, this.#row, AbortSignal.timeout(LOOK_TIMEOUT_MS));
  }

  async #read(catalog: FileCatalog): Promise<Look> {
    const isOther = this.#active !== undefined ? catalog !== this.#active : catalog !== this.own;
    const signal = AbortSignal.timeout(isOther ? OTHER_TIMEOUT_MS : LOOK_TIMEOUT_MS);
    const look = await lookAt(catalog, this.#ids.get(catalog), signal);
    if (look.id !== undefined) this.#ids.set(catalog, look.id);
    return look;
  }

  /** Obeys a row. */
  #take(row: CatalogRow): void {
    if (row.state === 'paused') this.#gate.hold();
    this.#tell(`the catalog move is ${row.state} (epoch ${row.epoch})`);
    [this.#row, this.#epochSince] = [row, performance.now()];
  }

  /** Sets the active catalog. Returns the failed look at it, if it failed. */
  #findActive(
    own: PromiseSettledResult<Look>,
    next: PromiseSettledResult<Look | undefined>,
  ): PromiseRejectedResult | undefined {
    const active = this.#row && this.withId(this.#row.active);
    if (active) this.#active = active;
    // Without a row, or with a mistake, it stays what the settings say.
    else if (own.status === 'fulfilled' && (!this.#row || next.status === 'fulfilled'))
      this.#active = this.own;
    const look = this.#active === undefined ? [own, next] : [this.#active === this.own ? own : next];
    return look.find((one) => one.status === 'rejected');
  }

  /** Shows this process. Returns true if it was not present in the active catalog before. */
  async #show(isBlind: boolean): Promise<boolean> {
    const [active, epoch, at] = [this.active, this.#row?.epoch ?? 0, performance.now()];
    const isPaused = this.#row?.state === 'paused' && this.#gate.isDrained;
    const state: Presence['state'] = !this.next
      ? 'unaware'
      : isBlind
        ? 'blind'
        : isPaused
          ? 'paused'
          : 'ready';
    const shown = this.#shown;
    const isSame = shown?.in === active && shown.epoch === epoch && shown.state === state;
    if (isSame && at - shown.at < this.#times.showMs) return false;
    const isNew = shown?.in !== active || !this.#isPresent;
    const expireTime = Date.now() + this.#times.ttlMs;
    const presence = { id: this.#id, epoch, state, expireTime };
    await showPresence(active, 'catalog', presence, { signal: AbortSignal.timeout(LOOK_TIMEOUT_MS) });
    this.#shown = { in: active, epoch, state, at };
    if (shown && shown.in !== active) {
      const signal = AbortSignal.timeout(OTHER_TIMEOUT_MS);
      await endPresence(shown.in, 'catalog', this.#id, { signal }).catch(() => undefined);
    }
    return isNew;
  }
}
