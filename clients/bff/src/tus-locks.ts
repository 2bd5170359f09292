import type { Lock, Locker } from '@tus/server';
import { endedByAnother } from './tus-errors.ts';

interface Holder {
  readonly release: () => Promise<void> | void;
  readonly gone: Promise<void>;
}

/**
 * Lets one request of this process at a time work on an upload. A request that waits asks the running one to end: its
 * connection may be half open, and the bytes that it has are kept first. Between processes the service itself decides.
 */
export class ProcessLocks implements Locker {
  readonly #holders = new Map<string, Holder>();

  newLock(id: string): Lock {
    let leave: (() => void) | undefined;
    return {
      lock: async (signal, release) => {
        for (let holder; (holder = this.#holders.get(id)) !== undefined;) {
          await holder.release();
          await goneOrAborted(holder.gone, signal);
        }
        if (signal.aborted) throw endedByAnother();
        const gone = new Promise<void>((resolve) => (leave = resolve));
        this.#holders.set(id, { release, gone });
      },
      unlock: () => {
        if (leave) this.#holders.delete(id);
        leave?.();
        leave = undefined;
        return Promise.resolve();
      },
    };
  }
}

async function goneOrAborted(gone: Promise<void>, signal: AbortSignal): Promise<void> {
  let onAbort: () => void = () => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(endedByAnother());
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
  });
  await Promise.race([gone, aborted]).finally(() => signal.removeEventListener('abort', onAbort));
}
