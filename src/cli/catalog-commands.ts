import { InvalidArgumentError, Option, type Command } from 'commander';
import { moveAction, perSecond } from './move-action.ts';

/** Adds `catalog move`. */
export function addCatalogCommands(root: Command): void {
  const move = root
    .command('catalog')
    .description('work on the file catalog, with the settings of a replica')
    .command('move')
    .description('copy the records into the catalog of ASSET_NEXT_CATALOG and keep it up to date');
  const load = async () => ({
    ...(await import('./catalog-move.ts')),
    ...(await import('./catalog-switch.ts')),
    ...(await import('./catalog-ends.ts')),
  });
  moveAction(
    move
      .command('start')
      .description('copy, or go on with it, and follow what has changed; mend what verify named')
      .option(
        '--rate <records>',
        'copy so many records a second at most; 0 for any number',
        perSecond('records'),
      )
      .option('--yes', 'do not ask'),
    async () => (await load()).runStart,
  );
  moveAction(
    move.command('status').description('print how far the move is, and what comes next'),
    async () => (await load()).runMoveStatus,
  );
  moveAction(
    move
      .command('verify')
      .description('compare both catalogs field by field')
      .option('--repair', 'copy again what differs, and compare again')
      .option(
        '--rate <records>',
        'compare so many records a second at most; 0 for any number',
        perSecond('records'),
      )
      .option('--restart', 'begin at the beginning, also where the last run was interrupted'),
    async () => (await load()).runMoveVerify,
  );
  moveAction(
    move
      .command('switch')
      .description('let the target serve; writes of the service wait meanwhile')
      .addOption(maxPause())
      .option('--yes', 'do not ask'),
    async () => (await load()).runSwitch,
  );
  moveAction(
    move
      .command('reverse')
      .description('let the source serve again')
      .addOption(maxPause())
      .option('--yes', 'do not ask'),
    async () => (await load()).runReverse,
  );
  moveAction(
    move
      .command('complete')
      .description('end the move after a switch; there is no way back afterwards but another move')
      .option('--without-source', 'the old catalog is gone for good; what only it had is lost')
      .option('--yes', 'do not ask'),
    async () => (await load()).runComplete,
  );
  moveAction(
    move
      .command('views')
      .description('print the SQL of a view in PostgreSQL with the columns of the collection of PocketBase')
      .addOption(new Option('--schema <name>', 'the schema of the view').default('product')),
    async () => (await load()).runViews,
  );
  moveAction(
    move
      .command('cancel')
      .description('end the move; what was copied stays where it is')
      .option('--without-target', 'the target is gone for good')
      .option('--yes', 'do not ask'),
    async () => (await load()).runCancel,
  );
}

function maxPause(): Option {
  const text = 'how long writes may wait; a longer pause is given up and tried again';
  return new Option('--max-pause <seconds>', text).argParser(seconds).default(2);
}

function seconds(text: string): number {
  const value = Number(text);
  if (!/^\d{1,3}(\.\d{1,3})?$/.test(text) || value < 0.1 || value > 60) {
    throw new InvalidArgumentError('must be 0.1 to 60 seconds');
  }
  return value;
}
