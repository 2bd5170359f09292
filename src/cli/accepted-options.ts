import type { Command } from 'commander';

const YES = '--yes';

/**
 * Lets every command of a group take `--yes`, so that a script may give it to all of them. Those that ask have it
 * already.
 */
export function acceptYes(group: Command): void {
  for (const command of group.commands) acceptYes(command);
  if (group.commands.length > 0 || group.options.some(({ long }) => long === YES)) return;
  group.option(YES, 'accepted, but without effect: this command never asks');
}
