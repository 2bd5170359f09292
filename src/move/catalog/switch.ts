import { setTimeout as sleep } from 'node:timers/promises';
import type { Presence } from '../replicas/presence.ts';
import { flowOf, advance, type Flow } from './flow.ts';
import { pausedSwitch, PauseTooLong } from './pause.ts';
import { moveProgress, type MovedCatalogs, type MoveProgress } from './progress.ts';
import { MoveRefused } from '../refused.ts';
import { replicasBehind } from './replicas.ts';
import { openState, type CatalogRow } from './row.ts';
import { exclusively } from './exclusive.ts';
import type { MoveOptions } from './exclusive.ts';
import { followOn } from './start.ts';
import { isStale } from '../following.ts';
import { moveVerification } from './verification.ts';
import { compareAll } from './verify.ts';
import { proveWayBack } from './way-back.ts';
import { reached } from '../../system/crash-points.ts';

/** Pauses that are tried before a switch gives up. */
const ATTEMPTS = 5;

/** Time between two tries, in milliseconds: held writes are done first. */
const BETWEEN_MS = 1_000;

/** How long to wait for the replicas before the first pause, in milliseconds: a killed one is forgotten after 30 s. */
const REPLICAS_MS = 45_000;

/** Options of a switch. */
export interface SwitchOptions extends MoveOptions {
  /** How long writes may be held, in milliseconds. */
  readonly maxPauseMs: number;
  /** See {@link REPLICAS_MS}; for tests. */
  readonly replicasMs?: number;
  /** Told what it waits for. */
  readonly onWait?: (text: string) => void;
}

/** What a switch did. */
export interface SwitchResult {
  /** False if it was done before. */
  readonly isChanged: boolean;
  readonly row: CatalogRow;
  /** How long writes were held at most, in milliseconds. */
  readonly pauseMs: number;
  /** Pauses that were needed. */
  readonly attempts: number;
}

/**
 * Makes the target the active catalog: proves the way back, pauses the writes of all replicas, lets the target have
 * everything, and changes the row. From then on the source is made like the target.
 *
 * @throws MoveRefused with what stands in the way; then the source is active as before
 */
export function switchMove(
  catalogs: MovedCatalogs,
  options: SwitchOptions,
  signal: AbortSignal,
): Promise<SwitchResult> {
  return turn(catalogs, 'target', options, signal);
}

/** Makes the source the active catalog again. */
export function reverseMove(
  catalogs: MovedCatalogs,
  options: SwitchOptions,
  signal: AbortSignal,
): Promise<SwitchResult> {
  return turn(catalogs, 'source', options, signal);
}

function turn(
  catalogs: MovedCatalogs,
  to: 'source' | 'target',
  options: SwitchOptions,
  signal: AbortSignal,
): Promise<SwitchResult> {
  return exclusively(catalogs, options, signal, async (held) => {
    let flow = await flowOf(catalogs, { signal: held });
    if (flow === undefined || flow.row.state === 'cancelled') throw notBegun();
    const { row } = flow;
    if (row.state === 'completed') {
      if (to === 'target') return { isChanged: false, row, pauseMs: 0, attempts: 0 };
      throw new MoveRefused('the move is complete: begin another one, which goes back');
    }
    // Of a process that was killed.
    if (row.state === 'preparing' || row.state === 'paused') {
      flow = { ...flow, row: await advance(flow, { state: openState(row) }, held) };
    }
    if (row.active === row[to].id) return { isChanged: false, row: flow.row, pauseMs: 0, attempts: 0 };
    await assertReady(flow, to, options, held);
    return attempt(flow, options, held);
  });
}

/** Throws what stands in the way of a switch. */
async function assertReady(
  flow: Flow,
  to: 'source' | 'target',
  options: SwitchOptions,
  signal: AbortSignal,
): Promise<void> {
  const earlier = await moveProgress(flow.source, signal);
  if (!earlier?.isCopied || earlier.move !== flow.row.move) throw notBegun();
  const follow = () => followOn(flow, options, signal);
  const progress = await follow();
  const [first] = progress.refused;
  if (first) {
    throw new MoveRefused(
      `${progress.refused.length} records are refused, the first is ${first.id}: ${first.reason}. Correct that, and run \`asset-service catalog move start\``,
    );
  }
  if (to === 'target') await assertVerified(flow, progress, follow, signal);
  await proveWayBack(flow, signal);
}

/** The target was compared, nothing differed, and nothing else wrote there since. */
async function assertVerified(
  flow: Flow,
  progress: MoveProgress,
  follow: () => Promise<unknown>,
  signal: AbortSignal,
): Promise<void> {
  const verify = '`asset-service catalog move verify`';
  const found = await moveVerification(flow.source, signal);
  if (found === undefined || found.moveStartTime !== progress.startTime) {
    throw new MoveRefused(`the catalogs were not compared: run ${verify} first`);
  }
  if (isStale(found))
    throw new MoveRefused(`the last comparison is not done or too old: run ${verify} again`);
  // Other programs may have written since, past the change log.
  const how = { follow, progress, atOnce: true };
  const now = found.damagedCount > 0 ? found : await compareAll(flow, how, signal);
  const [first] = now.damaged;
  if (first === undefined) return;
  throw new MoveRefused(
    `${now.damagedCount} are not the same in both catalogs, the first is ${first.id}: ${first.reason}. Run \`asset-service catalog move verify --repair\``,
  );
}

/** Pauses and switches; tries again if a pause was too long. */
async function attempt(flow: Flow, options: SwitchOptions, signal: AbortSignal): Promise<SwitchResult> {
  let current = flow;
  let reason = '';
  for (let attempts = 1; attempts <= ATTEMPTS; attempts++) {
    if (attempts > 1) await sleep(BETWEEN_MS, undefined, { signal });
    const row = await advance(current, { state: 'preparing' }, signal);
    current = { ...current, row };
    reached('move.preparing');
    await replicasReady(current, options, signal);
    await followOn(current, options, signal);
    const began = performance.now();
    try {
      const switched = await pausedSwitch(current, options, signal);
      return { isChanged: true, row: switched, pauseMs: Math.round(performance.now() - began), attempts };
    } catch (error) {
      if (!(error instanceof PauseTooLong)) throw error;
      current = { ...current, row: error.row };
      reason = error.message;
      options.onWait?.(`the pause was given up, ${reason}`);
    }
  }
  throw new MoveRefused(
    `${ATTEMPTS} pauses of at most ${options.maxPauseMs / 1_000} s were too short, and nothing was changed: ${reason}`,
  );
}

/** Waits until all replicas know that a pause is near. Ends the preparation if one does not. */
async function replicasReady(flow: Flow, options: SwitchOptions, signal: AbortSignal): Promise<void> {
  const states: readonly Presence['state'][] = ['ready'];
  const deadline = performance.now() + (options.replicasMs ?? REPLICAS_MS);
  let told = '';
  for (;;) {
    const [reason, ...others] = await replicasBehind(flow, states, signal);
    if (reason === undefined) return;
    const text = others.length > 0 ? `${reason} (and ${others.length} more)` : reason;
    if (performance.now() > deadline || isLasting(reason)) {
      await advance(flow, { state: openState(flow.row) }, signal);
      throw new MoveRefused(text);
    }
    if (text !== told) options.onWait?.(`waits: ${text}`);
    told = text;
    await sleep(100, undefined, { signal });
  }
}

/** True for what waiting does not change. */
function isLasting(reason: string): boolean {
  return reason.includes('runs without');
}

function notBegun(): MoveRefused {
  return new MoveRefused('not everything was copied yet: run `asset-service catalog move start` first');
}
