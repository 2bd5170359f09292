import type { VerifyState } from '../verify.ts';
import { reached } from '../../system/crash-points.ts';
import { MoveRefused } from '../refused.ts';
import { begun, withRow, type BegunMove } from './begin.ts';
import { openIn } from './open-uploads.ts';
import { exclusively, type StepOptions, type StoreMove } from './progress.ts';
import { awaitReplicas } from './replicas.ts';
import { changeRow, type StoreRow } from './row.ts';
import { follow } from './start.ts';
import { noteSwitched } from './source-urls.ts';
import { proveWritable } from './store-id.ts';
import { storeVerification } from './verification.ts';

/** Default time for replicas to obey, in milliseconds: longer than a killed one counts as running. */
const REPLICAS_MS = 45_000;

/** Ids in a message. */
const SHOWN = 5;

/** Result of a step that changes the row. */
export interface Stepped {
  readonly row: StoreRow;
  /** False if it was done before. */
  readonly isNew: boolean;
  /** Number of replicas that obey it. */
  readonly replicas: number;
}

/**
 * Makes the target the store of new files. Proves first that it has every file, and that the way back is open.
 *
 * @throws MoveRefused if it does not; then nothing has changed
 */
export function switchStore(move: StoreMove, options: StepOptions, signal: AbortSignal): Promise<Stepped> {
  return exclusively(move, options, signal, async (held) => {
    const known = await begun(move, held);
    const { row } = known.stored;
    if (row.active === 'target') return arrive(move, known, options, false, held);
    const { isCopied, refused } = known.progress;
    if (!isCopied)
      throw new MoveRefused('not everything was copied yet: run `asset-service store move start` first');
    const now = await caughtUp(move, known, options, held);
    if (now.progress.refused.length > 0)
      throw damagedFiles(refused.length > 0 ? refused : now.progress.refused);
    assertVerified(await storeVerification(move.catalog, held));
    await proveWritable(known.target.store, { signal: held });
    await proveWritable(known.source.store, { signal: held });
    await awaitReplicas(move.catalog, row.epoch, { timeoutMs: waitOf(options), signal: held });
    reached('store-move.proven');
    const change = { state: 'switched', active: 'target', switched: true } as const;
    const time = { switchTime: new Date().toISOString() };
    const stored = await changeRow(
      move.catalog,
      known.stored,
      { ...row, ...change, ...time },
      { signal: held },
    );
    reached('store-move.switched');
    return arrive(move, withRow(now, stored), options, true, held);
  });
}

/**
 * Makes the source the store of new files again. Files made since the switch are copied back first.
 *
 * @throws MoveRefused if the move is complete, or a file cannot be copied back; then nothing has changed
 */
export function reverseStore(move: StoreMove, options: StepOptions, signal: AbortSignal): Promise<Stepped> {
  return exclusively(move, options, signal, async (held) => {
    const known = await begun(move, held);
    const { row } = known.stored;
    if (row.state === 'completed' || row.state === 'retired')
      throw new MoveRefused(
        'the move is complete: set ASSET_STORE and ASSET_NEXT_STORE the other way round, and start a move back',
      );
    if (row.active === 'source') {
      if (!row.switched) throw new MoveRefused('the move was not switched: there is nothing to reverse');
      return arrive(move, known, options, false, held);
    }
    await proveWritable(known.source.store, { signal: held });
    const now = await caughtUp(move, known, options, held);
    if (now.progress.refused.length > 0) throw damagedFiles(now.progress.refused);
    await awaitReplicas(move.catalog, row.epoch, { timeoutMs: waitOf(options), signal: held });
    reached('store-move.proven');
    const change = { state: 'moving', active: 'source' } as const;
    const stored = await changeRow(move.catalog, known.stored, { ...row, ...change }, { signal: held });
    reached('store-move.switched');
    return arrive(move, withRow(now, stored), options, true, held);
  });
}

/**
 * Ends the move: from then on nothing is copied back, and replicas need the settings of the target only.
 *
 * @throws MoveRefused if the target is not active, or an open upload has parts in the source
 */
