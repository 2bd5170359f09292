import type { FileRecord } from '../file-catalog.ts';
import { followerOf, type LogEntry } from './change-entries.ts';
import { quote, type PocketBaseClient, type RawRecord } from './client.ts';
import type { PocketBaseFiles } from './files.ts';
import { CHANGES } from './own-collections.ts';

/** A change whose record is wanted. */
interface Logged {
  readonly entry: LogEntry;
  /** The record before it; null for a new file. */
  readonly before: RawRecord | null;
}

/** Conditions in one filter. */
const MAX_CONDITIONS = 50;

/** Finds the records as changes left them. */
export class ChangedRecords {
  readonly #client: PocketBaseClient;
  readonly #files: PocketBaseFiles;

  constructor(client: PocketBaseClient, files: PocketBaseFiles) {
    this.#client = client;
    this.#files = files;
  }

  /**
   * The record of each change. If another program changed it since, with that change; undefined if another program
   * removed it.
   */
  async find(changes: readonly Logged[], signal: AbortSignal): Promise<readonly (FileRecord | undefined)[]> {
    const alive = changes.filter(({ entry: [type] }) => type !== 'purged').map(({ entry }) => entry);
    // Before the changes that follow: a record that has changed by now has one.
    const current = await this.#current(new Set(alive.map(([, id]) => id)), signal);
    const isCurrent = ([, id, count]: LogEntry) => {
      const raw = current.get(id);
      return raw !== undefined && this.#files.countOf(raw) === count;
    };
    const replaced = alive.filter((entry) => !isCurrent(entry));
    const states = await this.#replaced(replaced, signal);
    return Promise.all(
      changes.map(async ({ entry, before }) => {
        const [type, id, count] = entry;
        const raw = type === 'purged' ? before : (states.get(followerOf(id, count)) ?? current.get(id));
        return raw ? this.#files.toFile(raw, signal) : undefined;
      }),
    );
  }

  async #current(ids: ReadonlySet<string>, signal: AbortSignal): Promise<ReadonlyMap<string, RawRecord>> {
    const raws = ids.size === 0 ? [] : await this.#files.readMany([...ids], signal);
    return new Map(raws.map((raw) => [raw.id, raw]));
  }

  /** States that are not current any more, by {@link followerOf}. */
  async #replaced(
    entries: readonly LogEntry[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, RawRecord>> {
    const keys = [...new Set(entries.map(([, id, count]) => followerOf(id, count)))];
    const found = new Map<string, RawRecord>();
    for (let i = 0; i < keys.length; i += MAX_CONDITIONS) {
      const some = keys.slice(i, i + MAX_CONDITIONS);
      // Each condition says what the index has, which SQLite would not use otherwise.
      const filter = some.map((key) => `(follows!=""&&follows=${quote(key)})`).join('||');
      const query = { filter, limit: some.length, fields: 'follows,before' };
      for (const raw of await this.#client.list(CHANGES, query, signal)) {
        found.set(raw['follows'] as string, raw['before'] as RawRecord);
      }
    }
    return found;
  }
}
