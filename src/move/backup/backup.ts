import { setTimeout as sleep } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { Change, FileCatalog, TransferredFile } from '../../catalog/file-catalog.ts';
import { blobKey } from '../../files/bytes.ts';
import { withoutPurges } from '../../files/sweep/purge-hold.ts';
import type { BlobProperties } from '../../storage/blob.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { ObjectReader } from '../../storage/object-reader.ts';
import { reached } from '../../system/crash-points.ts';
import { beginBackup } from './begin.ts';
import { copyBytes, type CopyLimits } from './copy.ts';
import { summaryOf } from './entries.ts';
import type { BackupEntry, BackupFile, Manifest, PageReference } from './format.ts';
import type { BackupPlace } from './place.ts';

/** What a backup reads and where it writes. */
export interface BackupParts extends CopyLimits {
  readonly catalog: FileCatalog;
  readonly store: BlobStore;
  readonly place: BackupPlace;
  /** Reads the headers of the objects in the store; none for a store without headers. */
  readonly readers?: readonly Pick<ObjectReader, 'stat'>[];
}

/** How far a backup is. */
export interface BackupProgress {
  readonly phase: 'files' | 'changes' | 'summary';
  /** Records read by this run. */
  readonly records: number;
  /** Files and bytes copied by this run. */
  readonly copied: number;
  readonly copiedBytes: number;
}

/** Options of {@link backup}. */
export interface BackupOptions {
  /** True to read all records even if the change log tells what changed since the last backup. */
  readonly full: boolean;
  /** Called once if something purges, or a killed backup or restore still holds back purges for a minute. */
  readonly onWait?: () => void;
  readonly onProgress?: (progress: BackupProgress) => void;
  /** Records of one page; default 200. */
  readonly pageSize?: number;
}

/** What a run did. */
export interface BackupReport {
  readonly manifest: Manifest;
  readonly copied: number;
  readonly copiedBytes: number;
  /** Start of the unfinished backup that was continued; empty if there was none. */
  readonly resumedFrom: string;
  /** Why the backup is full although there was one before; empty otherwise. */
  readonly whyFull: string;
}

/** Records of one page; `exportOnly` takes no more. */
const PAGE = 200;
const CONCURRENCY = 4;
/** Interval at which the change log is asked whether all that was committed can be read, in milliseconds. */
const LAG_MS = 100;

/**
 * Copies all files to a place for backups: bytes and records, as they are at one point of the change log. Holds back
 * purges meanwhile. A backup that was killed is continued; bytes that are there already are not copied again.
 *
 * @throws AssetError STORE_UNAVAILABLE, CATALOG_UNAVAILABLE: repeat it
 */
export async function backup(
  parts: BackupParts,
  options: BackupOptions,
  signal: AbortSignal,
): Promise<BackupReport> {
  const { catalog } = parts;
  const onWait = () => options.onWait?.();
  return withoutPurges(catalog, signal, onWait, async (held) => new Backup(parts, options, held).run());
}

class Backup {
  readonly #parts: BackupParts;
  readonly #options: BackupOptions;
  readonly #signal: AbortSignal;
  readonly #pageSize: number;
  #records = 0;
  #copied = 0;
  #copiedBytes = 0;

  constructor(parts: BackupParts, options: BackupOptions, signal: AbortSignal) {
    this.#parts = parts;
    this.#options = options;
    this.#signal = signal;
    this.#pageSize = options.pageSize ?? PAGE;
  }

