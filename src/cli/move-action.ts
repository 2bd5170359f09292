import { InvalidArgumentError, type Command } from 'commander';
import type { Config } from '../config/config.ts';
import { configuration, explained } from './configuration.ts';

/** Lets a step of a move run with its flags and the configuration; `load` imports it only then. */
export function moveAction<Flags>(
  command: Command,
  load: () => Promise<(config: Config, flags: Flags) => Promise<number>>,
): void {
  command.option('--json', 'print the result as JSON').action(async (flags: Flags) => {
    const config = configuration({ ASSET_LOG_LEVEL: 'silent' });
    process.exitCode = await explained(config, async () => (await load())(config, flags));
  });
}

/** Returns a parser for a number of such things a second. */
export function perSecond(things: string): (text: string) => number {
  return (text) => {
    if (!/^\d{1,7}$/.test(text))
      throw new InvalidArgumentError(`must be a whole number of ${things} a second`);
    return Number(text);
  };
}
