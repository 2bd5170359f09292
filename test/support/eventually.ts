import { setTimeout as sleep } from 'node:timers/promises';

/** Repeats `check` until it neither throws nor rejects; fails like its last try after `timeoutMs`. */
export async function eventually<T>(check: () => T | Promise<T>, timeoutMs = 60_000): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await sleep(50);
    }
  }
}
