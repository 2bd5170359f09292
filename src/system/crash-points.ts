import { channel } from 'node:diagnostics_channel';

/**
 * Points between two durable steps, in the order in which they are reached. A crash at any of them must lose nothing,
 * and what it leaves behind must be removed later. `test/fault` kills the service at each.
 */
export const POINTS = [
  'upload.reserved',
  'upload.verified',
  'upload.stored',
  'upload.committed',
  'session.opened',
  'session.claimed',
  'session.multipart-begun',
  'session.part-stored',
  'session.piece-stored',
  'session.saved',
  'session.finishing',
  'session.assembled',
  'session.pieces-removed',
  'session.committed',
  'session.closed',
  'update.read',
  'update.written',
  'delete.written',
  'sweep.purged',
  'sweep.closed',
  'sweep.blob-removed',
  'sweep.forgotten',
] as const;

/** Further points, which only the filesystem store has: between two steps of completing a multipart blob. */
export const FILESYSTEM_POINTS = ['filesystem.sealed', 'filesystem.published'] as const;

/** Moments between two durable steps of the command line, not of the service: while an old system is locked, unlocked or purged. */
export const LEGACY_POINTS = [
  'lock.journaled',
  'lock.gate-closed',
  'lock.proven',
  'unlock.begun',
  'unlock.gate-opened',
  'purge.planned',
  'purge.object-deleted',
  'views.link-journaled',
  'views.link-removed',
] as const;

/** Moments between two durable steps while a catalog move switches. */
export const MOVE_POINTS = [
  'move.preparing',
  'move.paused',
  'move.drained',
  'move.seeded',
  'move.decided',
  'move.switched',
] as const;

/** Moments between two durable steps of a store move. */
export const STORE_MOVE_POINTS = [
  'store-move.copied',
  'store-move.followed',
  'store-move.proven',
  'store-move.switched',
  'store-move.retired-one',
] as const;

/** Moments between two durable steps while a variant is made. */
export const VARIANT_POINTS = ['variant.rendered', 'variant.hashed', 'variant.stored'] as const;

/** Moments between two durable steps of a backup, of the removal of old ones, and of a restore. */
export const BACKUP_POINTS = [
  'backup.begun',
  'backup.bytes-copied',
  'backup.page-written',
  'backup.finished',
  'backup.manifest-removed',
  'backup.page-removed',
  'backup.bytes-removed',
  'restore.begun',
  'restore.bytes-written',
  'restore.record-written',
  'restore.page-proven',
] as const;

/** The name of one of the points. */
export type Point = (
  | typeof POINTS
  | typeof FILESYSTEM_POINTS
  | typeof LEGACY_POINTS
  | typeof STORE_MOVE_POINTS
  | typeof MOVE_POINTS
  | typeof VARIANT_POINTS
  | typeof BACKUP_POINTS
)[number];

const channels = new Map(
  [
    ...[...POINTS, ...FILESYSTEM_POINTS, ...LEGACY_POINTS, ...STORE_MOVE_POINTS, ...MOVE_POINTS],
    ...VARIANT_POINTS,
    ...BACKUP_POINTS,
  ].map((point) => [point, channel(`asset-service:${point}`)]),
);

/** Publishes on the diagnostics channel `asset-service:<point>` that a point is reached, if anybody listens. */
export function reached(point: Point, facts: Readonly<Record<string, unknown>> = {}): void {
  const one = channels.get(point);
  if (one?.hasSubscribers) one.publish(facts);
}
