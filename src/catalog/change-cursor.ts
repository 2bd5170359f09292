import { cursorExpired } from '../errors/changes.ts';
import { fieldInvalid } from '../errors/fields.ts';

/** A position in the change log of one kind of catalog. */
export interface ChangePosition {
  /** Whole numbers in decimal digits. */
  readonly at: readonly string[];
  /** Id of the entry at the position. It tells another log, or a restored one, from this. */
  readonly id: string;
}

/** Kind of the catalog, numbers, id: `sqlite.17.3f0c…`. */
const CURSOR = /^([a-z]{1,16})((?:\.\d{1,20}){1,3})\.([A-Za-z0-9_-]{1,64})$/;

/** Numbers of all catalogs are below. */
const MAX = 2n ** 63n;

/** The cursor of a position. */
export function encodeCursor(kind: string, { at, id }: ChangePosition): string {
  return [kind, ...at, id].join('.');
}

/**
 * The position of a cursor with `count` numbers.
 *
 * @throws AssetError CURSOR_EXPIRED if it is of another kind of catalog, FIELD_INVALID if it is none
 */
export function decodeCursor(kind: string, count: number, cursor: string): ChangePosition {
  const [, itsKind, numbers = '', id = ''] = CURSOR.exec(cursor) ?? [];
  if (itsKind === undefined) throw fieldInvalid('cursor', 'it is none that the service has given');
  const at = numbers.slice(1).split('.');
  if (itsKind !== kind || at.length !== count || at.some((number) => BigInt(number) >= MAX)) {
    throw cursorExpired();
  }
  return { at, id };
}
