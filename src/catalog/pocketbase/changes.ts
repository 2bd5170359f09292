import { cursorExpired } from '../../errors/changes.ts';
import { decodeCursor, encodeCursor } from '../change-cursor.ts';
import type { Change, ChangePage, Changes } from '../changes.ts';
import type { CatalogCall } from '../file-catalog.ts';
import { logStart, type LogEntry } from './change-entries.ts';
import { ChangedRecords } from './changed-records.ts';
import { Refusal, type PocketBaseClient, type RawRecord } from './client.ts';
import { quoteTime } from './filter.ts';
import type { PocketBaseFiles } from './files.ts';
import { CHANGE_LOG, CHANGES } from './own-collections.ts';
import { timeOf } from './reservations.ts';
import type { PocketBaseRun } from './sessions.ts';

/** Name of the catalog in cursors. */
const KIND = 'pocketbase';

/** Records of one response; PocketBase's maximum. */
const MAX_RECORDS = 1_000;

/** More than the records that are written in one millisecond. */
const SAME_TIME = 20;

/** Records removed in one batch. */
const TRIM_BATCH = 32;

/** A record of the log. */
interface Logged {
  readonly id: string;
  /** Row id. The rows have numbers without gaps, in the order of commits, because the log is only cut at its head. */
  readonly seq: number;
  readonly created: Date;
  readonly entries: readonly LogEntry[];
  readonly before: RawRecord | null;
}

/** A position: after the first `done` changes of a record, or after all if that is 0. */
interface Position {
  readonly id: string;
  readonly created: Date;
  readonly done: number;
}

/**
 * The change log in a PocketBase. It is read by the time of writing, which has an index; the row ids in the view prove
 * that nothing is missing. If the clock of the server went back, they show a gap, and the log is read by row id.
 */
export class PocketBaseChanges implements Changes {
  readonly #client: PocketBaseClient;
  readonly #records: ChangedRecords;
  readonly #run: PocketBaseRun;

  /** @param run - of the catalog */
  constructor(client: PocketBaseClient, files: PocketBaseFiles, run: PocketBaseRun) {
    this.#client = client;
    this.#records = new ChangedRecords(client, files);
    this.#run = run;
  }

  position(at: 'now' | 'earliest', call?: CatalogCall): Promise<string> {
    return this.#run(call, async (signal) => {
      const find = () => this.#ends(at === 'now' ? '-@rowid' : '@rowid', 1, signal);
      let [end] = await find();
      if (!end) {
        await this.#client.batch([logStart()], signal);
        [end] = await find();
      }
      return cursorOf({ ...end!, done: 0 });
    });
  }

  read(cursor: string, limit: number, call?: CatalogCall): Promise<ChangePage> {
    return this.#run(call, async (signal) => {
      const from = positionOf(cursor);
      const rows = await this.#after(from, limit, signal);
      const entries = rows.flatMap((row) => entriesIn(row, row.id === from.id ? from.done : 0));
      const page = entries.slice(0, limit);
      const last = rows.at(-1);
      // Past records without changes, too.
      const end = entries.length > limit ? page.at(-1)?.cursor : last && cursorOf({ ...last, done: 0 });
      const records = await this.#records.find(page, signal);
      const changes = page.flatMap(({ entry, ...change }, i): Change[] => {
        const record = records[i];
        const [type, fileId] = entry;
        return record ? [{ ...change, type, fileId, revision: record.revision, record }] : [];
      });
      return { changes, cursor: end ?? cursor };
    });
  }

  trim(before: Date, limit: number, call?: CatalogCall): Promise<number> {
    return this.#run(call, async (signal) => {
      const rows = await this.#ends('@rowid', Math.min(limit + 1, MAX_RECORDS), signal);
      const young = rows.findIndex(({ created }) => created >= before);
      const old = (young < 0 ? rows : rows.slice(0, young)).slice(0, -1);
      for (let i = 0; i < old.length; i += TRIM_BATCH) {
        const some = old.slice(i, i + TRIM_BATCH);
        const remove = some.map(({ id }) => ({ method: 'DELETE', collection: CHANGES, id }) as const);
        try {
          await this.#client.batch(remove, signal);
        } catch (error) {
          // Another replica trims at the same time.
          if (error instanceof Refusal && error.status === 404) return i;
          throw error;
        }
      }
      return old.length;
    });
  }

  /** Always 0: PocketBase commits one write after the other. */
  lag(): Promise<number> {
    return Promise.resolve(0);
  }

  /** The first or last records of the log. */
  async #ends(sort: '@rowid' | '-@rowid', limit: number, signal: AbortSignal) {
    const query = { filter: '', sort, limit, fields: 'id,created' };
    const raws = await this.#client.list(CHANGES, query, signal);
    return raws.map(({ id, created }) => ({ id, created: timeOf(created) }));
  }

  /** The records after a position, without a gap; that of the position first if it has more changes. */
  async #after(from: Position, limit: number, signal: AbortSignal): Promise<readonly Logged[]> {
    // One cheap request while nothing happens.
    const [newest] = await this.#ends('-@rowid', 1, signal);
    if (newest?.id === from.id && from.done === 0) return [];
    const size = Math.min(limit + SAME_TIME, MAX_RECORDS);
    const filter = `created>=${quoteTime(from.created)}`;
    const byTime = withoutGap(from, await this.#list({ filter, sort: 'created', limit: size }, signal));
    if (byTime && byTime.length > 0) return byTime;
    const [own] = await this.#list({ filter: `id="${from.id}"`, limit: 1 }, signal);
    if (!own) throw cursorExpired();
    const byRow = { filter: `seq>=${own.seq}`, sort: 'seq', limit: size };
    const all = await this.#list(byRow, signal);
    const rows = withoutGap(from, all);
    // Removed by somebody else.
    if (!rows || (rows.length === 0 && all.length > 1)) throw cursorExpired();
    return rows;
  }

  async #list(query: { filter: string; sort?: string; limit: number }, signal: AbortSignal) {
    const raws = await this.#client.list(CHANGE_LOG, query, signal);
    return raws.map((raw) => ({ ...(raw as unknown as Logged), created: timeOf(raw['created']) }));
  }
}

/** The rows after a position up to the first gap; undefined if that position is not among them. */
function withoutGap(from: Position, rows: readonly Logged[]): readonly Logged[] | undefined {
  const own = rows.find(({ id }) => id === from.id);
  if (!own) return undefined;
  const after = rows.filter(({ seq }) => seq > own.seq).sort((a, b) => a.seq - b.seq);
  const gap = after.findIndex(({ seq }, i) => seq !== own.seq + 1 + i);
  const found = gap < 0 ? after : after.slice(0, gap);
  return from.done > 0 ? [own, ...found] : found;
}

/** The changes of a record of the log after the first `done`. */
function entriesIn(row: Logged, done: number) {
  return row.entries
    .map((entry, i) => ({
      ...{ id: `${row.id}-${i}`, time: row.created, entry, before: row.before },
      cursor: cursorOf({ ...row, done: i + 1 === row.entries.length ? 0 : i + 1 }),
    }))
    .slice(done);
}

function cursorOf({ id, created, done }: Position): string {
  return encodeCursor(KIND, { at: [String(created.getTime()), String(done)], id });
}

function positionOf(cursor: string): Position {
  const { at, id } = decodeCursor(KIND, 2, cursor);
  return { id, created: new Date(Number(at[0])), done: Number(at[1]) };
}
