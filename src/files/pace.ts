import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until so many more steps may be taken. Rejects once the signal is aborted. */
export type Pace = (steps: number, signal: AbortSignal) => Promise<void>;

/** Holds steps back to so many a second. A time in which there was nothing to do is not made up for. */
export function paceOf(stepsPerSecond: number): Pace {
  let free = 0;
  return async (steps, signal) => {
    const at = Math.max(performance.now(), free);
    free = at + (steps * 1_000) / stepsPerSecond;
    const wait = at - performance.now();
    if (wait > 0) await sleep(wait, undefined, { signal });
  };
}
