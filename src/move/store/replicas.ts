import { setTimeout as sleep } from 'node:timers/promises';
import type { FileCatalog } from '../../catalog/file-catalog.ts';
import { MoveRefused } from '../refused.ts';
import { behind, listPresences } from '../replicas/presence.ts';

/** What the replicas show. */
export interface Replicas {
  /** Number of replicas that run, or may still run. */
  readonly count: number;
  /** Number of those that obey the row of this epoch. */
  readonly current: number;
  /** Why a step must wait for each of the others. */
  readonly behind: readonly string[];
}

/** The replicas that run. */
export async function replicasAt(
  catalog: FileCatalog,
  epoch: number,
  call: { readonly signal?: AbortSignal },
): Promise<Replicas> {
  const all = await listPresences(catalog, 'store', call);
  const wanted = { epoch, states: ['ready'], move: 'store' } as const;
  const others = all.flatMap((one) => behind(one, wanted) ?? []);
  return { count: all.length, current: all.length - others.length, behind: others };
}

/**
 * Waits until all running replicas obey the row of an epoch.
 *
 * @throws MoveRefused if one does not in time
 */
export async function awaitReplicas(
  catalog: FileCatalog,
  epoch: number,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Replicas> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const seen = await replicasAt(catalog, epoch, { signal });
    if (seen.current === seen.count) return seen;
    if (Date.now() > deadline) throw new MoveRefused(seen.behind.join('; '));
    await sleep(250, undefined, { signal });
  }
}
