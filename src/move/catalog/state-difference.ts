import { isDeepStrictEqual } from 'node:util';
import type { FileCatalog, StateItem, StateKind } from '../../catalog/file-catalog.ts';
import { STATE_KINDS } from '../../catalog/transfer.ts';
import { staysBehind, type MovedCatalogs } from './progress.ts';

/** Items of one page of a listing. */
const PAGE = 500;

/** Items of one import. */
const WRITTEN_AT_ONCE = 100;

/** How the target differs from the source in what is stored besides files. */
export interface StateDifference {
  /** Items that the target lacks or has otherwise, as the source has them. */
  readonly changed: readonly StateItem[];
  /** Items that the source does not have. */
  readonly extra: readonly StateItem[];
}

/** Compares everything but files. There is little of it, and no log of its changes. */
export async function stateDifference(
  { source, target }: MovedCatalogs,
  signal: AbortSignal,
): Promise<StateDifference> {
  const changed: StateItem[] = [];
  const extra: StateItem[] = [];
  for (const kind of STATE_KINDS) {
    // The target first: what ends in the source meanwhile is then an extra one at the next look, and nothing is lost.
    const there = new Map((await allOf(target, kind, signal)).map((item) => [item.key, item]));
    for (const item of await allOf(source, kind, signal)) {
      if (!isDeepStrictEqual(there.get(item.key), item)) changed.push(item);
      there.delete(item.key);
    }
    extra.push(...there.values());
  }
  return { changed, extra };
}

/** Makes the target like the source. Returns how many items differed. */
export async function applyState(catalogs: MovedCatalogs, signal: AbortSignal): Promise<number> {
  const { changed, extra } = await stateDifference(catalogs, signal);
  // First, because a request key goes on from a session that ended to another one.
  for (const kind of STATE_KINDS) {
    const keys = extra.filter((item) => item.kind === kind).map(({ key }) => key);
    for (let i = 0; i < keys.length; i += WRITTEN_AT_ONCE) {
      await catalogs.target.dropState(kind, keys.slice(i, i + WRITTEN_AT_ONCE), { signal });
    }
  }
  for (let i = 0; i < changed.length; i += WRITTEN_AT_ONCE) {
    await catalogs.target.importState(changed.slice(i, i + WRITTEN_AT_ONCE), { signal });
  }
  return changed.length + extra.length;
}

async function allOf(
  catalog: FileCatalog,
  kind: StateKind,
  signal: AbortSignal,
): Promise<readonly StateItem[]> {
  const found: StateItem[] = [];
  for (let from: string | undefined; ;) {
    const { items, next } = await catalog.exportState(kind, from, PAGE, { signal });
    found.push(...items.filter((item) => !staysBehind(item)));
    if (next === undefined) return found;
    from = next;
  }
}
