import type { Command } from 'commander';
import { explainFailure } from '../config/explain.ts';
import { checkConfig } from '../config/config.ts';
import { failureCount, type SweepReport } from '../files/sweep/run.ts';
import { runDeepSweep, type DeepFlags } from './deep-sweep.ts';
import { numberFrom } from './number-flags.ts';
import { OPTIONS } from '../config/options/options.ts';
import { configuration, explained } from './configuration.ts';
import { serve } from './serve-command.ts';
import { optionsAsMarkdown, optionsAsText } from './options-table.ts';

/** Adds the commands that run and administer the service. They load the service when they run. */
export function addServiceCommands(root: Command): void {
  root.command('serve').description('run the service until SIGTERM or SIGINT').action(serve);

  root
    .command('migrate')
    .description('migrate the schema of the catalog: add what is missing')
    .option('--dry-run', 'print what would change, without changing anything')
    .action(async (options: { dryRun?: true }) => {
      const config = configuration();
      const { migrateCatalog, planMigration } = await import('../app/catalog.ts');
      const lines = await explained(config, () =>
        options.dryRun ? planMigration(config) : migrateCatalog(config),
      );
      print(lines.length > 0 ? lines.join('\n') : 'the catalog is up to date');
    });

  root
    .command('sweep')
    .description('sweep once and print what was removed; the service does this at an interval')
    .option('--dry-run', 'print what would be removed, up to 1,000 items of each kind, and remove nothing')
    .option(
      '--deep',
      'instead check all blobs of the service in the store, and remove those that the catalog does not know',
    )
    .option('--rate <number>', 'with --deep: blobs checked per second', numberFrom(1), 500)
    .option(
      '--grace <seconds>',
      'with --deep: minimum age of a blob, and time between the two checks of the catalog; default ASSET_RESERVATION_TTL',
      numberFrom(0),
    )
    .option('--after <key>', 'with --deep: continue after this key, where another run ended')
    .action(async (options: DeepFlags & { deep?: true }) => {
      const dryRun = options.dryRun ?? false;
      const config = configuration({ ASSET_LOG_LEVEL: 'silent' });
      if (options.deep) {
        const failures = await explained(config, () => runDeepSweep(config, options));
        for (const { id, error } of failures) {
          process.stderr.write(`asset-service: ${id}: ${explainFailure(error, config)}\n`);
        }
        if (failures.length > 0) process.exitCode = 1;
        return;
      }
      const { sweepOnce } = await import('../app/sweep.ts');
      const report = await explained(config, () => sweepOnce(config, { dryRun }));
      if (!report) {
        process.stderr.write('asset-service: another process is sweeping; nothing was done\n');
        process.exitCode = 1;
        return;
      }
      print(reportAsText(report, dryRun ? 'would be ' : ''));
      for (const { kind, id, error } of report.failures) {
        process.stderr.write(`asset-service: ${kind} ${id}: ${explainFailure(error, config)}\n`);
      }
      if (failureCount(report) > 0) process.exitCode = 1;
    });

  root
    .command('config')
    .description('print every setting with its default and meaning')
    .option('--markdown', 'as Markdown, for docs/configuration.md')
    .option('--check', 'instead check the settings and the catalog, and print mistakes only')
    .option('--offline', 'with --check: check the environment only; connect to no server')
    .action(async (options: { markdown?: true; check?: true; offline?: true }) => {
      if (options.check) return check({ offline: options.offline ?? false });
      print(options.markdown ? optionsAsMarkdown(OPTIONS) : optionsAsText(OPTIONS));
    });
}

/** Prints mistakes in the settings and in the catalog's setup; sets the exit code to 1 if there are any. */
async function check({ offline }: { readonly offline: boolean }): Promise<void> {
  const config = checkConfig(process.env);
  if (offline) return;
  const { checkVariants } = await import('../app/variants.ts');
  await checkVariants(config);
  const { checkCatalog } = await import('../app/catalog.ts');
  for (const { level, text } of await explained(config, () => checkCatalog(config))) {
    process.stderr.write(`${level === 'mistake' ? 'error' : level}: ${text}\n`);
    if (level !== 'warning') process.exitCode = 1;
  }
  if (config.legacy === undefined) return;
  const { checkLegacy } = await import('../app/legacy.ts');
  await explained(config, () => checkLegacy(config));
}

function reportAsText(report: SweepReport, mood: string): string {
  const { purged, uploads, reservations, cleaned, trimmed, failed } = report;
  const left = `${failed.file} files, ${failed.upload} uploads, ${failed.reservation} reservations, ${failed.id} ids`;
  return [
    `deleted files whose retention is over: ${purged} ${mood}purged`,
    `uploads that were given up or expired: ${uploads} ${mood}removed`,
    `reservations that are over: ${reservations} ${mood}removed, with ${cleaned} ids that are no file`,
    `changes whose retention is over: ${trimmed} ${mood}removed from the log`,
    ...(failureCount(report) > 0 ? [`could not be removed: ${left}`] : []),
  ].join('\n');
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
