import { describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '../../src/cli/explain.ts';
import { interruptible } from '../../src/cli/interruptible.ts';

describe('work that a signal ends', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)(
    '%s: tells how to go on, whatever the work fails with',
    async (name) => {
      const works = [
        (signal: AbortSignal) => sleep(60_000, undefined, { signal }),
        async (signal: AbortSignal) => {
          await once(signal, 'abort');
          throw new TypeError('a library was aborted');
        },
      ];
      for (const work of works) {
        const ended = interruptible(new Error('interrupted: the next run goes on'), work);
        process.emit(name);
        const error: unknown = await ended.catch((thrown: unknown) => thrown);
        expect(explain(error)).toBe('interrupted: the next run goes on');
      }
    },
  );

  it('shows the stack of an unexpected error', async () => {
    const failed = interruptible(new Error('interrupted'), () => Promise.reject(new TypeError('a bug')));
    expect(explain(await failed.catch((error: unknown) => error))).toMatch(/TypeError: a bug\n +at /);
  });
});
