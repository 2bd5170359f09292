import pLimit from 'p-limit';
import type { FileCatalog, FileRecord } from '../../catalog/file-catalog.ts';
import { blobKey, idOfKey } from '../../files/bytes.ts';
import { unknownIds } from '../../files/sweep/proof.ts';
import { reached } from '../../system/crash-points.ts';
import { paceOf } from '../../system/rate.ts';
import { blobPages } from '../../storage/blob-reads.ts';
import { MoveRefused } from '../refused.ts';
import { checkFile } from '../check-file.ts';
import { begun, type BegunMove } from './begin.ts';
import { exclusively, hasBytes, type Refused, type StepOptions, type StoreMove } from './progress.ts';
import { removeLeftovers } from './leftovers.ts';
import { changeRow } from './row.ts';
import { assertUrlsEnded, sourceUrlsEnd } from './source-urls.ts';
import { follow } from './start.ts';

const PAGE = 100;
const AT_ONCE = 6;
const MAX_UNPROVEN = 1_000;

/** Ids in a message. */
const SHOWN = 5;

/** Prefix of the keys of files. */
const FILES = 'assets/';

/** What was deleted in the old store, and what was not. */
export type Retired = {
  readonly move: string;
  /** Id of the last file that was looked at. */
  readonly cursor: string;
  readonly deleted: number;
  readonly deletedBytes: number;
  /** Files that stay in the old store, because the new one does not have their bytes. */
  readonly unproven: readonly Refused[];
  /** Blobs in the old store that belong to no file and no upload. They stay. */
  readonly unknown: number;
  /** What was removed besides: variants, and what uploads had left. */
  readonly derived?: number;
  readonly unfinished?: number;
};

/** Until when signed URLs of the source could have been in use. */
export interface EndedUrls {
  readonly urlsEnd?: Date | undefined;
}

/** Options of {@link retireStore}. */
export interface RetireOptions extends StepOptions {
  /** Maximum share of unknown blobs in the old store, in percent. */
  readonly maxPercent: number;
  /** True to refuse while signed URLs of the source may be in use; otherwise they end with the blobs. */
  readonly afterUrls?: boolean;
}

const RETIRE = 'store-move-retire';

/**
 * Deletes the blobs of files in the source. Each is deleted only after the bytes of the file were read in the target and
 * are those of its record. Then what is derived from files is deleted, and what uploads left. May be repeated, also after a
 * crash.
 *
 * @throws MoveRefused before anything was deleted: if the move is not complete, the target lacks a file, URLs of the source may
 *   be in use and shall not end, or the catalog does not know too many blobs of the source
 */
export function retireStore(
  move: StoreMove,
  options: RetireOptions,
  signal: AbortSignal,
): Promise<Retired & EndedUrls> {
  return exclusively(move, options, signal, async (held) => {
    const known = await begun(move, held);
    const { row } = known.stored;
    const before = await retired(move.catalog, held);
    if (row.state === 'retired' && before?.move === row.move) return before;
    if (row.state !== 'completed')
      throw new MoveRefused('the move is not complete: run `asset-service store move complete` first');
    const progress = await follow(move, known, options, held);
    const now = known.source.store.now();
    const urlsEnd = sourceUrlsEnd(row, progress, { now, seconds: options.urlSeconds });
    if (options.afterUrls === true) assertUrlsEnded(urlsEnd);
    await assertAllThere(move.catalog, known, held);
    const unknown = await countUnknown(move.catalog, known, options.maxPercent, held);
    const goesOn = before?.move === row.move && before.cursor !== '' && before.unproven.length === 0;
    const done = await deleteProven(move.catalog, known, options, held, {
      ...(goesOn ? before : { move: row.move, cursor: '', deleted: 0, deletedBytes: 0, unproven: [] }),
      unknown,
    });
    if (done.unproven.length > 0) return { ...done, urlsEnd };
    const pace = options.rate ? paceOf(options.rate) : undefined;
    const removed = await removeLeftovers(
      move.catalog,
      known.source.store,
      { isOwn: unknown === 0, ...(pace && { pace: (signal) => pace(1, signal) }) },
      held,
    );
    const ended: Retired = { ...done, ...removed };
    await move.catalog.legacy.putState(RETIRE, ended, { signal: held });
    await changeRow(move.catalog, known.stored, { ...row, state: 'retired' }, { signal: held });
    return { ...ended, urlsEnd };
  });
}

