import { randomUUID } from 'node:crypto';
import type { Config } from '../config/config.ts';
import { MoveRefused, type MovedCatalogs } from '../move/catalog/progress.ts';
import { endProgress, say } from './terminal.ts';

/** Runs a step on both catalogs; a refusal is told, and gives the exit code 1. */
export async function step(
  config: Config,
  work: (catalogs: MovedCatalogs, holder: string, signal: AbortSignal) => Promise<number>,
): Promise<number> {
  const { withMove } = await import('../app/catalog-move.ts');
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort(new MoveRefused('interrupted: the next run goes on'));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    return await withMove(config, (catalogs) => work(catalogs, randomUUID(), interrupted.signal));
  } catch (error) {
    endProgress();
    if (!(error instanceof MoveRefused)) throw error;
    say(error.message);
    return 1;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

/** Records a step in the audit log. */
export async function note(
  config: Config,
  what: string,
  facts: Readonly<Record<string, number>>,
): Promise<void> {
  const { recordStep } = await import('../app/legacy.ts');
  await recordStep(config, `catalog.move.${what}`, facts);
}

/** Prints a result. */
export function print(json: true | undefined, value: object, text: string): void {
  process.stdout.write(`${json ? JSON.stringify(value) : text}\n`);
}
