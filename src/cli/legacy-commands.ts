import { InvalidArgumentError, type Command } from 'commander';
import { configuration, explained, REPEAT } from './configuration.ts';
import { numberFrom } from './number-flags.ts';
import type { AuditFlags } from './legacy-audit.ts';
import type { BackfillFlags } from './legacy-backfill.ts';
import { addLockCommands } from './legacy-lock-commands.ts';

const MAX_WORKERS = 256;

/** Adds the commands that move the files of an old system; docs/migration.md describes their order. */
export function addLegacyCommands(root: Command): void {
  const legacy = root.command('legacy').description('move the files of an old system into the service');

  addStatus(legacy);
  addLockCommands(legacy);

  legacy
    .command('audit')
    .description('compare the records and objects of the old system; changes nothing')
    .option('--json', 'print the result as JSON')
    .option('--report <file>', 'write one JSON line for each file to this file')
    .option('--restart', 'start at the beginning, even if the last run was interrupted')
    .option('--full', 'read all bytes, and compare them with the checksums of objects and records')
    .option(
      '--rate <records>',
      'maximum number of records checked per second; 0 for no limit',
      numberFrom(0),
      0,
    )
    .action(async (flags: AuditFlags) => {
      const config = quietConfiguration();
      const { runAudit } = await import('./legacy-audit.ts');
      process.exitCode = await explained(config, () => runAudit(config, flags), REPEAT);
    });

  legacy
    .command('backfill')
    .description('copy the bytes of old files into the store of the service; the originals stay')
    .argument(
      '[action]',
      'control a backfill that runs on any machine: pause, resume, rate or cancel; or undo the last one: undo',
    )
    .argument('[value]', 'with rate: maximum number of files per second; 0 for no limit')
    .option('--dry-run', 'print the result for every file without writing anything')
    .option('--rate <files>', 'maximum number of files per second; 0 for no limit', numberFrom(0))
    .option(
      '--workers <number>',
      'maximum number of files copied concurrently, up to 256; begins with one, adds more while they slow nobody down',
      workers,
      8,
    )
    .option('--report <file>', 'append one JSON line for each file that could not be moved to this file')
    .option('--yes', 'do not ask for confirmation; required without a terminal, except with --dry-run')
    .option('--json', 'print the result as JSON')
    .action(async (action: string | undefined, value: string | undefined, flags: BackfillFlags) => {
      const isUndo = action === 'undo' && value === undefined;
      const asked = action === undefined || isUndo ? undefined : controlOf(action, value);
      const config = quietConfiguration();
      const { runBackfill, runControl, runUndo } = await import('./legacy-backfill.ts');
      const work = () =>
        asked
          ? runControl(config, asked, {
              ...{ text: `asked for: ${action} ${value ?? ''}`.trim(), json: flags.json },
            })
          : isUndo
            ? runUndo(config, flags)
            : runBackfill(config, flags);
      process.exitCode = await explained(config, work, REPEAT);
    });

  legacy
    .command('acknowledge')
    .description('record that the damage of a file is known, so that the file does not block the next steps')
    .argument('<id>', 'id of the file')
    .requiredOption('--reason <text>', 'why it may stay as it is')
    .option('--yes', 'do not ask for confirmation; required without a terminal')
    .option('--json', 'print the result as JSON')
    .action(async (id: string, flags: { reason: string; yes?: true; json?: true }) => {
      const config = quietConfiguration();
      const { runAcknowledge } = await import('./legacy-backfill.ts');
      process.exitCode = await explained(config, () => runAcknowledge(config, id, flags), REPEAT);
    });
}

/** Adds `legacy status`, which reads only the catalog. */
function addStatus(legacy: Command): void {
  legacy
    .command('status')
    .description('print the status of the move, who still uses old paths, and the next commands')
    .option('--json', 'print the result as JSON')
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
function workers(text: string): number {
  const number = numberFrom(1)(text);
  if (Number.isInteger(number) && number <= MAX_WORKERS) return number;
  throw new InvalidArgumentError(`must be a whole number from 1 to ${MAX_WORKERS}`);
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
