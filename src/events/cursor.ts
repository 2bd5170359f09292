import { z } from 'zod';
import type { ListCursor } from '../catalog/file-catalog.ts';
import { fieldInvalid } from '../errors/fields.ts';
import { fromListPosition, listPosition, toListPosition } from '../files/list.ts';

/** A file that was sent as an existing one and may have changed since the watch began. */
export interface SentFile {
  /** Short hash of the id. */
  readonly key: string;
  /** Short hash of the revision that was sent. */
  readonly revision: string;
  /** `updateTime` of the record that was sent, in milliseconds. */
  readonly updateTime: number;
}

/** Position of a watch. */
export interface WatchPosition {
  /** Cursor of the change log: the changes after it were not sent yet. */
  readonly log: string;
  /** The last existing file that was sent; `start` before the first, undefined after the last. */
  readonly scan?: ListCursor | 'start' | undefined;
  /** When a watch of existing files began, in milliseconds since 1970; 0 for other watches. */
  readonly begun: number;
  /** Files whose next changes in the log may be older than the record that was sent. */
  readonly sent: readonly SentFile[];
}

/** Maximum number of {@link SentFile}s in a cursor. */
export const MAX_SENT = 32;

const hash = z.string().min(1).max(16);
const time = z.int().min(0);
const schema = z.tuple([
  z.literal(1),
  z.string().min(1).max(512),
  z.union([z.literal(0), z.literal('start'), listPosition]),
  time,
  z.array(z.tuple([hash, hash, time])).max(MAX_SENT),
]);

/** The cursor for callers. Every replica can read it. */
export function encodeCursor({ log, scan, begun, sent }: WatchPosition): string {
  const place = scan === undefined ? 0 : scan === 'start' ? scan : fromListPosition(scan);
  const entries = sent.map(({ key, revision, updateTime }) => [key, revision, updateTime]);
  return Buffer.from(JSON.stringify([1, log, place, begun, entries])).toString('base64url');
}

/**
 * The position in a caller's cursor.
 *
 * @throws AssetError FIELD_INVALID if the text is no cursor
 */
export function decodeCursor(cursor: string): WatchPosition {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    json = undefined;
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    throw fieldInvalid('cursor', 'it was not given by this service: send the cursor of a message, unchanged');
  }
  const [, log, place, begun, entries] = parsed.data;
  return {
    log,
    scan: place === 0 ? undefined : place === 'start' ? place : toListPosition(place),
    begun,
    sent: entries.map(([key, revision, updateTime]) => ({ key, revision, updateTime })),
  };
}
