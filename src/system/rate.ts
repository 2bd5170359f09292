import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until this many more steps may be taken. Rejects when the signal is aborted. */
export type Pace = (steps: number, signal: AbortSignal) => Promise<void>;

/** Limits steps to a number per second. Idle time is not made up for. */
export function paceOf(stepsPerSecond: number): Pace {
  let free = 0;
  return async (steps, signal) => {
    const at = Math.max(performance.now(), free);
    free = at + (steps * 1_000) / stepsPerSecond;
    const wait = at - performance.now();
    if (wait > 0) await sleep(wait, undefined, { signal });
  };
}
