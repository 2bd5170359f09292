import { it } from '@jest/globals';

/**
 * Defines a test for each of the cases, which all run at once when the first of them does: for cases that mostly wait for
 * a time limit of the service, and that leave each other alone. Cases that measure memory do not.
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
