import type { Config } from '../config/config.ts';
import type { CatalogRow } from '../move/catalog/row.ts';
import { MoveRefused } from '../move/refused.ts';
import type { CatalogMoveFlags } from './catalog-move-flags.ts';
import { activeKind, progressJson } from './catalog-output.ts';
import { step } from './catalog-step.ts';
import { confirmed } from './confirm.ts';
import { moveStep, note, print } from './move-step.ts';
import { say } from './terminal.ts';

/** Runs `catalog move complete`. Resolves with the exit code. */
export async function runComplete(config: Config, flags: CatalogMoveFlags): Promise<number> {
  const { json, yes, withoutSource } = flags;
  const { notMovable, subscriptionIn } = await import('../app/catalog-move.ts');
  if (withoutSource) return completeWithoutSource(config, flags);
  if (!(await confirmed('ends the move for good', yes ?? false))) return 1;
  const { completeMove } = await import('../move/catalog/complete.ts');
  return step(config, async (catalogs, holder, signal) => {
    const whyNot = await notMovable(config, catalogs);
    const { isChanged, row } = await completeMove(catalogs, { holder, whyNot, subscriptionIn }, signal);
    if (isChanged) await note(config, 'catalog.move.complete', { epoch: row.epoch });
    print(json, endJson(row, isChanged), completedText(row));
    return 0;
  });
}

async function completeWithoutSource(config: Config, { json, yes }: CatalogMoveFlags): Promise<number> {
  const what =
    'ends the move without the old catalog. Lost are the way back, and events from before the switch that nobody has taken: ' +
    'cursors from before it give CURSOR_EXPIRED';
  if (!(await confirmed(what, yes ?? false))) return 1;
  const { subscriptionIn, withRemaining } = await import('../app/catalog-move.ts');
  const { completeWithout } = await import('../move/catalog/without.ts');
  return moveStep((holder, signal) =>
    withRemaining(config, 'source', async (left, sourceId) => {
      const options = { holder, subscriptionIn };
      const { isChanged, row, lost } = await completeWithout(left, sourceId, options, signal);
      if (isChanged) await note(config, 'catalog.move.complete', { epoch: row.epoch, lost: lost.length });
      print(json, { ...endJson(row, isChanged), lost_subscriptions: lost }, completedText(row));
      for (const name of lost) {
        say(
          `the subscription ${JSON.stringify(name)} stands before the switch: its events from there on are lost. ` +
            'Delete it; its workers make it anew',
        );
      }
      return 0;
    }),
  );
}

/** Runs `catalog move cancel`. Resolves with the exit code. */
export async function runCancel(config: Config, flags: CatalogMoveFlags): Promise<number> {
  const { json, yes, withoutTarget } = flags;
  if (!(await confirmed('ends the move; what was copied stays where it is', yes ?? false))) return 1;
  if (withoutTarget) return cancelWithoutTarget(config, flags);
  const { cancelMove } = await import('../move/catalog/start.ts');
  return step(config, async (catalogs, holder, signal) => {
    const progress = await cancelMove(catalogs, { holder }, signal);
    if (progress === undefined) throw new MoveRefused('no move was begun');
    await note(config, 'catalog.move.cancel', { copied: progress.copied });
    print(json, progressJson(progress), `the move to ${progress.target} is cancelled`);
    return 0;
  });
}

async function cancelWithoutTarget(config: Config, { json }: CatalogMoveFlags): Promise<number> {
  const { withRemaining } = await import('../app/catalog-move.ts');
  const { cancelWithout } = await import('../move/catalog/without.ts');
  return moveStep((holder, signal) =>
    withRemaining(config, 'target', async (left, targetId) => {
      const { isChanged, row } = await cancelWithout(left, targetId, { holder }, signal);
      if (isChanged) await note(config, 'catalog.move.cancel', { epoch: row.epoch });
      print(json, endJson(row, isChanged), `the move to ${row.target.kind} is cancelled`);
      return 0;
    }),
  );
}

/** Runs `catalog move views`. Resolves with the exit code. */
export async function runViews(config: Config, { json, schema = '' }: CatalogMoveFlags): Promise<number> {
  const { viewSql } = await import('../app/catalog-move.ts');
  return moveStep(async () => {
    const sql = await viewSql(config, schema);
    print(json, { sql }, sql.trimEnd());
    return 0;
  });
}

function endJson(row: CatalogRow, isChanged: boolean): object {
  const { state, epoch } = row;
  return { state, active: activeKind(row), epoch, changed: isChanged, next_steps: [] };
}

function completedText(row: CatalogRow): string {
  return `the move is complete: restart the replicas, one by one, with ASSET_CATALOG=${activeKind(row)} and its settings, without ASSET_NEXT_*`;
}
