import { setTimeout as sleep } from 'node:timers/promises';
import type { Leases } from '../catalog/file-catalog.ts';

/** A lease of the catalog for some work. */
export interface Lease {
  readonly name: string;
  /** Unique to this process. */
  readonly holder: string;
  /** Duration unless renewed, in milliseconds: after a crash nobody has the lease for so long. */
  readonly ttlMs: number;
}

/** Maximum wait for the catalog when a lease is released, in milliseconds. */
const RELEASE_TIMEOUT_MS = 5_000;

/**
 * Runs work while this process has a lease, which is renewed after each third of its duration and released at the
 * end.
 *
 * `work` gets a signal that is aborted with `signal`, and if the lease is lost: another process has it, or it was
 * not renewed in time. Rejects like `work`, or if the lease cannot be requested.
 *
 * @returns undefined, without running the work, if another holder has the lease
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

  /** Takes or renews the lease. Its duration counts from before the request. */
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
        // Not cancelled with the work: a request still running could take the lease again after its release.
        if (!(await acquire(lost.signal))) lost.abort(new LeaseLost(name));
      } catch {
        // The catalog has a problem; there is time for another attempt or two before the lease expires.
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
    // If that fails it expires.
    await catalog
      .releaseLease(name, holder, { signal: AbortSignal.timeout(RELEASE_TIMEOUT_MS) })
      .catch(() => undefined);
  }
}

/** Why work under a lease was stopped; the message is for the operator. */
export class LeaseLost extends Error {
  constructor(name: string) {
    super(
      `the lease "${name}" was not renewed in time: a catalog did not answer, or another process has taken over. What was ` +
        'done is kept: run the command again when the catalog answers',
    );
    this.name = 'LeaseLost';
  }
}

/**
 * Like {@link underLease}, but waits up to one and a half durations while another holder has the lease, because a killed
 * process has it until it expires.
 */
export async function underFreeLease<T>(
  catalog: Leases,
  lease: Lease,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const { ttlMs } = lease;
  const times = { waitMs: ttlMs * 1.5, everyMs: Math.min(1_000, ttlMs / 5) };
  return untilFree(() => underLease(catalog, lease, signal, work), times, signal);
}

/**
 * Repeats an attempt to get leases for some work until it gives a value.
 *
 * @param times - how long it is repeated at most, and the pause after each attempt, in milliseconds
 * @returns undefined if another holder had them all the time
 */
export async function untilFree<T>(
  attempt: () => Promise<T | undefined>,
  { waitMs, everyMs }: { readonly waitMs: number; readonly everyMs: number },
  signal: AbortSignal,
): Promise<T | undefined> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const ended = await attempt();
    if (ended !== undefined || performance.now() > deadline) return ended;
    await sleep(everyMs, undefined, { signal });
  }
}
