import type { FileCatalog } from '../catalog/file-catalog.ts';
import { isAssetError } from '../errors/asset-error.ts';

/** Time after which a verification says too little about a system that is in use, in milliseconds. */
const STALE_MS = 3_600_000;

/** True if a verification says too little: it is not done, or ended long ago. */
export function isStale({ state, endTime }: { readonly state: string; readonly endTime: string }): boolean {
  return state !== 'done' || Date.now() - Date.parse(endTime) > STALE_MS;
}

/**
 * Age of the oldest change after a position in the change log, in milliseconds: 0 if there is none, undefined if the log
 * was cut after the position.
 */
export async function lagAfter(
  { changes: log }: Pick<FileCatalog, 'changes'>,
  position: string,
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  try {
    const { changes } = await log.read(position, 1, { ...(signal && { signal }) });
    const [oldest] = changes;
    return oldest === undefined ? 0 : Math.max(0, Date.now() - oldest.time.getTime());
  } catch (error) {
    if (isAssetError(error, 'CURSOR_EXPIRED')) return undefined;
    throw error;
  }
}
