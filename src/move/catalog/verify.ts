import { isDeepStrictEqual } from 'node:util';
import type { FileCatalog, TransferredFile } from '../../catalog/file-catalog.ts';
import { paceOf, type Pace } from '../../system/rate.ts';
import { flowOf } from './flow.ts';
import { isOver } from './row.ts';
import { moveProgress, type MovedCatalogs, type MoveProgress } from './progress.ts';
import { MoveRefused } from '../refused.ts';
import { recordDifference } from '../record-difference.ts';
import type { MoveOptions } from './exclusive.ts';
import { startMove } from './start.ts';
import {
  keepVerification,
  moveVerification,
  type Difference,
  type MoveVerification,
} from './verification.ts';
import { stateDifference } from './state-difference.ts';

/** Records compared in one step, in each catalog. */
const PAGE = 200;

/** Looks at a difference before it counts: the source changes meanwhile. */
const LOOKS = 3;

/** Most differences that are kept. */
const MAX_DAMAGED = 1_000;

/**
 * Compares both catalogs, record by record and field by field, after the position of an earlier run that did not end.
 * Follows the active one first, and again before a difference counts.
 *
 * @throws MoveRefused if nothing was copied yet, or another process runs a step
 */
export async function verifyMove(
  catalogs: MovedCatalogs,
  options: MoveOptions & {
    readonly restart?: boolean;
    /** Limit of the records compared per second; none by default. */
    readonly recordsPerSecond?: number;
  },
  signal: AbortSignal,
): Promise<MoveVerification & { readonly resumedFrom: string }> {
  const flow = await flowOf(catalogs, { signal });
  const progress = flow && !isOver(flow.row) ? await moveProgress(flow.source, signal) : undefined;
  if (flow === undefined || !progress?.isCopied || progress.state === 'cancelled') {
    throw new MoveRefused('not everything was copied yet: run `asset-service catalog move start` first');
  }
  const follow = () => startMove(catalogs, options, signal);
  const earlier = options.restart ? undefined : await moveVerification(flow.source, signal);
  const goesOn = earlier?.state === 'running' && earlier.moveStartTime === progress.startTime;
  const { recordsPerSecond } = options;
  const pace = recordsPerSecond === undefined ? undefined : paceOf(recordsPerSecond);
  return compareAll(flow, { follow, progress, pace, earlier: goesOn ? earlier : undefined }, signal);
}

/**
 * Compares both catalogs from the position of `earlier` on.
 *
 * @param how - `follow` makes the other catalog like the active one; `atOnce`: only the result is stored, and not how far
 * it came, so that an interrupted comparison leaves the result of the one before it
 */
export async function compareAll(
  catalogs: MovedCatalogs,
  how: {
    readonly follow: () => Promise<unknown>;
    readonly progress: MoveProgress;
    readonly earlier?: MoveVerification | undefined;
    readonly pace?: Pace | undefined;
    readonly atOnce?: boolean;
  },
  signal: AbortSignal,
): Promise<MoveVerification & { readonly resumedFrom: string }> {
  await how.follow();
  let state: MoveVerification = how.earlier ?? newVerification(how.progress);
  const resumedFrom = state.cursor;
  while (state.state === 'running') {
    signal.throwIfAborted();
    const before = state.checked;
    state = await new Comparison(catalogs, how.follow, signal).step(state);
    await how.pace?.(state.checked - before, signal);
    if (state.state === 'done' || !how.atOnce) await keepVerification(catalogs.source, state, signal);
  }
  return { ...state, resumedFrom };
}

function newVerification({ startTime }: MoveProgress): MoveVerification {
  return {
    ...{ state: 'running', moveStartTime: startTime, startTime: new Date().toISOString(), endTime: '' },
    ...{ cursor: '', checked: 0, damagedCount: 0, damaged: [] },
  };
}

/** Compares one page. */
class Comparison {
  readonly #catalogs: MovedCatalogs;
  readonly #follow: () => Promise<unknown>;
  readonly #signal: AbortSignal;
  readonly #options: { readonly unsetIsZero: boolean };

