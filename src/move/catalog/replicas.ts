import { behind, listPresences, newestOf, type Presence } from '../replicas/presence.ts';
import type { Flow } from './flow.ts';
import type { MovedCatalogs } from './progress.ts';

/** The replicas that run, as both catalogs have them: a replica shows itself in the one that is active to it. */
export async function replicasOf(
  { source, target }: MovedCatalogs,
  signal?: AbortSignal,
): Promise<readonly Presence[]> {
  const call = { ...(signal && { signal }) };
  const lists = [source, target].map((catalog) => listPresences(catalog, 'catalog', call));
  return newestOf((await Promise.all(lists)).flat());
}

/** Why the move must wait: one line for each replica that is not at the epoch of the row and in one of these states. */
export async function replicasBehind(
  flow: Flow,
  states: readonly Presence['state'][],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const wanted = { epoch: flow.row.epoch, states, move: 'catalog' } as const;
  return (await replicasOf(flow, signal)).flatMap((one) => behind(one, wanted) ?? []);
}
