import { createInterface } from 'node:readline/promises';
import { InvalidArgumentError } from 'commander';

/**
 * Asks on the terminal whether a command may change things. Resolves with true for yes.
 *
 * @param what - the change, as in "This WHAT."
 * @param isAgreed - true if the operator gave `--yes`: nothing is asked
 * @throws InvalidArgumentError without a terminal, because nobody can answer
 */
export async function confirmed(what: string, isAgreed: boolean): Promise<boolean> {
  if (isAgreed) return true;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new InvalidArgumentError(`this ${what}: give --yes, because there is no terminal to ask on`);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    // A closed terminal counts as no.
    const closed = new Promise<string>((resolve) => terminal.once('close', () => resolve('')));
    const answer = await Promise.race([terminal.question(`This ${what}. Go on? [y/N] `), closed]);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}