  async run(): Promise<BackupReport> {
    const { place } = this.#parts;
    const signal = this.#signal;
    const { name, begun, resumedFrom, whyFull } = await beginBackup(this.#parts, this.#options.full, signal);
    reached('backup.begun');
    const base = begun.base === '' ? undefined : await place.manifest(begun.base, signal);
    const records = base?.records ?? (await this.#copyRecords(name));
    const { changes, cursor } = await this.#copyChanges(name, begun.cursor);
    const pages = { records, changes: [...(base?.changes ?? []), ...changes] };
    this.#tell('summary');
    const manifest: Manifest = {
      ...{ name, kind: begun.kind, base: begun.base, catalog: this.#parts.catalog.kind },
      ...{ startTime: begun.startTime, endTime: new Date().toISOString(), cursor },
      ...(await summaryOf(place, pages, signal)),
      ...pages,
    };
    await place.finish(manifest, signal);
    reached('backup.finished');
    return { manifest, copied: this.#copied, copiedBytes: this.#copiedBytes, resumedFrom, whyFull };
  }

  /** Copies every record with its bytes; continues after the last page that is there. */
  async #copyRecords(name: string): Promise<readonly PageReference[]> {
    const { place, catalog } = this.#parts;
    const signal = this.#signal;
    const pages: PageReference[] = [];
    for (const key of await place.pages('records', name, signal)) pages.push(await place.refer(key, signal));
    const last = pages.length === 0 ? [] : await place.readPage(pages.at(-1)!, signal);
    let after = (last.at(-1) as BackupFile | undefined)?.record.id ?? '';
    for (;;) {
      const files = await catalog.exportFiles(after, this.#pageSize, { signal });
      if (files.length === 0) return pages;
      const entries = await this.#copyAll(files);
      pages.push(await place.writePage('records', name, pages.length, entries, signal));
      reached('backup.page-written');
      after = files.at(-1)!.record.id;
      this.#tell('files');
    }
  }

  /** Copies what changed after a position, until all is there that was committed before this call. */
  async #copyChanges(name: string, from: string) {
    const { place, catalog } = this.#parts;
    const signal = this.#signal;
    const call = { signal };
    // Records may have been read in a state that the log does not show yet.
    while ((await catalog.changes.lag(call)) > 0) await sleep(LAG_MS, undefined, { signal });
    const end = await catalog.changes.position('now', call);
    // A killed run may have read the log in other pages.
    await place.dropPages('changes', name, signal);
    const changes: PageReference[] = [];
    let cursor = from;
    while (cursor !== end) {
      const page = await catalog.changes.read(cursor, this.#pageSize, call);
      if (page.changes.length === 0) break;
      const entries = await this.#copyChanged(page.changes);
      changes.push(await place.writePage('changes', name, changes.length, entries, signal));
      reached('backup.page-written');
      cursor = page.cursor;
      this.#tell('changes');
      if (page.changes.some((change) => change.cursor === end)) break;
    }
    return { changes, cursor };
  }

  async #copyChanged(changes: readonly Change[]): Promise<readonly BackupEntry[]> {
    const last = new Map(changes.map((change) => [change.fileId, change]));
    const created = changes.flatMap(({ type, fileId }) => (type === 'created' ? [fileId] : []));
    const keys = await this.#keysOf(created);
    const purged = [...last.values()].filter(({ type }) => type === 'purged');
    const files = [...last.values()]
      .filter(({ type }) => type !== 'purged')
      .map(({ fileId, record }) => ({ record, ...keys.get(fileId) }));
    return [...(await this.#copyAll(files)), ...purged.map(({ fileId }) => ({ purged: fileId }))];
  }

  /** The request keys of files, which the change log does not have. */
  async #keysOf(ids: readonly string[]): Promise<ReadonlyMap<string, Pick<TransferredFile, 'requestKey'>>> {
    const page = await this.#parts.catalog.exportOnly(ids, { signal: this.#signal });
    return new Map(
      page.flatMap(({ record, requestKey }) =>
        requestKey === undefined ? [] : [[record.id, { requestKey }] as const],
      ),
    );
  }

  async #copyAll(files: readonly TransferredFile[]): Promise<readonly BackupFile[]> {
    const limit = pLimit(CONCURRENCY);
    this.#records += files.length;
    const copies = files.map((file) => limit(() => this.#copyFile(file)));
    await Promise.allSettled(copies);
    return Promise.all(copies);
  }

  async #copyFile(file: TransferredFile): Promise<BackupFile> {
    const { sha256, id, contentType } = file.record;
    if (sha256 === undefined) return file;
    this.#signal.throwIfAborted();
    const properties = await this.#propertiesOf(id, contentType);
    return this.#copyBytes({ ...file, ...(properties && { properties }) }, sha256);
  }

  /** Type and headers of the object of a file; undefined if it has no headers. */
  async #propertiesOf(id: string, contentType: string): Promise<BlobProperties | undefined> {
    for (const reader of this.#parts.readers ?? []) {
      const info = await reader.stat(blobKey(id), { signal: this.#signal });
      if (info === undefined) continue;
      const { headers } = info;
      return Object.keys(headers).length > 0 ? { contentType: info.contentType, headers } : undefined;
    }
    // A directory has no type of its own.
    const headers = await this.#parts.store.headersOf(blobKey(id), { signal: this.#signal });
    return Object.keys(headers).length > 0 ? { contentType, headers } : undefined;
  }

  async #copyBytes(file: BackupFile, sha256: Uint8Array): Promise<BackupFile> {
    const { record } = file;
    const { place, store } = this.#parts;
    const to = { store: place.store, key: place.bytesKey(sha256) };
    const there = await to.store.stat(to.key, { signal: this.#signal });
    if (there?.sizeBytes === record.sizeBytes) return file;
    if (there !== undefined) await to.store.delete(to.key, { signal: this.#signal });
    const from = { store, key: blobKey(record.id) };
    const copied = await copyBytes(record, from, to, this.#parts, this.#signal);
    // Another file with the same bytes was faster.
    if (copied === 'exists') return file;
    if (copied !== 'created') return { ...file, damaged: copied };
    reached('backup.bytes-copied');
    this.#copied += 1;
    this.#copiedBytes += record.sizeBytes;
    return file;
  }

  #tell(phase: BackupProgress['phase']): void {
    const [records, copied, copiedBytes] = [this.#records, this.#copied, this.#copiedBytes];
    this.#options.onProgress?.({ phase, records, copied, copiedBytes });
  }
}
