import type { BackfillState } from '../legacy/backfill-state.ts';
import { sizeAsText } from './terminal.ts';

const BAR_WIDTH = 24;

/** Seconds of work before the remaining time is estimated: the first files are not representative. */
const LEARNED_AFTER_S = 2;

/**
 * Progress of a backfill as one line: a bar, counts, and the remaining time: the longer of those by files and by bytes.
 */
export class MoveProgress {
  readonly #now: () => number;
  #first: { readonly files: number; readonly bytes: number } | undefined;
  #lastAt = 0;
  #workedMs = 0;

  /** @param now - a clock in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The line for a state; call it for every state, in order. */
  show(state: BackfillState): string {
    const { total, movedBytes, slowedBy, workers } = state;
    const files = Object.values(state.counts).reduce((sum, count) => sum + count, 0);
    const now = this.#now();
    if (this.#first === undefined) this.#first = { files, bytes: movedBytes };
    // Pauses do not count for the speed.
    else if (state.state === 'running') this.#workedMs += now - this.#lastAt;
    this.#lastAt = now;
    const done = Math.min(shareOf(files, total.files), shareOf(movedBytes, total.bytes));
    // Bytes of damaged files are never moved.
    const share = files >= total.files ? 1 : done;
    const left = this.#secondsLeft(files, movedBytes, total);
    return [
      `[${'#'.repeat(Math.floor(share * BAR_WIDTH)).padEnd(BAR_WIDTH, '.')}] ${Math.floor(share * 100)}%`,
      `${files}/${total.files} files`,
      `${sizeAsText(movedBytes)} of ${sizeAsText(total.bytes)}`,
      ...(left === undefined ? [] : [`about ${durationAsText(left)} left`]),
      ...(workers === undefined ? [] : [`${workers} at once`]),
      ...(state.state === 'paused'
        ? ['paused']
        : slowedBy === null
          ? []
          : [`slowed down by the ${slowedBy}`]),
    ].join('  ');
  }

  #secondsLeft(files: number, bytes: number, total: BackfillState['total']): number | undefined {
    const first = this.#first!;
    const seconds = this.#workedMs / 1_000;
    if (seconds < LEARNED_AFTER_S || files <= first.files) return undefined;
    const left = (done: number, before: number, all: number) =>
      done > before ? (Math.max(0, all - done) * seconds) / (done - before) : 0;
    if (files >= total.files) return 0;
    return Math.max(left(files, first.files, total.files), left(bytes, first.bytes, total.bytes));
  }
}

function shareOf(done: number, all: number): number {
  return all === 0 ? 1 : Math.min(1, done / all);
}

function durationAsText(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.ceil(seconds / 60)} min`;
  return `${(seconds / 3_600).toFixed(1)} h`;
}
