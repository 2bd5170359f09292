import { InvalidArgumentError, type Command } from 'commander';
import { backupLocation, BackupLocationError, type BackupLocation } from '../config/backup.ts';
import type { Config } from '../config/config.ts';
import type { BackupReport } from '../move/backup/backup.ts';
import type { Pruned } from '../move/backup/prune.ts';
import type { RestoreState } from '../move/backup/restore.ts';
import { configuration, explained } from './configuration.ts';
import { interruptible } from './interruptible.ts';
import { wholeFrom } from './number-flags.ts';
import { endProgress, say, showProgress, sizeAsText } from './terminal.ts';

const WHERE = 'a directory, or s3://BUCKET/PREFIX (ASSET_BACKUP_S3_*)';

interface BackupFlags {
  readonly full?: true;
  readonly keep?: number;
  readonly json?: true;
}

interface RestoreFlags {
  readonly backup?: string;
  readonly json?: true;
}

/** Adds `backup` and `restore`. */
export function addBackupCommands(root: Command): void {
  root
    .command('backup')
    .description('copy the records and bytes of all files, as one state, to a place for backups')
    .argument('<where>', WHERE)
    .option('--full', 'read all records, not only what changed since the last backup')
    .option(
      '--keep <count>',
      'then remove all but this many of the latest backups, and what none of them needs',
      wholeFrom(1),
    )
    .option('--json', 'print the result as JSON')
    .action(async (where: string, flags: BackupFlags) => {
      const config = configuration({ ASSET_LOG_LEVEL: 'silent' });
      process.exitCode = await explained(config, () => runBackup(config, where, flags));
    });

  root
    .command('restore')
    .description('write the files of a backup into an empty store and an empty catalog, and prove each')
    .argument('<where>', WHERE)
    .option('--backup <name>', 'name of the backup; by default the last one')
    .option('--json', 'print the result as JSON')
    .action(async (where: string, flags: RestoreFlags) => {
      const config = configuration({ ASSET_LOG_LEVEL: 'silent' });
      process.exitCode = await explained(config, () => runRestore(config, where, flags));
    });
}

async function runBackup(config: Config, where: string, flags: BackupFlags): Promise<number> {
  const location = locationOf(where, config);
  const { backupTo } = await import('../app/backup.ts');
  const { recordStep } = await import('../app/legacy.ts');
  const report = await resumable((signal) =>
    backupTo(
      config,
      location,
      {
        full: flags.full ?? false,
        onWait: sayWaiting,
        onProgress: ({ phase, records, copied, copiedBytes }) =>
          showProgress(`${phase}: ${records} records, ${copied} files copied, ${sizeAsText(copiedBytes)}`),
      },
      signal,
    ),
  );
  const { manifest } = report;
  const { files, damagedCount } = manifest;
  await recordStep(config, 'backup', { backup: manifest.name, files, damaged: damagedCount });
  // While files are damaged an older backup may be the only one that has their bytes.
  const pruned =
    flags.keep === undefined || damagedCount > 0 ? undefined : await prune(config, location, flags.keep);
  const json = { ...backupJson(report), ...(pruned && prunedJson(pruned)) };
  const text = `${backupText(report)}${pruned ? prunedText(pruned) : ''}`;
  process.stdout.write(flags.json ? `${JSON.stringify(json)}\n` : text);
  if (flags.keep !== undefined && pruned === undefined)
    say('no backup was removed: an older one may have the bytes of the damaged files');
  if (damagedCount > 0) say(`the bytes of ${damagedCount} files are damaged, and not in the backup`);
  return damagedCount > 0 ? 1 : 0;
}

/** Removes old backups, after a new one was made. */
async function prune(config: Config, location: BackupLocation, keep: number): Promise<Pruned> {
  const { pruneAt } = await import('../app/backup.ts');
  const { recordStep } = await import('../app/legacy.ts');
  const pruned = await resumable((signal) => pruneAt(config, location, { keep, onWait: sayWaiting }, signal));
  const { removed, pages, blobs, blobBytes } = pruned;
  await recordStep(config, 'backup.removed', { backups: removed.length, pages, blobs, bytes: blobBytes });
  return pruned;
}

