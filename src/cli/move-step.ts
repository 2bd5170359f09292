import { randomUUID } from 'node:crypto';
import type { Config } from '../config/config.ts';
import { MoveRefused } from '../move/refused.ts';
import { interruptible } from './interruptible.ts';
import { endProgress, say } from './terminal.ts';

/** Runs a step of a move of catalog or store; a refusal is told, and gives the exit code 1. */
export function moveStep(run: (holder: string, signal: AbortSignal) => Promise<number>): Promise<number> {
  return interruptible(new MoveRefused('interrupted: the next run goes on'), async (signal) => {
    try {
      return await run(randomUUID(), signal);
    } catch (error) {
      endProgress();
      if (!(error instanceof MoveRefused)) throw error;
      say(error.message);
      return 1;
    }
  });
}

/** Records a step in the audit log. */
export async function note(
  config: Config,
  what: `${'catalog' | 'store'}.move.${string}`,
  facts: Readonly<Record<string, number>>,
): Promise<void> {
  const { recordStep } = await import('../app/legacy.ts');
  await recordStep(config, what, facts);
}

/** Prints a result in place of the progress line. */
export function print(json: true | undefined, value: object, text: string): void {
  endProgress();
  process.stdout.write(`${json ? JSON.stringify(value) : text}\n`);
}