export function completeStore(move: StoreMove, options: StepOptions, signal: AbortSignal): Promise<Stepped> {
  return exclusively(move, options, signal, async (held) => {
    const known = await begun(move, held);
    const { row } = known.stored;
    if (row.state === 'completed' || row.state === 'retired') return { row, isNew: false, replicas: 0 };
    if (row.active !== 'target')
      throw new MoveRefused(
        'new files still go to the old store: run `asset-service store move switch` first',
      );
    const { current } = await awaitReplicas(move.catalog, row.epoch, {
      ...{ timeoutMs: waitOf(options), signal: held },
    });
    await assertNoneOpen(move, known, 'source', held);
    const now = await caughtUp(move, known, options, held);
    if (now.progress.refused.length > 0) throw damagedFiles(now.progress.refused);
    await noteSwitched(move, now, held);
    reached('store-move.proven');
    const change = { ...row, state: 'completed' } as const;
    const stored = await changeRow(move.catalog, known.stored, change, { signal: held });
    return { row: stored.row, isNew: true, replicas: current };
  });
}

/**
 * Ends the move with the source as the store of all files. What was copied stays in the target.
 *
 * @throws MoveRefused if the target is active, or the move is complete
 */
export function cancelStore(move: StoreMove, options: StepOptions, signal: AbortSignal): Promise<Stepped> {
  return exclusively(move, options, signal, async (held) => {
    const known = await begun(move, held);
    const { row } = known.stored;
    if (row.active === 'target')
      throw new MoveRefused(
        row.state === 'switched'
          ? 'new files go to the new store: run `asset-service store move reverse` first'
          : 'the move is complete',
      );
    if (row.switched) {
      await awaitReplicas(move.catalog, row.epoch, { timeoutMs: waitOf(options), signal: held });
      await assertNoneOpen(move, known, 'target', held);
      const now = await caughtUp(move, known, options, held);
      if (now.progress.refused.length > 0) throw damagedFiles(now.progress.refused);
    }
    const change = { ...row, state: 'cancelled', switched: false } as const;
    const stored = await changeRow(move.catalog, known.stored, change, { signal: held });
    return { row: stored.row, isNew: true, replicas: 0 };
  });
}

/** Waits until the replicas obey, and copies what some of them have stored meanwhile by the row before. */
async function arrive(
  move: StoreMove,
  known: BegunMove,
  options: StepOptions,
  isNew: boolean,
  signal: AbortSignal,
): Promise<Stepped> {
  const { row } = known.stored;
  const { current } = await awaitReplicas(move.catalog, row.epoch, { timeoutMs: waitOf(options), signal });
  const now = await caughtUp(move, known, options, signal);
  await noteSwitched(move, now, signal);
  return { row, isNew, replicas: current };
}

async function caughtUp(
  move: StoreMove,
  known: BegunMove,
  options: StepOptions,
  signal: AbortSignal,
): Promise<BegunMove> {
  return { ...known, progress: await follow(move, known, options, signal) };
}

function waitOf({ replicasMs = REPLICAS_MS }: StepOptions): number {
  return replicasMs;
}

async function assertNoneOpen(
  move: StoreMove,
  known: BegunMove,
  role: 'source' | 'target',
  signal: AbortSignal,
): Promise<void> {
  const open = await openIn(move.catalog, known[role].store, signal);
  if (open.ids.length === 0) return;
  const names = open.ids.slice(0, SHOWN).join(', ');
  const until = open.until.toISOString();
  throw new MoveRefused(
    `${open.ids.length} open uploads have parts in the store that the move leaves (${names}), and are finished there: ` +
      (open.until.getTime() < Date.now()
        ? `they expired at ${until}: run \`asset-service sweep\`, and try again`
        : `try again when they have ended, at the latest at ${until}`),
  );
}

function damagedFiles(refused: BegunMove['progress']['refused']): MoveRefused {
  const some = refused.slice(0, SHOWN).map(({ id, reason }) => `${id}: ${reason}`);
  return new MoveRefused(
    `${refused.length} files could not be copied as they are (${some.join(', ')}): mend or delete them, then run ` +
      '`asset-service store move start`',
  );
}

function assertVerified(found: (VerifyState & { readonly isStale: boolean }) | undefined): void {
  const command = 'run `asset-service store move verify`';
  if (found === undefined) throw new MoveRefused(`the target was not verified: ${command} first`);
  if (found.damagedCount > 0)
    throw new MoveRefused(`the verification found ${found.damagedCount} damaged files: ${command} --repair`);
  if (found.unknown > 0)
    throw new MoveRefused(`the store gave no answer about ${found.unknown} files: ${command} --restart`);
  if (found.isStale) throw new MoveRefused(`the verification is not complete or too old: ${command} again`);
}
