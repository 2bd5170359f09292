import type { Config } from '../config/config.ts';
import type { StepOptions, StoreMove } from '../move/store/progress.ts';
import type { Stepped } from '../move/store/switch.ts';
import { confirmed } from './confirm.ts';
import { moveStep, note, print } from './move-step.ts';
import { progressJson, retiredJson, statusJson, statusText, verificationJson } from './store-move-json.ts';
import { say, showProgress } from './terminal.ts';

/** Options of `store move`. */
export interface StoreMoveFlags {
  readonly json?: true;
  readonly yes?: true;
  readonly rate?: number;
  readonly repair?: true;
  readonly restart?: true;
  /** Percent. */
  readonly maxRetire?: number;
  readonly afterUrls?: true;
}

type Step = (move: StoreMove, options: StepOptions, signal: AbortSignal) => Promise<Stepped>;

/** Runs `store move start`. Resolves with the exit code. */
export async function runStart(config: Config, { json, yes, rate }: StoreMoveFlags): Promise<number> {
  const what = 'copies the bytes of all files into the store of ASSET_NEXT_STORE';
  if (!(await confirmed(what, yes ?? false))) return 1;
  const { startStoreMove } = await import('../move/store/start.ts');
  return step(config, { ...(rate !== undefined && { rate }) }, async (move, options, signal) => {
    const progress = await startStoreMove(move, options, signal);
    const { copied, copiedBytes, followed, refused } = progress;
    await note(config, 'store.move.start', { copied, bytes: copiedBytes, refused: refused.length });
    const { storeMoveStatus } = await import('../move/store/status.ts');
    const { state } = await storeMoveStatus(move.catalog, signal);
    print(
      json,
      { state, ...progressJson(progress) },
      `copied ${copied} files and followed ${followed} changes`,
    );
    for (const { id, reason } of refused) say(`${id} was not copied: ${reason}`);
    return refused.length > 0 ? 1 : 0;
  });
}

/** Runs `store move verify`. Resolves with the exit code. */
export async function runVerify(config: Config, flags: StoreMoveFlags): Promise<number> {
  const { startStoreMove } = await import('../move/store/start.ts');
  const { verifyStoreMove } = await import('../move/store/verify.ts');
  return step(config, flags, async (move, options, signal) => {
    let result = await verifyStoreMove(move, { ...options, restart: flags.restart ?? false }, signal);
    if (flags.repair && result.damagedCount > 0) {
      await startStoreMove(move, options, signal);
      result = { ...(await verifyStoreMove(move, options, signal)), resumedFrom: result.resumedFrom };
    }
    const { checked, damagedCount, damaged, unknown } = result;
    await note(config, 'store.move.verify', { checked, damaged: damagedCount, unknown });
    print(flags.json, verificationJson(result, result.resumedFrom), `read ${checked} files`);
    if (!flags.json) for (const { id, reason } of damaged) say(`${id}: ${reason}`);
    if (damagedCount > 0) say(`${damagedCount} files are missing or damaged in the new store`);
    if (unknown > 0) say(`the store gave no answer about ${unknown} files`);
    return damagedCount + unknown > 0 ? 1 : 0;
  });
}

/** Runs `store move switch`. Resolves with the exit code. */
export async function runSwitch(config: Config, flags: StoreMoveFlags): Promise<number> {
  const what = 'stores new files in the store of ASSET_NEXT_STORE from now on';
  const { switchStore } = await import('../move/store/switch.ts');
  return change(config, flags, { name: 'switch', what, done: 'new files go to the new store' }, switchStore);
}

/** Runs `store move reverse`. Resolves with the exit code. */
export async function runReverse(config: Config, flags: StoreMoveFlags): Promise<number> {
  const what = 'copies new files back, and stores new files in the old store again';
  const { reverseStore } = await import('../move/store/switch.ts');
  return change(
    config,
    flags,
    { name: 'reverse', what, done: 'new files go to the old store' },
    reverseStore,
  );
}

