import { MoveRefused } from '../refused.ts';
import type { BegunMove } from './begin.ts';
import { STORE_MOVE, type StoreMove, type StoreProgress } from './progress.ts';
import type { StoreRow } from './row.ts';

/**
 * Notes when the last replica obeyed the switch and the target got what came meanwhile: from then on nobody hands out a URL
 * of the source, except of a file that is copied later.
 */
export async function noteSwitched(
  { catalog }: Pick<StoreMove, 'catalog'>,
  { stored, progress, source }: BegunMove,
  signal: AbortSignal,
): Promise<void> {
  const { active, switchTime } = stored.row;
  if (active !== 'target' || (progress.urlTime ?? '') > switchTime) return;
  const urlTime = source.store.now().toISOString();
  await catalog.legacy.putState(STORE_MOVE, { ...progress, urlTime }, { signal });
}

/**
 * When the last signed URL of the source ends; undefined if there is none to wait for: the service itself serves the URLs
 * of a directory, after the move too.
 */
export function sourceUrlsEnd(
  { source, time }: StoreRow,
  { urlTime = time, urlSeconds = 0 }: StoreProgress,
  { now, seconds = 0 }: { readonly now: Date; readonly seconds?: number | undefined },
): Date | undefined {
  if (source.kind === 'filesystem') return undefined;
  const end = new Date(Date.parse(urlTime) + Math.max(urlSeconds, seconds) * 1_000);
  return end > now ? end : undefined;
}

/** @throws MoveRefused if signed URLs of the source may be in use until `end` */
export function assertUrlsEnded(end: Date | undefined): void {
  if (end === undefined) return;
  throw new MoveRefused(
    `signed URLs of the old store may be in use until ${end.toISOString()} (urlLifetimeSeconds of the usage policies): run ` +
      '`asset-service store move retire` again after that, or without --after-urls to end them now; nothing was deleted',
  );
}
