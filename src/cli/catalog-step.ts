import type { Config } from '../config/config.ts';
import type { MovedCatalogs } from '../move/catalog/progress.ts';
import { moveStep } from './move-step.ts';

/** Runs a step on both catalogs; see {@link moveStep}. */
export async function step(
  config: Config,
  work: (catalogs: MovedCatalogs, holder: string, signal: AbortSignal) => Promise<number>,
): Promise<number> {
  const { withMove } = await import('../app/catalog-move.ts');
  return moveStep((holder, signal) => withMove(config, (catalogs) => work(catalogs, holder, signal)));
}
