import type { FileFilter, FileRecord, ListCursor } from '../catalog/file-catalog.ts';
import { AnswerRoom, readMany, recordBytes } from './answer-room.ts';
import type { Caller } from '../identity/caller.ts';
import type { FilesContext } from './context.ts';
import { decide } from './policy/decide.ts';
import { tell } from './policy/guard.ts';
import { visibleTo } from './policy/visibility.ts';
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { AssetError } from '../errors/asset-error.ts';
import { fieldInvalid } from '../errors/fields.ts';

const DEFAULT_PAGE_SIZE = 50;
const MAX_PAGE_SIZE = 1000;

/** Which page of which list. */
interface ListRequest {
  readonly filter: FileFilter;
  readonly showDeleted: boolean;
  /** 0 for the default of 50; larger than 1000 counts as 1000. */
  readonly pageSize: number;
  /** Empty for the first page. */
  readonly pageToken: string;
}

/**
 * A page of the files that the caller may read, newest first. It ends early if more records would not fit into a
 * response. A token only says where a page begins, so another caller's token gives access to nothing more.
 *
 * @throws AssetError PAGE_TOKEN_INVALID, RELATION_UNKNOWN
 */
export async function listFiles(
  context: FilesContext,
  caller: Caller,
  request: ListRequest,
  signal: AbortSignal,
): Promise<{ readonly files: readonly FileRecord[]; readonly nextPageToken: string }> {
  const { filter, showDeleted } = request;
  const after = decodePageToken(request.pageToken, filter, showDeleted);
  const visible = visibleTo(caller, context.policies.access);
  tell(context, caller, 'list', '', { allowed: true, rule: visible ? 'visible-files' : 'all-files' });
  const { page, last } = await readPage(
    context,
    { ...{ filter, showDeleted }, ...(visible && { visibleTo: visible }), ...(after && { after }) },
    Math.min(request.pageSize || DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE),
    signal,
  );
  // Checked again by the rules themselves: a catalog whose owner field has several values matches any of them.
  const { policies } = context;
  const files = page.filter((file) => decide(caller, 'read', file, policies.ofExisting(file.usage)).allowed);
  return { files, nextPageToken: last ? encodePageToken(last, filter, showDeleted) : '' };
}

type Query = Omit<Parameters<FilesContext['catalog']['list']>[0], 'limit'>;

/** Reads a page, some records at a time. `last` is the last record of the page if there are more. */
async function readPage(
  { catalog }: FilesContext,
  query: Query,
  pageSize: number,
  signal: AbortSignal,
): Promise<{ readonly page: readonly FileRecord[]; readonly last: ListCursor | undefined }> {
  const room = new AnswerRoom();
  const page: FileRecord[] = [];
  let { after } = query;
  for (;;) {
    const limit = room.next(pageSize - page.length + 1);
    const asked = { ...query, ...(after && { after }), limit };
    const found = await readMany(signal, () => catalog.list(asked, { signal }));
    for (const file of found) {
      if (page.length === pageSize || !room.take(recordBytes(file))) return { page, last: page.at(-1) };
      page.push(file);
    }
    if (found.length < limit) return { page, last: undefined };
    after = found.at(-1);
  }
}

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

/** A media type of RFC 9110 without parameters, or all types of a kind. */
const TYPE_FILTER = /^(?!\*)[\w!#$%&'*+.^`|~-]+\/(\*|[\w!#$%&'+.^`|~-]+)$/;

/**
 * The types of a filter, in lower case; undefined for every type. Other text, which no file has as its type, is refused.
 *
 * @param field - where it came from, for the error
 * @throws AssetError FIELD_INVALID
 */
export function cleanTypeFilter(contentType: string, field: string): string | undefined {
  const clean = contentType.trim().toLowerCase();
  // `*/*` is every type, as everywhere.
  if (clean === '' || clean === '*/*') return undefined;
  if (TYPE_FILTER.test(clean)) return clean;
  throw fieldInvalid(
    field,
    'send a media type without parameters, such as image/png, or image/* for every type of a kind',
  );
}
