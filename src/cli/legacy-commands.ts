import { InvalidArgumentError, type Command } from 'commander';
import { configuration, explained } from './configuration.ts';
import { numberFrom } from './deep-sweep.ts';
import type { AuditFlags } from './legacy-audit.ts';
import type { BackfillFlags } from './legacy-backfill.ts';
import { addLockCommands } from './legacy-lock-commands.ts';

/** Adds the commands that move the files of an old system; docs/migration.md has them in their order. */
export function addLegacyCommands(root: Command): void {
  const legacy = root.command('legacy').description('move the files of an old system into the service');

  addStatus(legacy);
  addLockCommands(legacy);

  legacy
    .command('audit')
    .description('hold records and objects of the old system against each other, and change nothing')
    .option('--json', 'print the result as JSON')
    .option('--report <file>', 'write one JSON line for each file to this file')
    .option('--restart', 'begin at the beginning, also where the last run was interrupted')
    .option('--full', 'read all bytes, and compare them with the checksums of objects and records')
    .action(async (flags: AuditFlags) => {
      const config = quietConfiguration();
      const { runAudit } = await import('./legacy-audit.ts');
      process.exitCode = await explained(config, () => runAudit(config, flags));
    });

  legacy
    .command('backfill')
    .description('move the bytes of old files into the store of the service; the originals stay')
    .argument(
      '[action]',
      'of a backfill that runs, on whatever machine: pause, resume, rate or cancel; or undo',
    )
    .argument('[value]', 'with rate: files a second, 0 for any number')
    .option('--dry-run', 'say what would come of every file, and write nothing')
    .option('--rate <files>', 'greatest number of files a second; 0 for any number', numberFrom(0))
    .option('--workers <number>', 'files under way at once', numberFrom(1), 8)
    .option('--report <file>', 'add one JSON line for each file that could not be moved to this file')
    .option('--yes', 'ask nothing; required without a terminal, except with --dry-run')
    .option('--json', 'print the result as JSON')
    .action(async (action: string | undefined, value: string | undefined, flags: BackfillFlags) => {
      const isUndo = action === 'undo' && value === undefined;
      const asked = action === undefined || isUndo ? undefined : controlOf(action, value);
      const config = quietConfiguration();
      const { runBackfill, runControl, runUndo } = await import('./legacy-backfill.ts');
      process.exitCode = await explained(config, () =>
        asked
          ? runControl(config, asked, `asked for: ${action} ${value ?? ''}`.trim())
          : isUndo
            ? runUndo(config, flags)
            : runBackfill(config, flags),
      );
    });

  legacy
    .command('acknowledge')
    .description('write down that the damage of a file is known, so that it holds nothing up')
    .argument('<id>', 'id of the file')
    .requiredOption('--reason <text>', 'why it may stay as it is')
    .option('--yes', 'ask nothing; required without a terminal')
    .action(async (id: string, flags: { reason: string; yes?: true }) => {
      const config = quietConfiguration();
      const { runAcknowledge } = await import('./legacy-backfill.ts');
      process.exitCode = await explained(config, () => runAcknowledge(config, id, flags));
    });
}

/** Adds `legacy status`, which reads the catalog alone. */
function addStatus(legacy: Command): void {
  legacy
    .command('status')
    .description('say where the move stands, who still uses old paths, and what to do next')
    .option('--json', 'print it as JSON')
    .action(async (flags: { json?: true }) => {
      const config = quietConfiguration();
      const { runStatus } = await import('./legacy-status.ts');
      process.exitCode = await explained(config, () => runStatus(config, flags));
    });
}

function quietConfiguration() {
  return configuration({ ASSET_LOG_LEVEL: 'silent' });
}

/** @throws InvalidArgumentError */
function controlOf(action: string, value: string | undefined) {
  if (action === 'rate') {
    if (value === undefined) throw new InvalidArgumentError('rate: say how many files a second');
    return { rate: numberFrom(0)(value) };
  }
  if (value !== undefined) throw new InvalidArgumentError(`${action} takes no value`);
  switch (action) {
    case 'pause':
      return { paused: true };
    case 'resume':
      return { paused: false };
    case 'cancel':
      return { cancelled: true };
    default:
      throw new InvalidArgumentError(`"${action}" is none of pause, resume, rate, cancel and undo`);
  }
}
