import type { Config } from '../config/config.ts';
import type { SwitchResult } from '../move/catalog/switch.ts';
import type { CatalogMoveFlags } from './catalog-move-flags.ts';
import { activeKind } from './catalog-output.ts';
import { step } from './catalog-step.ts';
import { confirmed } from './confirm.ts';
import { note, print } from './move-step.ts';
import { say } from './terminal.ts';

const COMMAND = 'asset-service catalog move';

/** Runs `catalog move switch`. Resolves with the exit code. */
export async function runSwitch(config: Config, flags: CatalogMoveFlags): Promise<number> {
  const what = 'lets the catalog of ASSET_NEXT_CATALOG serve; writes wait meanwhile';
  if (!(await confirmed(what, flags.yes ?? false))) return 1;
  return turned(config, flags, 'switch', [`${COMMAND} complete --yes`]);
}

/** Runs `catalog move reverse`. Resolves with the exit code. */
export async function runReverse(config: Config, flags: CatalogMoveFlags): Promise<number> {
  const what = 'lets the catalog of ASSET_CATALOG serve again; writes wait meanwhile';
  if (!(await confirmed(what, flags.yes ?? false))) return 1;
  return turned(config, flags, 'reverse', [`${COMMAND} verify`]);
}

function turned(
  config: Config,
  { json, maxPause = 2 }: CatalogMoveFlags,
  verb: 'switch' | 'reverse',
  nextSteps: readonly string[],
): Promise<number> {
  return step(config, async (catalogs, holder, signal) => {
    const { notMovable } = await import('../app/catalog-move.ts');
    const { switchMove, reverseMove } = await import('../move/catalog/switch.ts');
    const whyNot = await notMovable(config, catalogs);
    const options = { holder, whyNot, maxPauseMs: maxPause * 1_000, onWait: say };
    const turn = verb === 'switch' ? switchMove : reverseMove;
    const result = await turn(catalogs, options, signal);
    const { isChanged, row, pauseMs, attempts } = result;
    if (isChanged) await note(config, `catalog.move.${verb}`, { epoch: row.epoch, pauseMs, attempts });
    print(json, resultJson(result, nextSteps), resultText(result));
    return 0;
  });
}

function resultJson({ isChanged, row, pauseMs, attempts }: SwitchResult, nextSteps: readonly string[]) {
  const { state, epoch } = row;
  const facts = {
    state,
    active: activeKind(row),
    epoch,
    changed: isChanged,
    pause: pauseMs / 1_000,
    attempts,
  };
  return { ...facts, next_steps: state === 'completed' ? [] : nextSteps };
}

function resultText({ isChanged, row, pauseMs, attempts }: SwitchResult): string {
  const kind = activeKind(row);
  if (!isChanged) return `${kind} serves already`;
  return `${kind} serves; writes waited ${pauseMs / 1_000} s at most (attempt ${attempts})`;
}
