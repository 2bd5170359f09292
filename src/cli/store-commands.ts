import { InvalidArgumentError, type Command } from 'commander';
import { moveAction, perSecond } from './move-action.ts';

/** Adds `store move`. */
export function addStoreCommands(root: Command): void {
  const move = root
    .command('store')
    .description('work on the blob store, with the settings of a replica')
    .command('move')
    .description('move the bytes of all files to the store of ASSET_NEXT_STORE, while the service runs');
  const load = () => import('./store-move.ts');
  const step = (name: string, description: string) => move.command(name).description(description);
  const changing = (name: string, description: string) =>
    step(name, description).option('--yes', 'do not ask');
  moveAction(
    changing('start', 'copy, or go on with it, and follow what has changed; mend what verify named').option(
      '--rate <files>',
      'copy so many files a second at most; 0 for any number',
      perSecond('files'),
    ),
    async () => (await load()).runStart,
  );
  moveAction(
    step('status', 'print how far the move is, and what comes next'),
    async () => (await load()).runStatus,
  );
  moveAction(
    step('verify', 'read every file in the new store and compare it with its record')
      .option('--repair', 'copy again what differs, and compare again')
      .option('--restart', 'begin at the beginning, also where the last run was interrupted')
      .option('--rate <files>', 'read so many files a second at most; 0 for any number', perSecond('files')),
    async () => (await load()).runVerify,
  );
  moveAction(
    changing('switch', 'store new files in the new store; prove first that it has all, and the way back'),
    async () => (await load()).runSwitch,
  );
  moveAction(
    changing('reverse', 'copy back what is new, and store new files in the old store again'),
    async () => (await load()).runReverse,
  );
  moveAction(
    changing('complete', 'end the move: replicas then need the settings of the new store only'),
    async () => (await load()).runComplete,
  );
  moveAction(
    changing('retire', 'delete in the old store what is proven to be in the new one')
      .option(
        '--max-retire <percent>',
        'refuse if more of the blobs in the old store belong to no file',
        percent,
        10,
      )
      .option(
        '--after-urls',
        'refuse while signed URLs of the old store may be in use; without it they end at once',
      )
      .option(
        '--rate <files>',
        'delete so many files a second at most; 0 for any number',
        perSecond('files'),
      ),
    async () => (await load()).runRetire,
  );
  moveAction(
    changing('cancel', 'end the move before it is switched; what was copied stays where it is'),
    async () => (await load()).runCancel,
  );
}

function percent(text: string): number {
  const value = Number(text);
  if (!/^\d{1,3}(\.\d+)?$/.test(text) || value > 100)
    throw new InvalidArgumentError('must be a number of percent, 0 to 100');
  return value;
}