  constructor(catalogs: MovedCatalogs, follow: () => Promise<unknown>, signal: AbortSignal) {
    [this.#catalogs, this.#follow, this.#signal] = [catalogs, follow, signal];
    const { source, target } = catalogs;
    this.#options = { unsetIsZero: [source, target].some(({ kind }) => kind === 'pocketbase') };
  }

  async step(state: MoveVerification): Promise<MoveVerification> {
    const { source, target } = this.#catalogs;
    const call = { signal: this.#signal };
    const pages = await Promise.all(
      [source, target].map((catalog) => catalog.exportFiles(state.cursor, PAGE, call)),
    );
    // Up to the end of the page that ends first.
    const ends = pages.flatMap((page) => (page.length === PAGE ? page.at(-1)!.record.id : []));
    const end = ends.sort()[0];
    const [here, there] = pages.map((page) =>
      byId(page.filter(({ record }) => end === undefined || record.id <= end)),
    );
    const ids = [...new Set([...here!.keys(), ...there!.keys()])].sort();
    const doubtful = ids.filter(
      (id) => recordDifference(here!.get(id), there!.get(id), this.#options) !== undefined,
    );
    const found = await this.#settled(new Map(doubtful.map((id) => [id, here!.get(id)])));
    const others = end === undefined ? await this.#stateDamage() : [];
    const damaged = [...found, ...others];
    return {
      ...state,
      ...{ cursor: end ?? ids.at(-1) ?? state.cursor, checked: state.checked + ids.length },
      damagedCount: state.damagedCount + damaged.length,
      damaged: [...state.damaged, ...damaged].slice(0, MAX_DAMAGED),
      ...(end === undefined && { state: 'done', endTime: new Date().toISOString() }),
    };
  }

  /**
   * The differences that stay when the target has followed.
   *
   * @param before - records of the source that differed
   */
  async #settled(before: ReadonlyMap<string, TransferredFile | undefined>): Promise<readonly Difference[]> {
    const call = { signal: this.#signal };
    let found: readonly Difference[] = [];
    for (let look = 1; look <= LOOKS && before.size > 0; look++) {
      await this.#follow();
      const ids = [...before.keys()];
      const [here, there] = await Promise.all(
        [this.#catalogs.source, this.#catalogs.target].map(async (one) =>
          byId(await exportAll(one, ids, call)),
        ),
      );
      const differ = ids.flatMap((id) => {
        const reason = recordDifference(here!.get(id), there!.get(id), this.#options);
        return reason === undefined ? [] : [{ id, reason }];
      });
      // What has changed since the last look is in use, and not wrong: the target follows it.
      found = differ.filter(({ id }) => before.get(id)?.record.revision === here!.get(id)?.record.revision);
      before = new Map(differ.map(({ id }) => [id, here!.get(id)]));
    }
    return found;
  }

  /** What differs besides files, also after the other catalog was made like the active one. */
  async #stateDamage(): Promise<readonly Difference[]> {
    let before: ReadonlyMap<string, unknown> | undefined;
    for (let look = 1; look <= LOOKS; look++) {
      if (look > 1) await this.#follow();
      const { changed, extra } = await stateDifference(this.#catalogs, this.#signal);
      const found = new Map<string, unknown>([
        ...changed.map(({ kind, key, value }) => [`${kind} ${key}`, value] as const),
        ...extra.map(({ kind, key }) => [`${kind} ${key}`, 'foreign'] as const),
      ]);
      // What has changed since is in use, and not wrong.
      for (const [id, value] of found) {
        if (before && !isDeepStrictEqual(before.get(id), value)) found.delete(id);
      }
      before = found;
      if (found.size === 0) break;
    }
    return [...before!].map(([id, value]) => ({ id, reason: value === 'foreign' ? value : 'differs' }));
  }
}

/** Records by ids, of which there may be twice a page. */
async function exportAll(
  catalog: FileCatalog,
  ids: readonly string[],
  call: { readonly signal: AbortSignal },
) {
  const halves = [ids.slice(0, PAGE), ids.slice(PAGE)].filter((some) => some.length > 0);
  return (await Promise.all(halves.map((some) => catalog.exportOnly(some, call)))).flat();
}

function byId(files: readonly TransferredFile[]): ReadonlyMap<string, TransferredFile> {
  return new Map(files.map((file) => [file.record.id, file]));
}
