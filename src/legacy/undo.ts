import { Buffer } from 'node:buffer';
import pLimit from 'p-limit';
import type { FileRecord } from '../catalog/file-catalog.ts';
import type { FieldValues } from '../catalog/legacy-records.ts';
import { isAssetError } from '../errors/asset-error.ts';
import { underFreeLease } from '../files/lease.ts';
import { digestOf } from '../files/upload/checksums.ts';
import type { OldSystem } from './old-system.ts';
import { BACKFILL, backfillState, type BackfillState } from './backfill-state.ts';
import { Concurrency, type FileTimes } from './concurrency.ts';
import { locate } from './locate.ts';
import { readBefore, type BeforeMove } from './undo-journal.ts';

/** Options of {@link undoBackfill}. */
export interface UndoOptions {
  /** Unique to this process. */
  readonly holder: string;
  /** Maximum number of files processed concurrently; begins with one. */
  readonly workers: number;
  /** Called for every file that stays moved, with the reason. */
  readonly onKept?: (id: string, why: string) => void;
  readonly onProgress?: (undone: number) => void;
  /** Time after which another process may take over, in milliseconds; default 10,000. */
  readonly leaseMs?: number;
}

/** Results of an undo: number of files served from the old bucket again, and of those that stay moved. */
export interface Undone {
  readonly undone: number;
  readonly kept: number;
}

/**
 * Undoes a backfill: old files are served from the old bucket again and have their links. A file stays moved if the
 * old bucket no longer has its bytes. Copies in the store of the service stay; the next backfill replaces them. May be
 * repeated.
 *
 * @returns undefined, without doing anything, while another process moves files
 */
export function undoBackfill(
  system: OldSystem,
  options: UndoOptions,
  signal: AbortSignal,
): Promise<Undone | undefined> {
  const lease = { name: BACKFILL, holder: options.holder, ttlMs: options.leaseMs ?? 10_000 };
  return underFreeLease(system.catalog, lease, signal, (held) => undoPages(system, options, held));
}

async function undoPages(system: OldSystem, options: UndoOptions, signal: AbortSignal): Promise<Undone> {
  const { legacy } = system.catalog;
  const state = await backfillState(legacy, { signal });
  if (state === undefined) return { undone: 0, kept: 0 };
  const concurrency = new Concurrency(options.workers);
  const limit = pLimit(1);
  let undone = 0;
  const kept = new Set<string>();
  // The last page first: if several runs saved a file, the newest entry counts.
  for (let page = (state.journal ?? 0) - 1; page >= 0; page--) {
    signal.throwIfAborted();
    const entries = await readBefore(legacy, page, { signal });
    const ids = entries.map(({ id }) => id);
    const [files, fields] = await Promise.all([
      system.catalog.get(ids, { signal }),
      legacy.fieldsOf(ids, { signal }),
    ]);
    const results = await Promise.all(
      entries.map((entry) =>
        limit(async () => {
          const times = concurrency.begin();
          const [file, values] = [files.get(entry.id), fields.get(entry.id) ?? {}];
          const done = await undoOne(system, entry, { file, fields: values, times }, signal);
          if (done !== 'nothing') times.end();
          limit.concurrency = concurrency.current;
          return done;
        }),
      ),
    );
    for (const [index, why] of results.entries()) {
      if (why === 'undone') undone += 1;
      else if (why !== 'nothing') {
        const { id } = entries[index]!;
        // A run that was killed within a page has left that page in the journal twice.
        if (!kept.has(id)) options.onKept?.(id, why);
        kept.add(id);
      }
    }
    options.onProgress?.(undone);
  }
  const updateTime = new Date().toISOString();
  const ended: Partial<BackfillState> = {
    state: 'undone',
    cursor: '',
    counts: {},
    movedBytes: 0,
    updateTime,
  };
  // Files that stay moved keep their entries.
  await legacy.putState(BACKFILL, { ...state, ...ended, ...(kept.size === 0 && { journal: 0 }) }, { signal });
  return { undone, kept: kept.size };
}

/** Resolves with `undone`, with `nothing` for a file that is not moved, or with why it stays moved. */
async function undoOne(
  { bucket, catalog }: OldSystem,
  { sizeBytes, contentType, link }: BeforeMove,
  now: {
    readonly file: FileRecord | undefined;
    readonly fields: FieldValues;
    readonly times: FileTimes;
  },
  signal: AbortSignal,
): Promise<string> {
  const { file, fields, times } = now;
  if (file?.sha256 === undefined) return 'nothing';
  const { linkField } = bucket;
  const restored = link === '' ? {} : { [linkField]: link };
  const before = { ...fields, ...(link !== '' && { [linkField]: [link] }) };
  const began = performance.now();
  const place = await locate(bucket, file, before, signal);
  times.observe('store', performance.now() - began);
  if (place.damage !== undefined) return `the old bucket does not have its bytes any more (${place.damage})`;
  const content = await bucket.reader.read(place.key, place.info.etag, undefined, { signal });
  const { sha256 } = await digestOf(content);
  if (Buffer.compare(sha256, file.sha256) !== 0) return 'the old bucket has other bytes under its key';
  const writing = performance.now();
  try {
    await catalog.legacy.unsetBytes(file.id, file.revision, { sizeBytes, contentType }, restored, { signal });
    times.observe('catalog', performance.now() - writing);
    return 'undone';
  } catch (error) {
    if (!isAssetError(error, 'CONCURRENT_CHANGE', 'CATALOG_REFUSED', 'RELATION_TARGET_MISSING')) throw error;
    return `the catalog takes no change of its record (${error.reason})`;
  }
}
