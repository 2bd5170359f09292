import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { FileFilter, ListCursor } from '../catalog/file-catalog.ts';
import { AssetError } from '../errors/asset-error.ts';

/** The last millisecond of year 9999: catalogs that compare times as text know no later one. */
const LAST_TIME = Date.parse('9999-12-31T23:59:59.999Z');

/** A caller may have invented the token: catalogs cannot read NUL characters or lone surrogates. */
const id = z
  .string()
  .min(1)
  .max(64)
  .refine((text) => text.isWellFormed() && !text.includes('\0'));

/** Schema of a {@link ListCursor} in a token: time in milliseconds, and id. */
export const listPosition = z.tuple([z.int().min(0).max(LAST_TIME), id]);

/** A {@link ListCursor} as in a token. */
export function fromListPosition({ createTime, id }: ListCursor): z.infer<typeof listPosition> {
  return [createTime.getTime(), id];
}

/** The {@link ListCursor} in a token. */
export function toListPosition([time, id]: z.infer<typeof listPosition>): ListCursor {
  return { createTime: new Date(time), id };
}

const tokenSchema = z.tuple([...listPosition.def.items, z.string()]);

/** The token of the page after `cursor`, bound to its list. */
export function encodePageToken(cursor: ListCursor, filter: FileFilter, showDeleted: boolean): string {
  const token = [...fromListPosition(cursor), listHash(filter, showDeleted)];
  return Buffer.from(JSON.stringify(token)).toString('base64url');
}

/**
 * The cursor in a page token; undefined for the first page.
 *
 * @throws AssetError PAGE_TOKEN_INVALID if the token is damaged or belongs to another list
 */
export function decodePageToken(
  token: string,
  filter: FileFilter,
  showDeleted: boolean,
): ListCursor | undefined {
  if (token === '') return undefined;
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
  } catch {
    json = undefined;
  }
  const parsed = tokenSchema.safeParse(json);
  if (!parsed.success || parsed.data[2] !== listHash(filter, showDeleted)) {
    throw new AssetError(
      'PAGE_TOKEN_INVALID',
      'the page token is damaged or was given for another filter: start again without one',
    );
  }
  const [time, id] = parsed.data;
  return toListPosition([time, id]);
}

function listHash(filter: FileFilter, showDeleted: boolean): string {
  const { owner, usage, relation, contentType, createTimeFrom, createTimeTo } = filter;
  const parts = [owner, usage, relation?.name, relation?.id, contentType, createTimeFrom, createTimeTo];
  return createHash('sha256')
    .update(JSON.stringify([...parts.map((part) => part ?? null), showDeleted]))
    .digest('base64url')
    .slice(0, 16);
}
