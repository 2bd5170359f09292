import { setTimeout as sleep } from 'node:timers/promises';
import type { FileCatalog } from '../../catalog/file-catalog.ts';
import { MoveRefused } from '../refused.ts';
import { listPresences } from '../replicas/presence.ts';
import { moveSubscriptions, type CompleteOptions } from './complete.ts';
import { exclusively } from './exclusive.ts';
import { advance, type Flow } from './flow.ts';
import { catalogId, readCatalogRow, type CatalogRow, type MoveSide } from './row.ts';
import type { MoveOptions } from './exclusive.ts';

/** How long replicas may take to see that a catalog is gone, in milliseconds. */
const REPLICAS_MS = 15_000;

/** The end of a move without the catalog that is gone. */
export interface EndedWithout {
  readonly isChanged: boolean;
  readonly row: CatalogRow;
  /** Names of the subscriptions whose events from before the switch are lost. */
  readonly lost: readonly string[];
}

/** The id of the catalog that is said to be gone; rejects if it does not answer. */
export type GoneId = () => Promise<string | undefined>;

/**
 * Completes a move whose old catalog is gone for good. There is no way back afterwards, and events from before the switch
 * that nobody has taken are lost.
 *
 * @param target - the active catalog
 * @throws MoveRefused unless that is active, and neither this process nor a replica reaches the old one
 */
export function completeWithout(
  target: FileCatalog,
  sourceId: GoneId,
  options: CompleteOptions & { readonly replicasMs?: number },
  signal: AbortSignal,
): Promise<EndedWithout> {
  return endWithout(target, 'source', sourceId, options, signal, (flow, held) =>
    moveSubscriptions(flow, options, held),
  );
}

/** Cancels a move whose target is gone for good. See {@link completeWithout}; nothing is lost. */
export function cancelWithout(
  source: FileCatalog,
  targetId: GoneId,
  options: MoveOptions & { readonly replicasMs?: number },
  signal: AbortSignal,
): Promise<EndedWithout> {
  return endWithout(source, 'target', targetId, options, signal, () => Promise.resolve([]));
}

async function endWithout(
  active: FileCatalog,
  gone: 'source' | 'target',
  goneId: GoneId,
  options: MoveOptions & { readonly replicasMs?: number },
  signal: AbortSignal,
  finish: (flow: Flow, held: AbortSignal) => Promise<readonly string[]>,
): Promise<EndedWithout> {
  const state = gone === 'source' ? 'completed' : 'cancelled';
  // The active catalog stands for both: its copy of the row decides.
  const alone = { source: active, target: active };
  return exclusively(alone, options, signal, async (held) => {
    const [id, stored] = await Promise.all([
      catalogId(active, { signal: held }),
      readCatalogRow(active, { signal: held }),
    ]);
    if (stored === undefined) throw new MoveRefused('no move was begun');
    const { row } = stored;
    if (row.state === state) return { isChanged: false, row, lost: [] };
    if (row.active !== id || row.active === row[gone].id) throw neededFor(row, gone);
    if (row.state === 'completed' || row.state === 'cancelled') {
      throw new MoveRefused(`the move is ${row.state}: there is nothing to end`);
    }
    await assertGone(row[gone], gone, goneId);
    await replicasSeeIt(active, row[gone], options.replicasMs ?? REPLICAS_MS, held);
    const lost = await finish({ ...alone, row }, held);
    return { isChanged: true, row: await advance({ ...alone, row }, { state }, held), lost };
  });
}

function neededFor({ source, target }: CatalogRow, gone: 'source' | 'target'): MoveRefused {
  return gone === 'source'
    ? new MoveRefused(
        `the files are in the source (${source.kind}), and the ${target.kind} may lack the last of them: restore the ` +
          'source, from a backup if need be. If it is the target that is gone, run `asset-service catalog move cancel --without-target`',
      )
    : new MoveRefused(
        `the files are in the target (${target.kind}): restore it. If it is the source that is gone, run ` +
          '`asset-service catalog move complete --without-source`',
      );
}

async function assertGone({ kind, id }: MoveSide, gone: 'source' | 'target', goneId: GoneId): Promise<void> {
  // An error, or the id of another catalog in its place.
  if ((await goneId().catch(() => undefined)) !== id) return;
  const [verb, option] = gone === 'source' ? ['complete', 'source'] : ['cancel', 'target'];
  throw new MoveRefused(
    `the ${gone} (${kind}) answers: run \`asset-service catalog move ${verb}\` without --without-${option}`,
  );
}

/** Waits until no replica reaches the catalog that is gone. */
async function replicasSeeIt(
  active: FileCatalog,
  { kind }: MoveSide,
  waitMs: number,
  signal: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const presences = await listPresences(active, 'catalog', { signal });
    const reaching = presences.find(
      ({ state, expireTime }) => expireTime > Date.now() && (state === 'ready' || state === 'paused'),
    );
    if (reaching === undefined) return;
    if (performance.now() > deadline) {
      throw new MoveRefused(
        `the replica ${reaching.id} reaches the ${kind}, and this command does not: correct the settings of this command`,
      );
    }
    await sleep(200, undefined, { signal });
  }
}
