import { isAssetError } from '../../errors/asset-error.ts';
import { paceOf } from '../../system/rate.ts';
import { keepProgress, moveProgress, type MovedCatalogs, type MoveProgress } from './progress.ts';
import { MoveRefused } from '../refused.ts';
import { exclusively, ifFree, type MoveOptions } from './exclusive.ts';
import { advance, beginMove, flowOf, type Flow } from './flow.ts';
import { applyState } from './state-difference.ts';
import { RecordStream } from './stream.ts';
import { moveVerification } from './verification.ts';

/** Records or changes of one step: what the next run may repeat after a crash. */
const PAGE = 200;

/** Short pages after which the end of the log is near. */
const NEAR_END = 3;

/**
 * Copies the source into the target, after the position of an earlier run, and then follows the source until the target
 * has what it has. May be repeated: another run follows on.
 *
 * @throws MoveRefused if another process does it, or the target refuses too much; why the run stopped otherwise, which
 *   the progress says too
 */
export async function startMove(
  catalogs: MovedCatalogs,
  options: MoveOptions,
  signal: AbortSignal,
): Promise<MoveProgress> {
  return exclusively(catalogs, options, signal, async (held) => {
    return followOn(await beginMove(catalogs, held), options, held);
  });
}

/**
 * Like {@link startMove}, for a move that was begun, and only if no other process runs a step.
 *
 * @returns undefined if another process does
 */
export function followMove(
  flow: Flow,
  options: MoveOptions,
  signal: AbortSignal,
): Promise<MoveProgress | undefined> {
  return ifFree(flow, options, signal, (held) => followOn(flow, options, held));
}

/**
 * Copies and follows in the direction of the move. The caller has the lease of the mover.
 *
 * @param options - `toEnd`: to the very end of the log, because nobody writes; otherwise to near the end
 */
export async function followOn(
  flow: Flow,
  options: MoveOptions & { readonly toEnd?: boolean },
  held: AbortSignal,
): Promise<MoveProgress> {
  const earlier = await moveProgress(flow.source, held);
  const goesOn = earlier !== undefined && earlier.state !== 'cancelled' && earlier.move === flow.row.move;
  return new Mover(flow, options, goesOn ? earlier : await newMove(flow, held), held).run();
}

/** Ends a move; what was copied stays in the target. Resolves with the progress; undefined if there is none. */
export async function cancelMove(
  catalogs: MovedCatalogs,
  options: MoveOptions,
  signal: AbortSignal,
): Promise<MoveProgress | undefined> {
  return exclusively(catalogs, options, signal, async (held) => {
    const flow = await flowOf(catalogs, { signal: held });
    if (flow === undefined) return undefined;
    if (flow.row.state === 'completed')
      throw new MoveRefused('the move is complete: there is nothing to cancel');
    if (flow.row.active !== flow.row.source.id) {
      throw new MoveRefused('the files are in the target: run `asset-service catalog move reverse` first');
    }
    const progress = (await moveProgress(flow.source, held)) ?? (await newMove(flow, held));
    if (flow.row.state !== 'cancelled') await advance(flow, { state: 'cancelled' }, held);
    const ended: MoveProgress = { ...progress, state: 'cancelled', updateTime: new Date().toISOString() };
    await keepProgress(flow.source, ended, held);
    return ended;
  });
}

async function newMove({ source, target, row }: Flow, signal: AbortSignal): Promise<MoveProgress> {
  const now = new Date().toISOString();
  // Before the first record is copied: what changes meanwhile comes after it.
  const log = await source.changes.position('now', { signal });
  return {
    ...{ move: row.move, state: 'copying', startTime: now, updateTime: now, holder: '', target: target.kind },
    ...{ log, lastChange: log, cursor: '', isCopied: false, copied: 0, followed: 0, rate: 0 },
    ...{ refused: [], lastError: '' },
  };
}

/** One run. */
class Mover {
  readonly #catalogs: MovedCatalogs;
  readonly #options: MoveOptions & { readonly toEnd?: boolean };
  readonly #signal: AbortSignal;
  readonly #stream: RecordStream;
  #progress: MoveProgress;