async function runRestore(config: Config, where: string, flags: RestoreFlags): Promise<number> {
  const location = locationOf(where, config);
  const { restoreFrom } = await import('../app/backup.ts');
  const { recordStep } = await import('../app/legacy.ts');
  const { resumedFrom, ...state } = await resumable((signal) =>
    restoreFrom(
      config,
      location,
      {
        backup: flags.backup,
        onWait: sayWaiting,
        onProgress: ({ records, provenBytes }, total) =>
          showProgress(`${records} of ${total} files, ${sizeAsText(provenBytes)}`),
      },
      signal,
    ),
  );
  const { backup, records, damagedCount } = state;
  await recordStep(config, 'restore', { backup, files: records, damaged: damagedCount });
  process.stdout.write(
    flags.json ? `${JSON.stringify(restoreJson(state, resumedFrom))}\n` : restoreText(state),
  );
  if (state.headersLost)
    say(
      `the store keeps no headers: ${state.headersLost} moved old files lost theirs, such as a Content-Encoding`,
    );
  if (damagedCount > 0) say(`the backup does not have the bytes of ${damagedCount} files`);
  return damagedCount > 0 ? 1 : 0;
}

function locationOf(where: string, config: Config): BackupLocation {
  try {
    return backupLocation(where, config);
  } catch (error) {
    throw error instanceof BackupLocationError ? new InvalidArgumentError(error.message) : error;
  }
}

function sayWaiting(): void {
  say(
    'waiting: a sweep purges files, or another backup or restore runs or was killed less than a minute ago',
  );
}

/** Runs work with a progress line that SIGINT and SIGTERM end; the next run continues it. */
function resumable<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const reason = Object.assign(new Error('interrupted: the next run continues'), { reason: 'INTERRUPTED' });
  return interruptible(reason, work).finally(endProgress);
}

/** What programs read of a backup. */
function backupJson({ manifest, copied, copiedBytes, resumedFrom, whyFull }: BackupReport): object {
  return {
    ...{ backup: manifest.name, kind: manifest.kind, base: manifest.base, cursor: manifest.cursor },
    ...{ files: manifest.files, bytes: manifest.bytes, deleted: manifest.deleted },
    ...{ not_moved: manifest.notMoved, damaged_count: manifest.damagedCount, damaged: manifest.damaged },
    ...{ copied, copied_bytes: copiedBytes, resumed_from: resumedFrom, why_full: whyFull },
    ...{ start_time: manifest.startTime, end_time: manifest.endTime },
  };
}

function backupText({ manifest, copied, copiedBytes, resumedFrom, whyFull }: BackupReport): string {
  const { name, kind, files, bytes, deleted, notMoved, damaged, damagedCount } = manifest;
  return [
    `${kind} backup ${name}: ${files} files, ${sizeAsText(bytes)}`,
    ...(whyFull === '' ? [] : [`  full, because ${whyFull}`]),
    ...(resumedFrom === '' ? [] : [`  continued: it was begun at ${resumedFrom}`]),
    `  ${String(copied).padStart(9)}  copied now, ${sizeAsText(copiedBytes)}`,
    `  ${String(deleted).padStart(9)}  deleted, not purged`,
    `  ${String(notMoved).padStart(9)}  without bytes: they are in the old bucket`,
    `  ${String(damagedCount).padStart(9)}  damaged, without bytes`,
    ...damaged.map(({ id, reason }) => `             ${id}: ${reason}`),
    '',
  ].join('\n');
}

function prunedJson({ removed, pages, blobs, blobBytes }: Pruned): object {
  return { removed, removed_pages: pages, removed_blobs: blobs, removed_bytes: blobBytes };
}

function prunedText({ removed, blobs, blobBytes }: Pruned): string {
  return `  ${String(removed.length).padStart(9)}  old backups removed, with ${blobs} blobs, ${sizeAsText(blobBytes)}\n`;
}

/** What programs read of a restore. */
function restoreJson(state: RestoreState, resumedFrom: string): object {
  return {
    ...{ state: state.state, backup: state.backup, files: state.records, resumed_from: resumedFrom },
    ...{ proven: state.proven, proven_bytes: state.provenBytes, not_moved: state.notMoved },
    ...{ headers_lost: state.headersLost ?? 0 },
    ...{ damaged_count: state.damagedCount, damaged: state.damaged },
    ...{ start_time: state.startTime, end_time: state.endTime },
  };
}

function restoreText(state: RestoreState): string {
  return [
    `restored ${state.backup}: ${state.records} files, at ${state.endTime}`,
    `  ${String(state.proven).padStart(9)}  proven: their bytes were read back, ${sizeAsText(state.provenBytes)}`,
    `  ${String(state.notMoved).padStart(9)}  without bytes: they are in the old bucket`,
    `  ${String(state.damagedCount).padStart(9)}  without bytes: the backup does not have them`,
    ...state.damaged.map(({ id, reason }) => `             ${id}: ${reason}`),
    '',
  ].join('\n');
}
