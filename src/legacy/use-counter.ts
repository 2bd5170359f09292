import type { Logger } from 'pino';
import type { LegacyRecords, LegacyUse } from '../catalog/legacy-records.ts';
import type { PathKind } from './old-path.ts';

/** Time between two writes to the catalog, in milliseconds. */
const FLUSH_EVERY_MS = 2_000;

/** Different callers, forms and days that are kept while the catalog takes none. */
const MAX_PENDING = 1_000;

/** Characters of a caller's id that are kept. */
const MAX_CALLER = 200;

/** Counts who still names files by paths of the old system. What was counted in the last seconds is lost in a crash. */
export class UseCounter {
  readonly #records: LegacyRecords;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  #pending = new Map<string, LegacyUse>();

  constructor(records: LegacyRecords, log: Logger) {
    [this.#records, this.#log] = [records, log];
    this.#timer = setInterval(() => void this.flush(), FLUSH_EVERY_MS);
    this.#timer.unref();
  }

  /** Counts one use. */
  add(callerId: string, kind: PathKind, now = new Date()): void {
    const use = {
      caller: callerId.slice(0, MAX_CALLER).toWellFormed(),
      kind,
      day: now.toISOString().slice(0, 10),
    };
    this.#count({ ...use, count: 1 });
  }

  /** Writes down what was counted. Never rejects: what cannot be written is kept for the next time. */
  async flush(): Promise<void> {
    if (this.#pending.size === 0) return;
    const uses = [...this.#pending.values()];
    this.#pending = new Map();
    try {
      await this.#records.addUses(uses);
    } catch (error) {
      this.#log.warn({ err: error }, 'uses of paths of the old system could not be written down yet');
      for (const use of uses) this.#count(use);
    }
  }

  /** Writes down what was counted, and ends. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }

  #count(use: LegacyUse): void {
    const key = JSON.stringify([use.caller, use.kind, use.day]);
    const known = this.#pending.get(key);
    if (known === undefined && this.#pending.size >= MAX_PENDING) return;
    this.#pending.set(key, { ...use, count: use.count + (known?.count ?? 0) });
  }
}
