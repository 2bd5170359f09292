import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { underLease } from '../../files/lease.ts';
import { begun } from './begin.ts';
import { STORE_MOVE, type StoreMove } from './progress.ts';
import { follow } from './start.ts';
import type { RowView } from './row-view.ts';

/** Pause between two looks at the change log, in milliseconds: a command gets the lease in it. */
const PAUSE_MS = 1_500;

const LEASE_MS = 10_000;

/** Time of one run, in milliseconds: what a command has to wait for, besides one page. */
const RUN_MS = 5_000;

/** What a follower tells. */
export interface FollowerLog {
  warn(facts: object, text: string): void;
}

/** Copies files that have changed since, in one replica at a time, from the first copy until the move is over. */
export class StoreFollower {
  readonly #move: StoreMove;
  readonly #view: RowView;
  readonly #log: FollowerLog;
  readonly #closed = new AbortController();
  readonly #running: Promise<void>;

  constructor(move: StoreMove, view: RowView, log: FollowerLog) {
    [this.#move, this.#view, this.#log] = [move, view, log];
    this.#running = this.#run();
  }

  /** Ends what runs; another replica goes on with it. */
  async close(): Promise<void> {
    this.#closed.abort(new Error('the service stops'));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closed;
    const holder = randomUUID();
    let told = '';
    while (!signal.aborted) {
      await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined);
      const { row, mistake } = this.#view;
      const isOver = row === undefined || row.state === 'cancelled' || row.state === 'retired';
      if (signal.aborted || isOver || mistake !== undefined) continue;
      try {
        await underLease(this.#move.catalog, { name: STORE_MOVE, holder, ttlMs: LEASE_MS }, signal, (held) =>
          this.#follow(holder, held),
        );
        told = '';
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        if (!signal.aborted && text !== told)
          this.#log.warn({ err: error }, 'the store move does not follow the change log');
        told = text;
      }
    }
  }

  async #follow(holder: string, signal: AbortSignal): Promise<void> {
    const known = await begun(this.#move, signal);
    if (!known.progress.isCopied) return;
    const { changes } = await this.#move.catalog.changes.read(known.progress.log, 1, { signal });
    // Nothing is written while nothing happens.
    if (changes.length > 0) await follow(this.#move, known, { holder, followMs: RUN_MS }, signal);
  }
}
