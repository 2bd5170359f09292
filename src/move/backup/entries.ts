import type { Manifest } from './format.ts';
import { idOf, type BackupEntry, type BackupFile, type PageReference } from './format.ts';
import type { BackupPlace } from './place.ts';

const MAX_DAMAGED = 1_000;

/**
 * The files of a backup in the order of ids, as they were at its point of the change log, page by page. All changes since
 * the last full backup are held in memory.
 */
export async function* filesOf(
  place: BackupPlace,
  { records, changes }: Pick<Manifest, 'records' | 'changes'>,
  signal: AbortSignal,
): AsyncGenerator<readonly BackupFile[]> {
  const changed = await lastChanges(place, changes, signal);
  const ids = [...changed.keys()].toSorted();
  let next = 0;
  /** The changed files up to an id, or all. */
  const changedUntil = (last?: string): BackupFile[] => {
    const files: BackupFile[] = [];
    for (; next < ids.length && (last === undefined || ids[next]! <= last); next++) {
      const entry = changed.get(ids[next]!)!;
      if (!('purged' in entry)) files.push(entry);
    }
    return files;
  };
  for (const reference of records) {
    const page = (await place.readPage(reference, signal)) as readonly BackupFile[];
    const last = page.at(-1);
    if (last === undefined) continue;
    for (const file of page) keepRequestKey(changed, file);
    const unchanged = page.filter(({ record }) => !changed.has(record.id));
    const both = [...unchanged, ...changedUntil(last.record.id)];
    yield both.toSorted((a, b) => (a.record.id < b.record.id ? -1 : 1));
  }
  yield changedUntil();
}

async function lastChanges(
  place: BackupPlace,
  changes: readonly PageReference[],
  signal: AbortSignal,
): Promise<Map<string, BackupEntry>> {
  const changed = new Map<string, BackupEntry>();
  for (const reference of changes) {
    for (const entry of await place.readPage(reference, signal)) {
      const before = changed.get(idOf(entry));
      changed.set(idOf(entry), entry);
      if (before !== undefined && !('purged' in before)) keepRequestKey(changed, before);
    }
  }
  return changed;
}

/** Request keys never change, and the change log does not have them. */
function keepRequestKey(changed: Map<string, BackupEntry>, { record, requestKey }: BackupFile): void {
  const entry = changed.get(record.id);
  if (requestKey === undefined || entry === undefined || 'purged' in entry) return;
  changed.set(record.id, { ...entry, requestKey });
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
