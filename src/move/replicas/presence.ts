import type { CatalogCall, FileCatalog, Transfer } from '../../catalog/file-catalog.ts';

/** What a replica shows of itself. */
export interface Presence {
  /** Random, of one process: 15 of `[a-z0-9]`. */
  readonly id: string;
  /** Of the last row of the move that it obeys; 0 if it knows none. */
  readonly epoch: number;
  /**
   * - `ready`: it obeys the row and reaches what the move goes to;
   * - `paused`: so it does, and none of its writes runs or begins before the next row;
   * - `unaware`: its settings do not name what the move goes to;
   * - `blind`: it cannot reach what the move goes to, or its settings contradict the row.
   */
  readonly state: 'ready' | 'paused' | 'unaware' | 'blind';
  /** By the replica's clock, in milliseconds since 1970. */
  readonly expireTime: number;
}

/** The move that replicas show themselves for. */
export type MoveKind = 'catalog' | 'store';

/** How long after its expiry a presence still counts, in milliseconds: clocks differ, and calls of the replica may still run. */
const LINGERS_MS = 20_000;

/** Items of one page of a listing. */
const PAGE = 500;

/** Names of the leases of replicas begin so; they belong to a catalog and are not moved or copied with it. */
export const REPLICA_LEASES = 'replica-';

const HOLDER = /^e(\d{1,15})-(ready|paused|unaware|blind)$/;

/**
 * Shows a replica as running until a time. Must be repeated before that, and whenever epoch or state change.
 *
 * A replica that cannot do so until its presence expires must not write any more, because nobody waits for it.
 */
export async function showPresence(
  catalog: Pick<Transfer, 'importState'>,
  kind: MoveKind,
  { id, epoch, state, expireTime }: Presence,
  call?: CatalogCall,
): Promise<void> {
  const value = { holder: `e${epoch}-${state}`, expireTime };
  // A lease without a competitor: written as a whole, and replaced by its replica only.
  await catalog.importState([{ kind: 'lease', key: leaseOf(kind, id), value }], call);
}

/** Ends the presence of a replica that stops, so that nobody waits for it. */
export async function endPresence(
  catalog: Pick<Transfer, 'dropState'>,
  kind: MoveKind,
  id: string,
  call?: CatalogCall,
): Promise<void> {
  await catalog.dropState('lease', [leaseOf(kind, id)], call);
}

/** The replicas that run, or may still run, by id. Those that were killed count for half a minute. */
export async function listPresences(
  catalog: Pick<FileCatalog, 'exportState'>,
  kind: MoveKind,
  call?: CatalogCall,
): Promise<readonly Presence[]> {
  const found: Presence[] = [];
  const prefix = leaseOf(kind, '');
  for (let from: string | undefined; ;) {
    const { items, next } = await catalog.exportState('lease', from, PAGE, call);
    for (const { key, value } of items) {
      const [, epoch, state] = HOLDER.exec(value.holder) ?? [];
      if (!key.startsWith(prefix) || state === undefined) continue;
      if (value.expireTime + LINGERS_MS < Date.now()) continue;
      const { expireTime } = value;
      const id = key.slice(prefix.length);
      found.push({ id, epoch: Number(epoch), state: state as Presence['state'], expireTime });
    }
    if (next === undefined) return found;
    from = next;
  }
}

/** The replicas of several listings; of each the newest presence. */
export function newestOf(presences: readonly Presence[]): readonly Presence[] {
  const newest = new Map<string, Presence>();
  for (const one of presences) {
    const other = newest.get(one.id);
    if (other === undefined || other.expireTime < one.expireTime) newest.set(one.id, one);
  }
  return [...newest.values()];
}

/** Why a step must wait for a replica, for the operator; undefined if it is at this epoch and in one of these states. */
export function behind(
  { id, epoch, state, expireTime }: Presence,
  wanted: { readonly epoch: number; readonly states: readonly Presence['state'][]; readonly move: MoveKind },
): string | undefined {
  const name = `the replica ${id}`;
  if (expireTime < Date.now())
    return `${name} no longer answers: wait until it is back, or 30 s after its end`;
  if (state === 'unaware')
    return `${name} runs without ASSET_NEXT_*: restart it with the settings of the move`;
  if (state === 'blind') {
    return `${name} cannot reach the ${wanted.move} of ASSET_NEXT_*, or its settings are not those of the move: its log says why`;
  }
  if (epoch !== wanted.epoch) return `${name} is at epoch ${epoch}, not at ${wanted.epoch}`;
  return wanted.states.includes(state) ? undefined : `${name} is ${state}`;
}

function leaseOf(kind: MoveKind, id: string): string {
  return `${REPLICA_LEASES}${kind}-${id}`;
}
