import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Leases } from '../../catalog/file-catalog.ts';
import { underLease } from '../lease.ts';

/** The lease of what purges, and of what needs that nothing is purged. It expires so long after its holder has died. */
const LEASE = { name: 'purge', ttlMs: 60_000 };

/** Pause of a sweeper after it has released the lease: {@link withoutPurges} waits for it. */
const PAUSE_MS = 250;
const RETRY_MS = 50;

/**
 * Holder of the lease for all sweepers, which are kept apart by a lease of their own: what a killed one leaves does not
 * hold up the next.
 */
const SWEEPER = 'sweeper';

/** Runs work that purges files; returns undefined, without running it, while something holds back purges. */
export async function whilePurging<T>(
  catalog: Leases,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  return underLease(catalog, { ...LEASE, holder: SWEEPER }, signal, work);
}

/** Lets others have the lease between two runs of {@link whilePurging}. */
export async function pauseBetweenPurges(signal: AbortSignal): Promise<void> {
  await sleep(PAUSE_MS, undefined, { signal });
}

/**
 * Runs work while nothing is purged; waits for what is being purged. The signal of the work is aborted if that can no
 * longer be guaranteed, such as after an outage of the catalog.
 *
 * @param onWait - called once if it has to wait
 */
export async function withoutPurges<T>(
  catalog: Leases,
  signal: AbortSignal,
  onWait: () => void,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const run = async (held: AbortSignal) => ({ result: await work(held) });
  for (let attempt = 1; ; attempt++) {
    const done = await underLease(catalog, { ...LEASE, holder: randomUUID() }, signal, run);
    if (done !== undefined) return done.result;
    if (attempt === 1) onWait();
    await sleep(RETRY_MS, undefined, { signal });
  }
}
