import type { Config } from '../config/config.ts';
import type { Found } from '../files/sweep/deep.ts';
import { interruptible } from './interruptible.ts';

/** Flags of `sweep --deep`. */
export interface DeepFlags {
  readonly dryRun?: true;
  readonly rate: number;
  /** Seconds. */
  readonly grace?: number;
  readonly after?: string;
}

/**
 * Runs `sweep --deep`: prints each item that it finds or removes and, if it is interrupted, where another run can
 * continue. Resolves with what could not be removed.
 */
export async function runDeepSweep(config: Config, flags: DeepFlags) {
  const { deepSweepOnce } = await import('../app/sweep.ts');
  const dryRun = flags.dryRun ?? false;
  return interruptible(new Error('interrupted'), async (signal) => {
    let done = flags.after;
    try {
      const report = await deepSweepOnce(
        config,
        {
          dryRun,
          graceMs: flags.grace === undefined ? undefined : flags.grace * 1_000,
          ratePerSecond: flags.rate,
          ...(flags.after !== undefined && { after: flags.after }),
          onFound: (found) =>
            print(dryRun ? `would be removed: ${lineOf(found)}` : `found: ${lineOf(found)}`),
          onRemoved: (found) => print(`removed: ${lineOf(found)}`),
          onDone: (key) => (done = key),
        },
        signal,
      );
      const { listed, found, removed, failures } = report;
      const ends = dryRun
        ? 'nothing was removed'
        : `${removed} removed, ${failures.length} could not be removed`;
      print(`checked ${listed}, found ${found} that the catalog does not know: ${ends}`);
      return failures;
    } catch (error) {
      const from = done === undefined ? 'run it again from the start' : `continue with --after ${done}`;
      process.stderr.write(`asset-service: the deep sweep is not finished: ${from}\n`);
      throw error;
    }
  });
}

function lineOf({ kind, key, sizeBytes, modifyTime }: Found): string {
  const size = kind === 'multipart' ? 'unfinished' : `${sizeBytes} bytes`;
  return `${key} (${size}, ${modifyTime.toISOString()})`;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
