import { setTimeout as sleep } from 'node:timers/promises';
import type { Leases } from '../catalog/file-catalog.ts';

/** A lease of the catalog that work is done under. */
export interface Lease {
  readonly name: string;
  /** Of this process alone. */
  readonly holder: string;
  /** How long it lasts unless it is prolonged, in milliseconds: after a crash nobody has it for so long. */
  readonly ttlMs: number;
}

/** Longest wait for the catalog when a lease is given up, in milliseconds. */
const RELEASE_TIMEOUT_MS = 5_000;

/**
 * Does some work while this process has a lease, which is prolonged at every third of its time and given up at the end.
 *
 * `work` gets a signal that is aborted with `signal`, and also if the lease is lost: another has it, or it could not be
 * prolonged in time. Rejects as `work` does, or if the lease cannot be asked for.
 *
 * @returns undefined, and nothing is done, if another holder has the lease
 */
export async function underLease<T>(
  catalog: Leases,
  lease: Lease,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const { name, holder, ttlMs } = lease;
  const lost = new AbortController();
  const done = new AbortController();
  let expiry: NodeJS.Timeout | undefined;

  /** Takes or prolongs the lease. The time of it counts from before the catalog was asked. */
  const acquire = async (call: AbortSignal): Promise<boolean> => {
    const started = performance.now();
    const has = await catalog.acquireLease(name, holder, new Date(Date.now() + ttlMs), { signal: call });
    clearTimeout(expiry);
    const left = ttlMs - (performance.now() - started);
    if (has) expiry = setTimeout(() => lost.abort(new LeaseLost(name)), left);
    return has;
  };

  const prolong = async (): Promise<void> => {
    const end = AbortSignal.any([done.signal, lost.signal]);
    for (;;) {
      await sleep(ttlMs / 3, undefined, { signal: end }).catch(() => undefined);
      if (end.aborted) return;
      try {
        // Not cut short by the end of the work: what is still under way then could take the lease again once it was given up.
        if (!(await acquire(lost.signal))) lost.abort(new LeaseLost(name));
      } catch {
        // The catalog is in trouble; there is time for another try or two before the lease expires.
      }
    }
  };

  if (!(await acquire(signal))) return undefined;
  const prolonging = prolong();
  try {
    return await work(AbortSignal.any([signal, lost.signal]));
  } finally {
    done.abort();
    await prolonging;
    clearTimeout(expiry);
    // If that fails it expires by itself.
    await catalog
      .releaseLease(name, holder, { signal: AbortSignal.timeout(RELEASE_TIMEOUT_MS) })
      .catch(() => undefined);
  }
}

/** Why work under a lease was ended. */
export class LeaseLost extends Error {
  constructor(name: string) {
    super(`the lease "${name}" was lost`);
    this.name = 'LeaseLost';
  }
}
