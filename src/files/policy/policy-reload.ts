import { readFile } from 'node:fs/promises';
import { unwatchFile, watchFile } from 'node:fs';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { UsagePolicies } from './usage-policies.ts';

/** Polling interval in milliseconds. Polls by path, so that a replaced file is noticed. */
const INTERVAL_MS = 2_000;

/**
 * Reads a policy file again when it changes. If it is invalid or missing, only logs that.
 *
 * @returns a function that stops it
 */
export function reloadPolicies(path: string, policies: UsagePolicies, log: Logger): () => void {
  const reload = async () => {
    try {
      policies.replace(JSON.parse(await readFile(path, 'utf8')));
      log.info({ path }, 'goes by the new usage policies');
    } catch (error) {
      const mistakes = error instanceof z.ZodError ? { mistakes: z.prettifyError(error) } : { err: error };
      log.error(
        { path, ...mistakes },
        'the usage policies changed and cannot be used: goes on with those before',
      );
    }
  };
  const changed = () => void reload();
  watchFile(path, { interval: INTERVAL_MS, persistent: false }, changed);
  return () => unwatchFile(path, changed);
}
