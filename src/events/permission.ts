import type { Change, FileRecord } from '../catalog/file-catalog.ts';
import { mayAlways } from '../files/policy/decide.ts';
import { verdictOn } from '../files/policy/guard.ts';
import type { Caller } from '../identity/caller.ts';
import type { WatchContext } from './context.ts';

/** How long a loaded record is used to decide who may read the file, in milliseconds. */
export const FRESH_MS = 1_000;

/**
 * Decides which events of one page the caller may see. It must be allowed to read the current record and the one in the
 * event, which may be older than the caller's permission.
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

  /** True if {@link load} must be called before {@link allows}. */
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

  /** True if the caller may see the change. For a purged file only the record in the event decides. */
  allows({ fileId, record }: Change): boolean {
    const now = this.#current.get(fileId);
    const may = (file: FileRecord) => verdictOn(this.#context, this.#caller, 'read', file).allowed;
    return may(record) && (now === undefined || may(now));
  }
}
