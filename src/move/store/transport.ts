import pLimit from 'p-limit';
import type { FileRecord } from '../../catalog/file-catalog.ts';
import { blobKey } from '../../files/bytes.ts';
import { paceOf, type Pace } from '../../system/rate.ts';
import { MoveRefused } from '../refused.ts';
import { copyFile, type Direction } from './copy-file.ts';
import { hasBytes, type MovedStore, type Refused, type StoreMove } from './progress.ts';

/** Copies that run at the same time. */
const AT_ONCE = 12;

/** Ids of one request to the catalog. */
const IDS = 200;

/** Refused files after which a move stops: the store is not that of the catalog. */
const MAX_REFUSED = 1_000;

/** Time limit of removing the copies of files that were purged meanwhile, in milliseconds. */
const CLEANUP_TIMEOUT_MS = 10_000;

/** How many files, and bytes, were copied. */
export interface Transported {
  readonly files: number;
  readonly bytes: number;
  /** The stores that got a copy. */
  readonly into: ReadonlySet<MovedStore>;
}

/** Makes stores have files. May be repeated. */
export class Transport {
  readonly #move: StoreMove;
  readonly #refused: Map<string, string>;
  readonly #pace: Pace | undefined;

  /**
   * @param refused - files that could not be copied before
   * @param rate - maximum number of files per second; 0 for no limit
   */
  constructor(move: StoreMove, refused: readonly Refused[], rate: number) {
    this.#move = move;
    this.#refused = new Map(refused.map(({ id, reason }) => [id, reason]));
    this.#pace = rate > 0 ? paceOf(rate) : undefined;
  }

  /** Files that are not where they should be, because their bytes are not those of the records. */
  get refused(): readonly Refused[] {
    return [...this.#refused].map(([id, reason]) => ({ id, reason }));
  }

  /**
   * Copies files in these directions, each in the first that is needed. A file that is purged meanwhile has no copy in
   * the end: its record goes before its bytes, so the records are read again after the copies are visible.
   *
   * @throws AssetError STORE_UNAVAILABLE, CATALOG_UNAVAILABLE; MoveRefused if too many are damaged
   */
  async copy(
    files: readonly FileRecord[],
    directions: readonly Direction[],
    options: { readonly isDoubted: boolean },
    signal: AbortSignal,
  ): Promise<Transported> {
    const limit = pLimit(AT_ONCE);
    const failed = new AbortController();
    const either = AbortSignal.any([signal, failed.signal]);
    const made: { readonly file: FileRecord; readonly to: Direction['to'] }[] = [];
    const works = files.filter(hasBytes).map((file) =>
      limit(async () => {
        either.throwIfAborted();
        await this.#pace?.(1, either);
        for (const direction of directions) {
          if (await this.#copyOne(file, direction, options, either)) made.push({ file, to: direction.to });
        }
      }).catch((error: unknown) => {
        failed.abort(error);
        throw error;
      }),
    );
    await Promise.allSettled(works);
    await this.#dropPurged(files, made);
    await Promise.all(works);
    if (this.#refused.size >= MAX_REFUSED) throw tooMany([...this.#refused][0]!, this.#refused.size);
    const bytes = made.reduce((sum, { file }) => sum + file.sizeBytes, 0);
    return { files: made.length, bytes, into: new Set(made.map(({ to }) => to)) };
  }

  /** Like {@link copy}, for the files with these ids. */
  async copyOnly(
    ids: readonly string[],
    directions: readonly Direction[],
    options: { readonly isDoubted: boolean },
    signal: AbortSignal,
  ): Promise<Transported> {
    let [files, bytes] = [0, 0];
    const into = new Set<MovedStore>();
    for (let at = 0; at < ids.length; at += IDS) {
      const some = [...new Set(ids.slice(at, at + IDS))];
      const records = await this.#move.catalog.get(some, { signal });
      for (const id of some) if (!records.has(id)) this.#refused.delete(id);
      const done = await this.copy([...records.values()], directions, options, signal);
      [files, bytes] = [files + done.files, bytes + done.bytes];
      for (const one of done.into) into.add(one);
    }
    return { files, bytes, into };
  }

  async #copyOne(
    file: FileRecord,
    direction: Direction,
    options: { readonly isDoubted: boolean },
    signal: AbortSignal,
  ): Promise<boolean> {
    const copied = await copyFile(file, direction, this.#move.limits, options, signal);
    if (copied === 'present' || copied === 'created') this.#refused.delete(file.id);
    else this.#refused.set(file.id, copied);
    return copied === 'created';
  }

  /** Also after a failure, and when the work is being ended. */
  async #dropPurged(
    files: readonly FileRecord[],
    made: readonly { readonly file: FileRecord; readonly to: Direction['to'] }[],
  ): Promise<void> {
    const refused = files.filter(({ id }) => this.#refused.has(id));
    const ids = [...new Set([...made.map(({ file }) => file), ...refused].map(({ id }) => id))];
    if (ids.length === 0) return;
    const call = { signal: AbortSignal.timeout(CLEANUP_TIMEOUT_MS) };
    const alive = await this.#move.catalog.get(ids, call);
    for (const id of ids) if (!alive.has(id)) this.#refused.delete(id);
    for (const { file, to } of made) if (!alive.has(file.id)) await to.store.delete(blobKey(file.id), call);
  }
}

function tooMany([id, reason]: readonly [string, string], count: number): MoveRefused {
  return new MoveRefused(
    `${count} files could not be copied as they are, the first is ${id}: ${reason}. Is it the store of this catalog? Correct that, and start again.`,
  );
}
