import type { Command } from 'commander';
import { configuration, explained } from './configuration.ts';
import { numberFrom } from './deep-sweep.ts';
import type { LockFlags, UnlockFlags } from './legacy-lock.ts';
import type { PurgeFlags } from './legacy-purge.ts';
import type { ViewFlags } from './legacy-views.ts';

/** Adds the commands that close an old system and remove what it leaves. */
export function addLockCommands(legacy: Command): void {
  legacy
    .command('lock')
    .description('let nobody but the service reach the files of the old system')
    .option('--shadow', 'say what would be refused, and to whom; change nothing')
    .option('--enforce', 'lock, and prove it by trying')
    .option('--max-age <days>', 'greatest age of the verification', numberFrom(0), 7)
    .option(
      '--log-days <days>',
      'with --shadow: how far back the log of PocketBase is read',
      numberFrom(0),
      30,
    )
    .option('--access-log <file>', 'with --shadow: S3 server access log of the old bucket')
    .option('--user-token <token>', 'token of an ordinary user of PocketBase, to try with')
    .option('--worker-key <id>', 'access key of an old program, which must be refused to write to the bucket')
    .option('--worker-secret <secret>', 'its secret key')
    .option('--journal <file>', 'keep a copy of what is changed in this new file')
    .option('--yes', 'ask nothing; required without a terminal, except with --shadow')
    .option('--json', 'print the result as JSON')
    .action(async (flags: LockFlags) => {
      const config = configuration({ ASSET_LOG_LEVEL: 'silent' });
      const { runLock } = await import('./legacy-lock.ts');
      process.exitCode = await explained(config, () => runLock(config, flags));
    });

  legacy
    .command('unlock')
    .description('undo a lock: restore exactly what was there before')
    .option('--journal <file>', 'the copy that "legacy lock --journal" kept, if the catalog has no journal')
    .option('--yes', 'accepted for scripts: nothing is asked')
    .option('--json', 'print the result as JSON')
    .action(async (flags: UnlockFlags) => {
      const config = configuration({ ASSET_LOG_LEVEL: 'silent' });
      const { runUnlock } = await import('./legacy-lock.ts');
      process.exitCode = await explained(config, () => runUnlock(config, flags));
    });

  legacy
    .command('purge')
    .description('delete the originals of moved files from the old bucket, and thumbs of them')
    .option('--dry-run', 'say what would become of every object, and delete nothing')
    .option('--full', 'read every copy again before its original is deleted')
    .option('--max-purge <percent>', 'greatest share of the listed objects to delete', numberFrom(0), 10)
    .option('--max-age <days>', 'greatest age of the verification', numberFrom(0), 7)
    .option(
      '--rate <objects>',
      'greatest number of objects deleted a second; 0 for any number',
      numberFrom(0),
      0,
    )
    .option('--report <file>', 'add one JSON line for each object to this file')
    .option('--yes', 'ask nothing; required without a terminal, except with --dry-run')
    .option('--json', 'print the result as JSON')
    .action(async (flags: PurgeFlags) => {
      const config = configuration({ ASSET_LOG_LEVEL: 'silent' });
      const { runPurge } = await import('./legacy-purge.ts');
      process.exitCode = await explained(config, () => runPurge(config, flags));
    });

  legacy
    .command('views')
    .description('keep a view of PocketBase with rebuilt links, so that the link field can be dropped')
    .argument('<action>', 'create, status, drop-link, restore-link or drop')
    .option('--link-prefix <text>', 'with create: text before the key, such as the address of a handler', '')
    .option('--quiet <days>', 'with drop: days for which nobody read the view', numberFrom(0), 7)
    .option('--yes', 'ask nothing; required without a terminal with drop-link and drop')
    .option('--json', 'print the result as JSON')
    .action(async (action: string, flags: ViewFlags) => {
      const config = configuration({ ASSET_LOG_LEVEL: 'silent' });
      const { runViews } = await import('./legacy-views.ts');
      process.exitCode = await explained(config, () => runViews(config, action, flags));
    });
}
