import type { FilesContext } from './context.ts';
import { sweep } from './sweep.ts';

/** Sweeps at an interval until it is closed. A sweep that fails is tried again with the next. */
export class Sweeper {
  readonly #context: FilesContext;
  readonly #abort = new AbortController();
  readonly #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

  /** @param intervalMs - time between two sweeps, in milliseconds; 0 to never sweep */
  constructor(context: FilesContext, intervalMs: number) {
    this.#context = context;
    if (intervalMs === 0) return;
    this.#timer = setInterval(() => {
      this.#running ??= this.#sweep().finally(() => (this.#running = undefined));
    }, intervalMs);
    this.#timer.unref();
  }

  /** Ends the sweep in hand and starts no more. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#abort.abort();
    await this.#running;
  }

  async #sweep(): Promise<void> {
    const { log } = this.#context;
    try {
      const report = await sweep(this.#context, this.#abort.signal);
      if (report.purged + report.uploads + report.reservations > 0) log.info(report, 'swept');
    } catch (error) {
      if (!this.#abort.signal.aborted) log.warn({ err: error }, 'a sweep failed; the next one goes on');
    }
  }
}
