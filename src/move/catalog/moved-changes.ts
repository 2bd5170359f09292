import type { CatalogCall, ChangePage, Changes, FileCatalog } from '../../catalog/file-catalog.ts';
import { cursorExpired } from '../../errors/changes.ts';
import type { CatalogMember } from './member.ts';
import type { CatalogRow, Era } from './row.ts';

/** Cursor of a part of the log after the first one: `2-postgres.17.…`. Those of the first part are as the catalog gives them. */
const CURSOR = /^(\d{1,6})-(.+)$/;

/** The log of a catalog that was never moved. */
const ONLY: readonly Era[] = [{ catalog: '', start: '', end: '', last: '' }];

/** What the log needs of a `CatalogMember`. */
export type Member = Pick<CatalogMember, 'row' | 'reader' | 'withId' | 'write' | 'look'>;

/** A position in one part of the log. */
interface Position {
  readonly era: number;
  readonly cursor: string;
}

/**
 * The change log across moves: what a catalog logged while it was active, then what the next one did. A cursor from
 * before a switch goes on in the old log, if that catalog is still open, and then in the new one.
 */
export class MovedChanges implements Changes {
  readonly #member: Member;

  constructor(member: Member) {
    this.#member = member;
  }

  async position(at: 'now' | 'earliest', call?: CatalogCall): Promise<string> {
    const active = await this.#member.reader();
    const eras = this.#eras;
    const now = eras.length - 1;
    if (at === 'now' || now === 0)
      return encode({ era: now, cursor: await active.changes.position(at, call) });
    // The oldest part that can be read without a gap.
    let era = now;
    while (era > 0 && this.#member.withId(eras[era - 1]!.catalog)) era -= 1;
    if (era > 0) return encode({ era, cursor: eras[era]!.start });
    const first = this.#member.withId(eras[0]!.catalog)!;
    return encode({ era, cursor: await first.changes.position('earliest', call) });
  }

  async read(cursor: string, limit: number, call?: CatalogCall): Promise<ChangePage> {
    let at = decode(cursor);
    // Of a replica that has seen a switch earlier than this one.
    if (at.era >= this.#eras.length) await this.#member.look();
    const active = await this.#member.reader();
    const eras = this.#eras;
    for (;;) {
      const era = eras[at.era];
      if (era === undefined) throw cursorExpired();
      const isLast = at.era === eras.length - 1;
      const isAtEnd = !isLast && (at.cursor === era.end || at.cursor === era.last);
      const page = isAtEnd ? undefined : await this.#page(isLast ? active : this.#open(era), at, limit, call);
      if (page && (isLast || page.changes.length > 0)) return page;
      at = { era: at.era + 1, cursor: eras[at.era + 1]!.start };
    }
  }

  trim(before: Date, limit: number, call?: CatalogCall): Promise<number> {
    return this.#member.write((active) => active.changes.trim(before, limit, call), call?.signal);
  }

  async lag(call?: CatalogCall): Promise<number> {
    return (await this.#member.reader()).changes.lag(call);
  }

  get #eras(): readonly Era[] {
    const eras = this.#member.row?.eras ?? [];
    return eras.length === 0 ? ONLY : eras;
  }

  #open({ catalog }: Era): FileCatalog {
    const open = catalog === '' ? undefined : this.#member.withId(catalog);
    // The move is complete, and the old catalog is no longer open.
    if (open === undefined) throw cursorExpired();
    return open;
  }

  /** A page of one part of the log, up to its end. */
  async #page(
    { changes: log }: FileCatalog,
    { era, cursor: from }: Position,
    limit: number,
    call: CatalogCall | undefined,
  ): Promise<ChangePage> {
    const { changes, cursor } = await log.read(from, limit, call);
    const wrap = (inner: string) => encode({ era, cursor: inner });
    const end = this.#eras[era]!.end;
    const own = end === '' ? changes : changes.slice(0, lengthOf(changes, end));
    const isCut = own.length < changes.length;
    return {
      changes: own.map((change) => ({ ...change, cursor: wrap(change.cursor) })),
      cursor: wrap(isCut ? (own.at(-1)?.cursor ?? end) : cursor),
    };
  }
}

/** Number of changes up to the end of a part: the same catalog may have been active again later. */
function lengthOf(changes: ChangePage['changes'], end: string): number {
  const last = changes.findIndex(({ cursor }) => cursor === end);
  if (last >= 0) return last + 1;
  // A cursor of PocketBase may be that of no change, but it has the time.
  const [, time] = /^pocketbase\.(\d+)\./.exec(end) ?? [];
  if (time === undefined) return changes.length;
  const later = changes.findIndex((change) => change.time.getTime() > Number(time));
  return later < 0 ? changes.length : later;
}

function encode({ era, cursor }: Position): string {
  return era === 0 ? cursor : `${era}-${cursor}`;
}

/** A cursor of the active catalog as one of the whole log. */
export function inLastEra(row: CatalogRow | undefined, cursor: string): string {
  return encode({ era: Math.max(0, (row?.eras.length ?? 0) - 1), cursor });
}

/** Number of the part of the log that a cursor is in, from 0. */
export function eraOf(cursor: string): number {
  return decode(cursor).era;
}

function decode(cursor: string): Position {
  const [, era, inner] = CURSOR.exec(cursor) ?? [];
  return inner === undefined ? { era: 0, cursor } : { era: Number(era), cursor: inner };
}
