import type { Command } from 'commander';
import { configuration, explained } from './configuration.ts';
import { print, printable, say } from './terminal.ts';

/** Adds the commands about variants of images. They work on the store, whether a service runs or not. */
export function addVariantCommands(root: Command): void {
  const variants = root.command('variants').description('variants of images that could not be made');

  variants
    .command('failures')
    .description('list the variants that could not be made; they are not tried again')
    .option('--json', 'one line of JSON each')
    .action(async (flags: { json?: true }) => {
      const config = configuration({ ASSET_LOG_LEVEL: 'silent' });
      const { withStoreAndCatalog } = await import('../app/legacy.ts');
      const { listFailures } = await import('../variants/failures.ts');
      await explained(config, () =>
        withStoreAndCatalog(config, async ({ store }) => {
          for await (const { key: _key, ...failure } of listFailures(store)) {
            const { fileId, problem, time, format, detail } = failure;
            const text = `${time}  ${fileId}  ${problem}  ${format}  ${printable(detail)}`;
            if (!(await print(flags.json ? JSON.stringify(failure) : text))) return;
          }
        }),
      );
    });

  variants
    .command('retry')
    .description('forget failures, so that the next request tries to make the variant again')
    .argument('[ids...]', 'ids of the files')
    .option('--all', 'those of all files')
    .action(async (ids: string[], flags: { all?: true }, command: Command) => {
      if ((ids.length === 0) === (flags.all === undefined))
        command.error('error: name the files, or all of them with --all');
      const config = configuration({ ASSET_LOG_LEVEL: 'silent' });
      const { withStoreAndCatalog } = await import('../app/legacy.ts');
      const { forgetFailures } = await import('../variants/failures.ts');
      const count = await explained(config, () =>
        withStoreAndCatalog(config, ({ store }) => forgetFailures(store, flags.all ? undefined : ids)),
      );
      say(`${count} failures were forgotten`);
    });
}