/** Runs `store move complete`. Resolves with the exit code. */
export async function runComplete(config: Config, flags: StoreMoveFlags): Promise<number> {
  const what = 'ends the move: the old store no longer gets new files, and there is no reverse';
  const done =
    'the move is complete: restart the replicas one by one with the settings of the new store and without ASSET_NEXT_STORE';
  const { completeStore } = await import('../move/store/switch.ts');
  return change(config, flags, { name: 'complete', what, done }, completeStore);
}

/** Runs `store move cancel`. Resolves with the exit code. */
export async function runCancel(config: Config, flags: StoreMoveFlags): Promise<number> {
  const what = 'ends the move; what was copied stays where it is';
  const { cancelStore } = await import('../move/store/switch.ts');
  return change(config, flags, { name: 'cancel', what, done: 'the move is cancelled' }, cancelStore);
}

/** Runs `store move retire`. Resolves with the exit code. */
export async function runRetire(config: Config, flags: StoreMoveFlags): Promise<number> {
  const what =
    'deletes the files of the service from the old store, which cannot be undone; URLs of that store end then';
  if (!(await confirmed(what, flags.yes ?? false))) return 1;
  const { retireStore } = await import('../move/store/retire.ts');
  return step(config, flags, async (move, options, signal) => {
    const limits = { maxPercent: flags.maxRetire ?? 0, afterUrls: flags.afterUrls ?? false };
    const result = await retireStore(move, { ...options, ...limits }, signal);
    if (result.urlsEnd && result.deleted > 0)
      say(
        `signed URLs of the old store could have been in use until ${result.urlsEnd.toISOString()}: they ended`,
      );
    const { deleted, deletedBytes, unproven, unknown, derived = 0, unfinished = 0 } = result;
    await note(config, 'store.move.retire', {
      deleted,
      bytes: deletedBytes,
      unproven: unproven.length,
      unknown,
      derived,
      unfinished,
    });
    print(flags.json, retiredJson(result), `deleted ${deleted} files in the old store`);
    if (unknown > 0) say(`${unknown} blobs of the old store belong to no file: they stay`);
    for (const { id, reason } of unproven)
      say(`${id} stays in the old store: in the new one it is ${reason}`);
    return unproven.length > 0 ? 1 : 0;
  });
}

/** Runs `store move status`. Resolves with the exit code. */
export async function runStatus(config: Config, { json }: StoreMoveFlags): Promise<number> {
  const { withMovedCatalog } = await import('../app/store-move.ts');
  const { storeMoveStatus } = await import('../move/store/status.ts');
  const status = await withMovedCatalog(config, (catalog) => storeMoveStatus(catalog));
  print(json, statusJson(status), statusText(status));
  return 0;
}

async function change(
  config: Config,
  { json, yes }: StoreMoveFlags,
  { name, what, done }: { readonly name: string; readonly what: string; readonly done: string },
  run: Step,
): Promise<number> {
  if (!(await confirmed(what, yes ?? false))) return 1;
  return step(config, {}, async (move, options, signal) => {
    const { row, isNew, replicas } = await run(move, options, signal);
    await note(config, `store.move.${name}`, { epoch: row.epoch });
    const { state, active, epoch } = row;
    print(json, { state, active, epoch, replicas, changed: isNew }, isNew ? done : `done already: ${done}`);
    return 0;
  });
}

/** Runs a step on both stores; see {@link moveStep}. */
async function step(
  config: Config,
  { rate }: Pick<StoreMoveFlags, 'rate'>,
  work: (move: StoreMove, options: StepOptions, signal: AbortSignal) => Promise<number>,
): Promise<number> {
  const { withStoreMove } = await import('../app/store-move.ts');
  const urlSeconds = Math.max(...config.policies.all.map(({ urlLifetimeSeconds }) => urlLifetimeSeconds.max));
  return moveStep((holder, signal) =>
    withStoreMove(config, (move) =>
      work(move, { holder, rate, urlSeconds, onProgress: showProgress }, signal),
    ),
  );
}
