import type { Leases } from '../catalog/file-catalog.ts';
import { underFreeLease } from '../files/lease.ts';
import { StepRefused } from './refused.ts';

/** Default time after which another process may take over from a killed one, in milliseconds. */
const LEASE_MS = 10_000;

/** Holder of the lease of a step. */
export interface StepHolder {
  /** Unique to this process. */
  readonly holder: string;
  readonly leaseMs?: number;
}

/**
 * Runs a step under its lease. Waits until the lease of a killed process has expired.
 *
 * @throws StepRefused BUSY if another process runs it
 */
export async function exclusively<T>(
  catalog: Leases,
  name: string,
  { holder, leaseMs = LEASE_MS }: StepHolder,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const lease = { name, holder, ttlMs: leaseMs };
  const ended = await underFreeLease(catalog, lease, signal, async (held) => ({ value: await work(held) }));
  if (ended !== undefined) return ended.value;
  throw new StepRefused({ reason: 'BUSY', text: 'another process runs this step: nothing was done' });
}
