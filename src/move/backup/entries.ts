import type { Manifest } from './format.ts';
import { idOf, type BackupEntry, type BackupFile, type PageReference } from './format.ts';
import type { BackupPlace } from './place.ts';

const MAX_DAMAGED = 1_000;

/** Changed files that are held in memory at once. */
const HELD = 50_000;

/** Maximum number of files of one page. */
const PAGE = 200;

/**
 * The files of a backup in the order of ids, as they were at its point of the change log, page by page. Of the changes
 * since the last full backup, `held` are in memory at once, and the ids of all; if there are more, all pages of changes
 * are read once for each such part.
 */
export async function* filesOf(
  place: BackupPlace,
  { records, changes }: Pick<Manifest, 'records' | 'changes'>,
  signal: AbortSignal,
  held = HELD,
): AsyncGenerator<readonly BackupFile[]> {
  const bounds = await boundsOf(place, changes, held, signal);
  let part = await ChangedFiles.read(place, changes, bounds, 0, signal);
  for (const reference of records) {
    let rest = (await place.readPage(reference, signal)) as readonly BackupFile[];
    for (; rest.length > 0 && part.end !== undefined && rest.at(-1)!.record.id > part.end;) {
      const end = part.end;
      yield* part.with(rest.filter(({ record }) => record.id <= end));
      yield* part.rest();
      rest = rest.filter(({ record }) => record.id > end);
      part = await ChangedFiles.read(place, changes, bounds, part.index + 1, signal);
    }
    yield* part.with(rest);
  }
  for (;;) {
    yield* part.rest();
    if (part.end === undefined) return;
    part = await ChangedFiles.read(place, changes, bounds, part.index + 1, signal);
  }
}

/** The last ids of the parts of the changes but the last one. */
async function boundsOf(
  place: BackupPlace,
  changes: readonly PageReference[],
  held: number,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const ids = new Set<string>();
  for (const reference of changes)
    for (const entry of await place.readPage(reference, signal)) ids.add(idOf(entry));
  if (ids.size <= held) return [];
  return [...ids].sort().filter((_id, at) => at % held === held - 1);
}

/** The last state of the changed files of one part of the ids. */
class ChangedFiles {
  readonly index: number;
  /** Last id of the part; undefined for the last part. */
  readonly end: string | undefined;
  readonly #changed = new Map<string, BackupEntry>();
  #ids: readonly string[] = [];
  #next = 0;

  private constructor(index: number, end: string | undefined) {
    [this.index, this.end] = [index, end];
  }

  static async read(
    place: BackupPlace,
    changes: readonly PageReference[],
    bounds: readonly string[],
    index: number,
    signal: AbortSignal,
  ): Promise<ChangedFiles> {
    const part = new ChangedFiles(index, bounds[index]);
    const begin = bounds[index - 1] ?? '';
    for (const reference of changes) {
      for (const entry of await place.readPage(reference, signal)) {
        const id = idOf(entry);
        if (id > begin && (part.end === undefined || id <= part.end)) part.#add(entry);
      }
    }
    part.#ids = [...part.#changed.keys()].sort();
    return part;
  }

  /** Files that were copied at first, in their order, with what has changed up to the last of them. */
  *with(files: readonly BackupFile[]): Generator<readonly BackupFile[]> {
    const last = files.at(-1);
    if (last === undefined) return;
    for (const file of files) this.#keepRequestKey(file);
    const unchanged = files.filter(({ record }) => !this.#changed.has(record.id));
    const both = [...unchanged, ...this.#until(last.record.id)];
    yield* paged(both.sort((a, b) => (a.record.id < b.record.id ? -1 : 1)));
  }

  /** The changed files after those. */
  *rest(): Generator<readonly BackupFile[]> {
    yield* paged(this.#until());
  }

  #until(last?: string): BackupFile[] {
    const files: BackupFile[] = [];
    for (; this.#next < this.#ids.length; this.#next++) {
      const id = this.#ids[this.#next]!;
      if (last !== undefined && id > last) break;
      const entry = this.#changed.get(id)!;
      if (!('purged' in entry)) files.push(entry);
    }
    return files;
  }

  #add(entry: BackupEntry): void {
    const before = this.#changed.get(idOf(entry));
    this.#changed.set(idOf(entry), entry);
    if (before !== undefined && !('purged' in before)) this.#keepRequestKey(before);
  }

  /** Request keys never change, and the change log does not have them. */
  #keepRequestKey({ record, requestKey }: BackupFile): void {
    const entry = this.#changed.get(record.id);
    if (requestKey === undefined || entry === undefined || 'purged' in entry) return;
    this.#changed.set(record.id, { ...entry, requestKey });
  }
}

function* paged(files: readonly BackupFile[]): Generator<readonly BackupFile[]> {
  for (let at = 0; at < files.length; at += PAGE) yield files.slice(at, at + PAGE);
}

/** Reads all pages of a backup, and counts. */
export async function summaryOf(
  place: BackupPlace,
  pages: Pick<Manifest, 'records' | 'changes'>,
  signal: AbortSignal,
): Promise<Pick<Manifest, 'files' | 'bytes' | 'deleted' | 'notMoved' | 'damagedCount' | 'damaged'>> {
  const counts = { files: 0, bytes: 0, deleted: 0, notMoved: 0, damagedCount: 0 };
  const damaged: { id: string; reason: NonNullable<BackupFile['damaged']> }[] = [];
  for await (const page of filesOf(place, pages, signal)) {
    for (const { record, damaged: reason } of page) {
      counts.files += 1;
      counts.bytes += record.sizeBytes;
      if (record.deleteTime !== undefined) counts.deleted += 1;
      if (record.sha256 === undefined) counts.notMoved += 1;
      if (reason === undefined) continue;
      counts.damagedCount += 1;
      if (damaged.length < MAX_DAMAGED) damaged.push({ id: record.id, reason });
    }
  }
  return { ...counts, damaged };
}
