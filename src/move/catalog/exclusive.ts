import type { FileRecord } from '../../catalog/file-catalog.ts';
import { underLease, untilFree } from '../../files/lease.ts';
import { CATALOG_MOVE, type MovedCatalogs, type MoveProgress } from './progress.ts';
import { stepRuns } from '../refused.ts';

/** Default time after which another process may take over from a killed one, in milliseconds. */
const LEASE_MS = 10_000;

/** Options of the steps of a move. */
export interface MoveOptions {
  /** Unique to this process: 1 to 64 of `[A-Za-z0-9_-]`. */
  readonly holder: string;
  /** Maximum number of records per second; 0 for no limit, undefined for that of the run before. */
  readonly rate?: number | undefined;
  readonly leaseMs?: number;
  /** Why a record must not be moved; undefined if it may. */
  readonly whyNot?: (record: FileRecord) => string | undefined;
  readonly onProgress?: (progress: MoveProgress) => void;
}

/**
 * Runs a step of a move while no other process runs one. Waits until the lease of a killed process has expired.
 *
 * @throws MoveRefused if another process does
 */
export async function exclusively<T>(
  catalogs: MovedCatalogs,
  options: MoveOptions,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { leaseMs = LEASE_MS } = options;
  // Replicas that follow have the lease for a moment each second.
  const times = { waitMs: leaseMs * 1.5, everyMs: Math.min(200, leaseMs / 5) };
  const attempt = () => ifFree(catalogs, options, signal, async (held) => ({ value: await work(held) }));
  const ended = await untilFree(attempt, times, signal);
  if (ended === undefined) throw stepRuns();
  return ended.value;
}

/** Runs a step, or resolves with undefined if another process runs one. In both catalogs: the next move may go the other way. */
export function ifFree<T>(
  { source, target }: MovedCatalogs,
  { holder, leaseMs = LEASE_MS }: MoveOptions,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const lease = { name: CATALOG_MOVE, holder, ttlMs: leaseMs };
  // Always in the same order, whichever is active: two processes then never wait for each other.
  const [first, second] = source.kind <= target.kind ? [source, target] : [target, source];
  return underLease(first, lease, signal, (held) => underLease(second, lease, held, work));
}
