import type { Logger } from 'pino';
import type { CatalogCall } from '../catalog/file-catalog.ts';
import type { LegacyRecords } from '../catalog/legacy-records.ts';

const STATE = 'legacy-serving';

/** When the service first served old files, as ISO 8601; undefined if it never did. */
export async function servingSince(legacy: LegacyRecords, call?: CatalogCall): Promise<string | undefined> {
  const state = (await legacy.getState(STATE, call)) as { since?: string } | undefined;
  return state?.since;
}

/**
 * Stores the current time as the start of serving old files, unless one is stored. Never rejects; the next start tries
 * again.
 */
export async function noteServing(legacy: LegacyRecords, log: Logger): Promise<void> {
  try {
    if ((await servingSince(legacy)) !== undefined) return;
    await legacy.putState(STATE, { since: new Date().toISOString() });
  } catch (error) {
    log.warn({ err: error }, 'the time since which old files are served could not be written down');
  }
}
