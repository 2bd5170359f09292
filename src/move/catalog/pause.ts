import { setTimeout as sleep } from 'node:timers/promises';
import { reached } from '../../system/crash-points.ts';
import { advance, type Flow } from './flow.ts';
import { keepProgress, type MoveProgress } from './progress.ts';
import { replicasBehind } from './replicas.ts';
import { endPause } from './row-upkeep.ts';
import { openState, readCatalogRow, type CatalogRow } from './row.ts';
import type { MoveOptions } from './exclusive.ts';
import { followOn } from './start.ts';

/** Interval of looks during a pause, in milliseconds. */
const LOOK_MS = 20;

/** Maximum time for ending a pause that failed, in milliseconds; then the replicas end it. */
const END_MS = 10_000;

/** A pause that was given up: the catalog that was active is so, and writes go on. */
export class PauseTooLong extends Error {
  /** The row after it. */
  readonly row: CatalogRow;

  constructor(text: string, row: CatalogRow) {
    super(text);
    this.name = 'PauseTooLong';
    this.row = row;
  }
}

/**
 * Pauses writes, waits until the other catalog has everything, and makes it the active one.
 *
 * @throws PauseTooLong if that takes longer than allowed; other errors after the pause was ended, if that is possible
 */
export async function pausedSwitch(
  flow: Flow,
  options: MoveOptions & { readonly maxPauseMs: number },
  signal: AbortSignal,
): Promise<CatalogRow> {
  const { maxPauseMs } = options;
  const row = await advance(flow, { state: 'paused', maxPauseMs }, signal);
  const paused: Flow = { ...flow, row };
  const timeout = AbortSignal.timeout(maxPauseMs);
  const limit = AbortSignal.any([signal, timeout]);
  let waitsFor = 'because the other catalog was not up to date in time';
  try {
    reached('move.paused');
    await replicasPaused(paused, limit, (reason) => (waitsFor = `because ${reason}`));
    waitsFor = 'because the other catalog was not up to date in time';
    await readable(paused, limit);
    const progress = await followOn(paused, { ...options, toEnd: true }, limit);
    reached('move.drained');
    const seeded = await seedReverse(paused, progress, limit);
    reached('move.seeded');
    limit.throwIfAborted();
    return await decide(paused, progress, seeded.log, signal);
  } catch (error) {
    const after = await endedPause(paused);
    const isSwitched = after !== undefined && after.active !== row.active;
    if (isSwitched) return after;
    signal.throwIfAborted();
    if (timeout.aborted && after) throw new PauseTooLong(waitsFor, after);
    throw error;
  }
}

/** Waits until no replica writes. */
async function replicasPaused(
  paused: Flow,
  signal: AbortSignal,
  onWait: (reason: string) => void,
): Promise<void> {
  for (;;) {
    const [reason] = await replicasBehind(paused, ['paused'], signal);
    if (reason === undefined) return;
    onWait(reason);
    await sleep(LOOK_MS, undefined, { signal });
  }
}

/** Waits until the log has everything that was committed. */
async function readable({ source }: Flow, signal: AbortSignal): Promise<void> {
  while ((await source.changes.lag({ signal })) > 0) await sleep(LOOK_MS, undefined, { signal });
}

/** Prepares the stream back: what the other catalog logs from now on. */
async function seedReverse(
  { source, target }: Flow,
  progress: MoveProgress,
  signal: AbortSignal,
): Promise<MoveProgress> {
  const log = await target.changes.position('now', { signal });
  const seeded: MoveProgress = {
    ...progress,
    ...{ state: 'following', target: source.kind, log, lastChange: log, cursor: '', isCopied: true },
    ...{ followed: 0, refused: [], lastError: '', updateTime: new Date().toISOString() },
  };
  await keepProgress(target, seeded, signal);
  return seeded;
}

/** Not ended by the limit of the pause: once begun it is either taken or not. */
async function decide(
  paused: Flow,
  { log: end, lastChange: last }: MoveProgress,
  start: string,
  signal: AbortSignal,
): Promise<CatalogRow> {
  const { row } = paused;
  const active = row.active === row.source.id ? row.target.id : row.source.id;
  const eras = row.eras.map((era, at) => (at === row.eras.length - 1 ? { ...era, end, last } : era));
  const state = openState({ ...row, active });
  const change = { state, active, eras: [...eras, { catalog: active, start, end: '', last: '' }] };
  const limit = AbortSignal.any([signal, AbortSignal.timeout(END_MS)]);
  const decided = await advance(paused, change, limit);
  reached('move.switched');
  return decided;
}

/** Ends the pause if nobody has decided. Resolves with the row as it is then; undefined if it cannot be known. */
async function endedPause({ source, row }: Flow): Promise<CatalogRow | undefined> {
  const signal = AbortSignal.timeout(END_MS);
  try {
    const after = await endPause(source, row, signal);
    return after ?? (await readCatalogRow(source, { signal }))?.row;
  } catch {
    return undefined;
  }
}
