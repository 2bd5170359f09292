import type { Change, FileRecord } from '../catalog/file-catalog.ts';
import { mayAlways } from '../files/policy/decide.ts';
import { verdictOn } from '../files/policy/guard.ts';
import type { Caller } from '../identity/caller.ts';
import type { WatchContext } from './context.ts';

/** How long a record that was read says who may read the file, in milliseconds. */
export const FRESH_MS = 1_000;

/**
 * Decides about the events of one page: by the record as it is now, and by the record in the event, which may tell
 * what the file was before it became the caller's.
 */
export class Permissions {
  readonly #context: WatchContext;
  readonly #caller: Caller;
  readonly #isAlways: boolean;
  #current: ReadonlyMap<string, FileRecord | undefined> = new Map();
  #loadedAt = -Infinity;

  constructor(context: WatchContext, caller: Caller) {
    this.#context = context;
    this.#caller = caller;
    this.#isAlways = mayAlways(caller, 'read') !== undefined;
  }

  /** True if the records have to be loaded, again or for the first time, before {@link allows} is asked. */
  get isStale(): boolean {
    return !this.#isAlways && performance.now() - this.#loadedAt > FRESH_MS;
  }

  /** Loads the current records of the files of these changes. */
  async load(changes: readonly Change[], signal: AbortSignal): Promise<void> {
    const asked = performance.now();
    const ids = [...new Set(changes.map(({ fileId }) => fileId))];
    const files = await Promise.all(ids.map((id) => this.#context.records.get(id, signal)));
    this.#current = new Map(ids.map((id, at) => [id, files[at]]));
    this.#loadedAt = asked;
  }

  /** True if the caller may see the change. A purged file has no current record: the event's decides. */
  allows({ fileId, record }: Change): boolean {
    const now = this.#current.get(fileId);
    const may = (file: FileRecord) => verdictOn(this.#context, this.#caller, 'read', file).allowed;
    return may(record) && (now === undefined || may(now));
  }
}