/** The result of the last run, if any. */
export async function retired(catalog: FileCatalog, signal?: AbortSignal): Promise<Retired | undefined> {
  const state: unknown = await catalog.legacy.getState(RETIRE, { ...(signal && { signal }) });
  return (state ?? undefined) as Retired | undefined;
}

/** @throws MoveRefused if the target lacks a file, or has another size of it */
async function assertAllThere(catalog: FileCatalog, known: BegunMove, signal: AbortSignal): Promise<void> {
  const missing: string[] = [];
  for await (const files of pagesOf(catalog, '', signal)) {
    await eachOf(files, async (file) => {
      const there = await known.target.store.stat(blobKey(file.id), { signal });
      if (there?.sizeBytes !== file.sizeBytes) missing.push(file.id);
    });
  }
  if (missing.length === 0) return;
  // Some may have been purged meanwhile.
  const alive = new Set<string>();
  for (let at = 0; at < missing.length; at += PAGE)
    for (const id of (await catalog.get(missing.slice(at, at + PAGE), { signal })).keys()) alive.add(id);
  if (alive.size === 0) return;
  throw new MoveRefused(
    `the new store lacks ${alive.size} files or has another size of them (${[...alive].slice(0, SHOWN).join(', ')}): run ` +
      '`asset-service store move verify --repair`; nothing was deleted',
  );
}

/**
 * Counts the blobs of the source that the catalog does not know. None of them is deleted: the count only shows whether the
 * store is that of the catalog.
 */
async function countUnknown(
  catalog: FileCatalog,
  { source }: BegunMove,
  maxPercent: number,
  signal: AbortSignal,
): Promise<number> {
  let [listed, unknown] = [0, 0];
  for await (const page of blobPages(source.store, { prefix: FILES, limit: PAGE }, { signal })) {
    const ids = page.flatMap(({ key }) => idOfKey('blob', key) ?? []);
    listed += ids.length;
    if (ids.length > 0) unknown += (await unknownIds({ catalog }, ids, true, signal)).size;
  }
  const percent = listed === 0 ? 0 : (unknown * 100) / listed;
  if (percent <= maxPercent) return unknown;
  throw new MoveRefused(
    `of ${listed} blobs in the old store ${unknown} belong to no file of the catalog, which is ${percent.toFixed(1)} percent and more than ` +
      `${maxPercent}: is it the store of this catalog? If so, give --max-retire ${Math.ceil(percent)}; nothing was deleted`,
  );
}

async function deleteProven(
  catalog: FileCatalog,
  { source, target }: BegunMove,
  { rate = 0, onProgress }: RetireOptions,
  signal: AbortSignal,
  begin: Retired,
): Promise<Retired> {
  let done = begin;
  const pace = rate > 0 ? paceOf(rate) : undefined;
  const keep = () =>
    catalog.legacy.putState(RETIRE, { ...done, unproven: done.unproven.slice(0, MAX_UNPROVEN) }, { signal });
  await keep();
  for await (const files of pagesOf(catalog, begin.cursor, signal)) {
    await eachOf(files, async (file) => {
      const key = blobKey(file.id);
      if ((await source.store.stat(key, { signal })) === undefined) return;
      await pace?.(1, signal);
      const { end } = await checkFile({ catalog, store: target.store }, file, signal);
      if (end !== 'whole') {
        if (end !== 'gone') done = { ...done, unproven: [...done.unproven, { id: file.id, reason: end }] };
        return;
      }
      await source.store.delete(key, { signal });
      reached('store-move.retired-one');
      done = { ...done, deleted: done.deleted + 1, deletedBytes: done.deletedBytes + file.sizeBytes };
    });
    done = { ...done, cursor: files.at(-1)?.id ?? done.cursor };
    await keep();
    onProgress?.(`${done.deleted} files`);
  }
  return done;
}

async function* pagesOf(
  catalog: FileCatalog,
  from: string,
  signal: AbortSignal,
): AsyncGenerator<readonly FileRecord[]> {
  for (let cursor = from; ;) {
    const page = await catalog.legacy.scan(cursor, PAGE, { signal });
    yield page.map(({ file }) => file).filter(hasBytes);
    if (page.length < PAGE) return;
    cursor = page.at(-1)!.file.id;
  }
}

async function eachOf(
  files: readonly FileRecord[],
  work: (file: FileRecord) => Promise<void>,
): Promise<void> {
  const limit = pLimit(AT_ONCE);
  const works = files.map((file) => limit(() => work(file)));
  await Promise.allSettled(works);
  await Promise.all(works);
}
