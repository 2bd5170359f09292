import { InvalidArgumentError, type Command } from 'commander';
import { numberFrom } from './number-flags.ts';
import { configuration, explained, REPEAT } from './configuration.ts';
import { bytes } from '../config/options/option.ts';
import type { Config } from '../config/config.ts';
import type { VerifyState } from '../move/verify.ts';
import { interruptible } from './interruptible.ts';
import { sizeAsText, endProgress, say, showProgress } from './terminal.ts';

interface VerifyFlags {
  readonly sample: number;
  readonly since?: Date;
  readonly rate: number;
  readonly byteRate: number;
  readonly restart?: true;
  readonly json?: true;
}

/** Adds `verify`. */
export function addVerifyCommand(root: Command): void {
  root
    .command('verify')
    .description(
      'read the bytes of all files in the store and compare them with their records; changes nothing',
    )
    .option('--sample <percent>', 'read only this percentage of the files', percent, 100)
    .option(
      '--since <time>',
      'only files whose record changed at this time or later, such as 2026-11-29T08:00Z',
      time,
    )
    .option('--rate <files>', 'maximum number of files read per second; 0 for no limit', numberFrom(0), 0)
    .option(
      '--byte-rate <size>',
      'maximum number of bytes read per second, such as 20MiB; 0 for no limit',
      size,
      0,
    )
    .option('--restart', 'start at the beginning, even if the last run was interrupted')
    .option('--json', 'print the result as JSON')
    .action(async (flags: VerifyFlags) => {
      const config = configuration({ ASSET_LOG_LEVEL: 'silent' });
      process.exitCode = await explained(config, () => runVerify(config, flags), REPEAT);
    });
}

async function runVerify(config: Config, flags: VerifyFlags): Promise<number> {
  const { recordStep, withStoreAndCatalog } = await import('../app/legacy.ts');
  const { verify } = await import('../move/verify.ts');
  return interruptible(new Error('interrupted: the next run goes on'), async (signal) => {
    const { resumedFrom, ...state } = await withStoreAndCatalog(config, (parts) =>
      verify(
        parts,
        {
          ...{ sample: flags.sample, since: flags.since, restart: flags.restart ?? false },
          ...(flags.rate > 0 && { filesPerSecond: flags.rate }),
          ...(flags.byteRate > 0 && { bytesPerSecond: flags.byteRate }),
          onProgress: (now) =>
            showProgress(`${now.checked} files, ${sizeAsText(now.bytes)}, ${now.damagedCount} damaged`),
        },
        signal,
      ),
    );
    endProgress();
    const { checked, damagedCount, unknown } = state;
    await recordStep(config, 'verify', { checked, damaged: damagedCount, unknown });
    process.stdout.write(flags.json ? `${JSON.stringify(toJson(state, resumedFrom))}\n` : asText(state));
    if (damagedCount + unknown > 0) say(`${damagedCount} files are damaged, of ${unknown} nothing is known`);
    return damagedCount + unknown > 0 ? 1 : 0;
  });
}

/** A verification for --json. */
export function toJson(state: VerifyState, resumedFrom = ''): object {
  const { checked, bytes, unknown, notMoved, damagedCount, damaged, startTime, endTime, sample, since } =
    state;
  return {
    ...{
      state: state.state,
      checked,
      bytes,
      resumed_from: resumedFrom,
      damaged,
      damaged_count: damagedCount,
    },
    ...{ unknown, not_moved: notMoved, sample, since, start_time: startTime, end_time: endTime },
  };
}

function asText({ checked, bytes, unknown, notMoved, damaged, damagedCount, endTime }: VerifyState): string {
  return [
    `verified ${checked} files, ${sizeAsText(bytes)}, at ${endTime}`,
    `  ${String(damagedCount).padStart(9)}  damaged`,
    ...damaged.map(({ id, reason }) => `             ${id}: ${reason}`),
    `  ${String(unknown).padStart(9)}  not known: the store did not answer`,
    `  ${String(notMoved).padStart(9)}  not moved yet`,
    '',
  ].join('\n');
}

function percent(text: string): number {
  const number = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || !(number > 0 && number <= 100)) {
    throw new InvalidArgumentError('must be a number above 0 and up to 100');
  }
  return number;
}

function size(text: string): number {
  const parsed = bytes(0, 2 ** 50).safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError('must be a number of bytes, or such as 20MiB');
  return parsed.data;
}

function time(text: string): Date {
  const date = new Date(text);
  // Date takes February 30 for March 2, and reads much that is no ISO 8601.
  const day = /^(\d{4}-\d{2}-\d{2})([T ][\d:.]+(Z|[+-]\d{2}:?\d{2})?)?$/i.exec(text)?.[1];
  const isDay = day !== undefined && new Date(`${day}T00:00Z`).toJSON()?.startsWith(day);
  if (Number.isNaN(date.getTime()) || !isDay)
    throw new InvalidArgumentError('must be a time such as 2026-11-29T08:00Z');
  return date;
}
