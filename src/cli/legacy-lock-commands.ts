import { InvalidArgumentError, type Command } from 'commander';
import { configuration, explained, REPEAT } from './configuration.ts';
import { numberFrom } from './number-flags.ts';
import type { LockFlags, UnlockFlags } from './legacy-lock.ts';
import type { PurgeFlags } from './legacy-purge.ts';
import type { ViewFlags } from './legacy-views.ts';

const WITHOUT =
  'the PocketBase that was the catalog before a move, if it is switched off for good; refused while it answers';

/** Adds the commands that close an old system and remove what it leaves. */
export function addLockCommands(legacy: Command): void {
  legacy
    .command('lock')
    .description('give only the service access to the files of the old system')
    .option('--shadow', 'print what would be refused, and to whom; changes nothing')
    .option('--enforce', 'lock, and verify it by trying to get in')
    .option('--max-age <days>', 'maximum age of the verification', numberFrom(0), 7)
    .option(
      '--log-days <days>',
      'with --shadow: number of days for which the log of PocketBase is read',
      numberFrom(0),
      30,
    )
    .option('--access-log <file>', 'with --shadow: S3 server access log of the old bucket')
    .option('--user-token <token>', 'token of an ordinary user of PocketBase, for the attempts to get in')
    .option('--worker-key <id>', 'access key of an old program that must not be able to write to the bucket')
    .option('--worker-secret <secret>', 'secret key of --worker-key')
    .option('--journal <file>', 'save a copy of the journal, which unlock needs, in this new file')
    .option('--without-pocketbase <url>', WITHOUT, pocketBaseUrl)
    .option('--yes', 'do not ask for confirmation; required without a terminal, except with --shadow')
    .option('--json', 'print the result as JSON')
    .action(async (flags: LockFlags) => {
      const config = configuration({ ASSET_LOG_LEVEL: 'silent' });
      const { runLock } = await import('./legacy-lock.ts');
      process.exitCode = await explained(config, () => runLock(config, flags), REPEAT);
    });

  legacy
    .command('unlock')
    .description('undo a lock: restore the settings that it changed')
    .option(
      '--journal <file>',
      'the copy that "legacy lock --journal" saved; used if the catalog has no journal',
    )
    .option('--without-pocketbase <url>', WITHOUT, pocketBaseUrl)
    .option('--json', 'print the result as JSON')
    .action(async (flags: UnlockFlags) => {
      const config = configuration({ ASSET_LOG_LEVEL: 'silent' });
      const { runUnlock } = await import('./legacy-lock.ts');
      process.exitCode = await explained(config, () => runUnlock(config, flags), REPEAT);
    });

  legacy
    .command('purge')
    .description('delete the originals of moved files, and their thumbnails, from the old bucket')
    .option('--dry-run', 'print the result for every object without deleting anything')
    .option('--full', 'read every copy again before its original is deleted')
    .option('--max-purge <percent>', 'maximum percentage of the listed objects to delete', numberFrom(0), 10)
    .option('--max-age <days>', 'maximum age of the verification', numberFrom(0), 7)
    .option(
      '--rate <objects>',
      'maximum number of objects deleted per second; 0 for no limit',
      numberFrom(0),
      0,
    )
    .option('--report <file>', 'append one JSON line for each object to this file')
    .option('--yes', 'do not ask for confirmation; required without a terminal, except with --dry-run')
    .option('--json', 'print the result as JSON')
    .action(async (flags: PurgeFlags) => {
      const config = configuration({ ASSET_LOG_LEVEL: 'silent' });
      const { runPurge } = await import('./legacy-purge.ts');
      process.exitCode = await explained(config, () => runPurge(config, flags), REPEAT);
    });

  legacy
    .command('views')
    .description('keep a view of PocketBase with rebuilt links, so that the link field can be dropped')
    .argument('<action>', 'create, status, drop-link, restore-link or drop')
    .option(
      '--link-prefix <text>',
      'with create: text before the key in each link, such as the address of a handler',
      '',
    )
    .option(
      '--quiet <days>',
      'with drop: number of days for which nobody may have read the view',
      numberFrom(0),
      7,
    )
    .option('--yes', 'do not ask for confirmation; required without a terminal with drop-link and drop')
    .option('--json', 'print the result as JSON')
    .action(async (action: string, flags: ViewFlags) => {
      const config = configuration({ ASSET_LOG_LEVEL: 'silent' });
      const { runViews } = await import('./legacy-views.ts');
      process.exitCode = await explained(config, () => runViews(config, action, flags), REPEAT);
    });
}

function pocketBaseUrl(text: string): string {
  const url = URL.parse(text);
  const isPlain = url !== null && /^https?:$/.test(url.protocol) && url.username + url.password === '';
  if (!isPlain) throw new InvalidArgumentError('must be an http or https URL without a password');
  return text;
}
