import { it } from '@jest/globals';

/**
 * Defines a test per case; all cases run concurrently. For independent cases that mostly wait for a time limit of the
 * service. Not for cases that measure memory.
 */
export function itSideBySide(cases: Readonly<Record<string, () => Promise<void>>>): void {
  let running: ReadonlyMap<string, Promise<PromiseSettledResult<void>>> | undefined;
  const startAll = () => {
    const started = Object.entries(cases).map(([name, run]) => {
      const outcome = Promise.allSettled([run()]).then(([settled]) => settled);
      return [name, outcome] as const;
    });
    return new Map(started);
  };
  for (const name of Object.keys(cases)) {
    it(name, async () => {
      running ??= startAll();
      const outcome = await running.get(name)!;
      if (outcome.status === 'rejected') throw outcome.reason;
    });
  }
}