  constructor(
    catalogs: MovedCatalogs,
    options: MoveOptions & { readonly toEnd?: boolean },
    progress: MoveProgress,
    signal: AbortSignal,
  ) {
    [this.#catalogs, this.#options, this.#signal] = [catalogs, options, signal];
    this.#stream = new RecordStream(catalogs, progress.refused, options.whyNot);
    const rate = options.rate ?? progress.rate;
    const state = progress.isCopied ? 'following' : 'copying';
    this.#progress = { ...progress, state, rate, holder: options.holder, lastError: '' };
  }

  async run(): Promise<MoveProgress> {
    try {
      await this.#keep({});
      await this.#copy();
      await this.#again();
      await this.#follow();
      await applyState(this.#catalogs, this.#signal);
      return await this.#keep({ state: 'following' });
    } catch (error) {
      const lastError = error instanceof Error ? error.message : String(error);
      // If that fails too, the progress still has the position.
      await this.#keep({ state: 'stopped', lastError }, AbortSignal.timeout(5_000)).catch(() => undefined);
      throw error;
    }
  }

  async #copy(): Promise<void> {
    const { rate } = this.#progress;
    const pace = rate > 0 ? paceOf(rate) : undefined;
    while (!this.#progress.isCopied) {
      const { cursor, copied } = this.#progress;
      const page = await this.#catalogs.source.exportFiles(cursor, PAGE, { signal: this.#signal });
      await pace?.(page.length, this.#signal);
      await this.#stream.write(page, this.#signal);
      await this.#keep({
        ...{ cursor: page.at(-1)?.record.id ?? cursor, copied: copied + page.length },
        isCopied: page.length < PAGE,
      });
    }
  }

  /** Records that the target refused, because what they name may be there now, and those that differed. */
  async #again(): Promise<void> {
    const compared = await moveVerification(this.#catalogs.source, this.#signal);
    const isOfThisMove = compared?.moveStartTime === this.#progress.startTime;
    // Foreign records are not for us to remove.
    const damaged = isOfThisMove ? compared.damaged.filter(({ reason }) => reason !== 'foreign') : [];
    const ids = [...this.#stream.refused, ...damaged].map(({ id }) => id);
    // An item that is no record has a space in its name.
    await this.#stream.writeOnly(
      ids.filter((id) => !id.includes(' ')),
      this.#signal,
    );
  }

  async #follow(): Promise<void> {
    const { changes } = this.#catalogs.source;
    // Others write meanwhile: the end may never be reached.
    for (let short = 0; short < NEAR_END || this.#options.toEnd;) {
      const { log, followed } = this.#progress;
      const page = await changes.read(log, PAGE, { signal: this.#signal }).catch((error: unknown) => {
        throw isAssetError(error, 'CURSOR_EXPIRED') ? logLost() : error;
      });
      await this.#stream.writeOnly(
        page.changes.map(({ fileId }) => fileId),
        this.#signal,
      );
      if (page.cursor === log) return;
      if (page.changes.length < PAGE / 2) short += 1;
      const lastChange = page.changes.at(-1)?.cursor ?? this.#progress.lastChange;
      await this.#keep({ log: page.cursor, lastChange, followed: followed + page.changes.length });
    }
  }

  async #keep(change: Partial<MoveProgress>, signal = this.#signal): Promise<MoveProgress> {
    const { refused } = this.#stream;
    this.#progress = { ...this.#progress, refused, ...change, updateTime: new Date().toISOString() };
    await keepProgress(this.#catalogs.source, this.#progress, signal);
    this.#options.onProgress?.(this.#progress);
    return this.#progress;
  }
}

function logLost(): MoveRefused {
  return new MoveRefused(
    'the change log of the catalog no longer has what changed since the last run (ASSET_CHANGES_RETENTION): run ' +
      '`asset-service catalog move cancel`, empty the target, and start again',
  );
}
