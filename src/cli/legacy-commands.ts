import type { Command } from 'commander';
import { configuration, explained } from './configuration.ts';
import type { AuditFlags } from './legacy-audit.ts';

/** Adds the commands that move the files of an old system; docs/migration.md has them in their order. */
export function addLegacyCommands(root: Command): void {
  const legacy = root.command('legacy').description('move the files of an old system into the service');

  legacy
    .command('audit')
    .description('hold records and objects of the old system against each other, and change nothing')
    .option('--json', 'print the result as JSON')
    .option('--report <file>', 'write one JSON line for each file to this file')
    .option('--restart', 'begin at the beginning, also where the last run was interrupted')
    .action(async (flags: AuditFlags) => {
      const config = configuration({ ASSET_LOG_LEVEL: 'silent' });
      const { runAudit } = await import('./legacy-audit.ts');
      process.exitCode = await explained(config, () => runAudit(config, flags));
    });
}
