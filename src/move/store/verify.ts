import { MoveRefused } from '../refused.ts';
import { checkFile } from '../check-file.ts';
import { verify, type VerifyState } from '../verify.ts';
import { begun, type BegunMove } from './begin.ts';
import { exclusively, type StepOptions, type StoreMove } from './progress.ts';
import { follow } from './start.ts';
import { STORE_VERIFY } from './verification.ts';

/** Files of one step, after which the state is kept. */
const PAGE = 50;

/**
 * Reads every file in the target and compares it with its record, after the position of an earlier run that did not end.
 * Follows the change log first, and again before a file counts as damaged.
 *
 * @throws MoveRefused if not everything was copied yet, or another process runs a step
 */
export function verifyStoreMove(
  move: StoreMove,
  options: StepOptions & { readonly restart?: boolean },
  signal: AbortSignal,
): Promise<VerifyState & { readonly resumedFrom: string }> {
  return exclusively(move, options, signal, async (held) => {
    const known = await begun(move, held);
    if (!known.progress.isCopied)
      throw new MoveRefused('not everything was copied yet: run `asset-service store move start` first');
    const now = { ...known, progress: await follow(move, known, options, held) };
    const found = await verify(
      { catalog: move.catalog, store: known.target.store },
      {
        ...{ sample: 100, since: undefined, restart: options.restart ?? false, stateName: STORE_VERIFY },
        pageSize: () => PAGE,
        ...(options.rate !== undefined && options.rate > 0 && { filesPerSecond: options.rate }),
        onProgress: ({ checked }) => options.onProgress?.(`${checked} files`),
      },
      held,
    );
    return found.damagedCount === 0 ? found : settled(move, now, options, found, held);
  });
}

/** The result without files that came while it was made, and are whole after the change log was followed. */
async function settled(
  move: StoreMove,
  known: BegunMove,
  options: StepOptions,
  found: VerifyState & { readonly resumedFrom: string },
  signal: AbortSignal,
): Promise<VerifyState & { readonly resumedFrom: string }> {
  await follow(move, known, options, signal);
  const parts = { catalog: move.catalog, store: known.target.store };
  const still: VerifyState['damaged'][number][] = [];
  for (const { id, reason } of found.damaged) {
    const file = (await move.catalog.get([id], { signal })).get(id);
    if (file === undefined) continue;
    const { end } = await checkFile(parts, file, signal);
    if (end !== 'whole' && end !== 'gone') still.push({ id, reason });
  }
  const { resumedFrom, ...state } = found;
  const damagedCount = found.damagedCount - (found.damaged.length - still.length);
  const kept = { ...state, damaged: still, damagedCount };
  await move.catalog.legacy.putState(STORE_VERIFY, kept, { signal });
  return { ...kept, resumedFrom };
}
