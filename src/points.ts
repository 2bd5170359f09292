import { channel } from 'node:diagnostics_channel';

/**
 * The moments between two durable steps, in the order in which they are reached. A crash at any of them
 * must lose nothing and leave nothing for good; `test/fault` kills the service at each.
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

/** Further such moments, which only the filesystem store reaches: between two steps of the end of a multipart blob. */
export const FILESYSTEM_POINTS = ['filesystem.sealed', 'filesystem.published'] as const;

/** The name of one of the {@link POINTS} or {@link FILESYSTEM_POINTS}. */
export type Point = (typeof POINTS | typeof FILESYSTEM_POINTS)[number];

const channels = new Map(
  [...POINTS, ...FILESYSTEM_POINTS].map((point) => [point, channel(`asset-service:${point}`)]),
);

/**
 * Says that a point is reached, on the diagnostics channel `asset-service:<point>`. Costs next to nothing while
 * nobody listens.
 */
export function reached(point: Point, facts: Readonly<Record<string, unknown>> = {}): void {
  const one = channels.get(point);
  if (one?.hasSubscribers) one.publish(facts);
}
