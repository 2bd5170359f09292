import type { Config } from '../config/config.ts';
import type { MoveProgress } from '../move/catalog/progress.ts';
import type { CatalogMoveFlags } from './catalog-move-flags.ts';
import { progressJson, statusJson, statusText, verificationJson } from './catalog-output.ts';
import { step } from './catalog-step.ts';
import { confirmed } from './confirm.ts';
import { note, print } from './move-step.ts';
import { endProgress, say, showProgress } from './terminal.ts';

/** Runs `catalog move start`. Resolves with the exit code. */
export async function runStart(config: Config, { json, yes, rate }: CatalogMoveFlags): Promise<number> {
  const what = 'copies the records of the service into the catalog of ASSET_NEXT_CATALOG';
  if (!(await confirmed(what, yes ?? false))) return 1;
  const { notMovable } = await import('../app/catalog-move.ts');
  const { startMove } = await import('../move/catalog/start.ts');
  return step(config, async (catalogs, holder, signal) => {
    const onProgress = ({ copied, followed }: MoveProgress) =>
      showProgress(`${copied} records, ${followed} changes`);
    const whyNot = await notMovable(config, catalogs);
    const progress = await startMove(catalogs, { holder, rate, onProgress, whyNot }, signal);
    endProgress();
    await note(config, 'catalog.move.start', { copied: progress.copied, refused: progress.refused.length });
    const text = `copied ${progress.copied} records and followed ${progress.followed} changes to ${progress.target}`;
    print(json, progressJson(progress), text);
    for (const { id, reason } of progress.refused) say(`${id} is refused: ${reason}`);
    return progress.refused.length > 0 ? 1 : 0;
  });
}

/** Runs `catalog move verify`. Resolves with the exit code. */
export async function runMoveVerify(config: Config, flags: CatalogMoveFlags): Promise<number> {
  const { notMovable } = await import('../app/catalog-move.ts');
  const { startMove } = await import('../move/catalog/start.ts');
  const { verifyMove } = await import('../move/catalog/verify.ts');
  return step(config, async (catalogs, holder, signal) => {
    const whyNot = await notMovable(config, catalogs);
    const options = { holder, whyNot };
    const pace = flags.rate !== undefined && flags.rate > 0 ? { recordsPerSecond: flags.rate } : {};
    const all = { ...options, ...pace };
    let result = await verifyMove(catalogs, { ...all, restart: flags.restart ?? false }, signal);
    if (flags.repair && result.damagedCount > 0) {
      await startMove(catalogs, options, signal);
      result = { ...(await verifyMove(catalogs, all, signal)), resumedFrom: result.resumedFrom };
    }
    const { checked, damagedCount, damaged } = result;
    await note(config, 'catalog.move.verify', { checked, damaged: damagedCount });
    print(flags.json, verificationJson(result, result.resumedFrom), `compared ${checked} records`);
    if (!flags.json) for (const { id, reason } of damaged) say(`${id}: ${reason}`);
    if (damagedCount > 0) say(`${damagedCount} are not the same in both catalogs`);
    return damagedCount > 0 ? 1 : 0;
  });
}

/** Runs `catalog move status`. Resolves with the exit code. */
export async function runMoveStatus(config: Config, { json }: CatalogMoveFlags): Promise<number> {
  const { withReachable } = await import('../app/catalog-move.ts');
  const { moveStatus } = await import('../move/catalog/status.ts');
  return withReachable(config, async ({ own, next }, failures) => {
    // Without the catalog of ASSET_CATALOG the other one has all that is known.
    const status = own
      ? await moveStatus(own, next)
      : await moveStatus(next!, undefined, undefined, { isAlone: true });
    print(json, statusJson(status), statusText(status));
    for (const failure of failures) say(failure);
    return 0;
  });
}
