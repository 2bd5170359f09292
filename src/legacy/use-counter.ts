import type { Logger } from 'pino';
import type { LegacyRecords, LegacyUse } from '../catalog/legacy-records.ts';
import type { PathKind } from './old-path.ts';

/** Time between two writes to the catalog, in milliseconds. */
const FLUSH_EVERY_MS = 2_000;

/** Maximum number of counters kept while the catalog cannot be written. */
const MAX_PENDING = 1_000;

/** Maximum length of a stored caller id, in characters. */
const MAX_CALLER = 200;

/**
 * Counts, per caller, calls that name files by paths of the old system. A crash loses the counts of the last seconds.
 */
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

  /** Writes the counts to the catalog. Never rejects: counts that cannot be written are kept for the next attempt. */
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

  /** Writes the remaining counts and stops. */
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
