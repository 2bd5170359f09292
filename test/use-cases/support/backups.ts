import { expect } from '@jest/globals';
import { join } from 'node:path';
import { openSqliteCatalog } from '../../../src/catalog/sql/sqlite.ts';
import {
  backup,
  type BackupOptions,
  type BackupParts,
  type BackupProgress,
  type BackupReport,
} from '../../../src/move/backup/backup.ts';
import { BackupPlace } from '../../../src/move/backup/place.ts';
import { restore, type RestoreOptions } from '../../../src/move/backup/restore.ts';
import type { BlobStore } from '../../../src/storage/blob-store.ts';
import { FilesystemBlobStore } from '../../../src/storage/filesystem/filesystem-store.ts';
import { MemoryBudget } from '../../../src/storage/memory-budget.ts';
import { SignedUrls } from '../../../src/storage/signed-url.ts';
import type { StoreAndCatalog } from '../../support/backups.ts';
import { makeDir, removeDir } from '../../support/process.ts';

/** A signal that is never aborted. */
export const OPEN: AbortSignal = new AbortController().signal;

/** A time that is over. */
export const PAST = new Date(Date.now() - 60_000);

/** A store and a catalog to back up, a place for backups, and others to restore to; all embedded. */
export class Backups {
  readonly dir: string;
  readonly place: BackupPlace;
  readonly from: StoreAndCatalog;
  readonly #opened: StoreAndCatalog[] = [];

  private constructor(dir: string, from: StoreAndCatalog) {
    this.dir = dir;
    this.place = new BackupPlace(openStore(join(dir, 'place')), 'some/prefix/');
    this.from = from;
    this.#opened.push(from);
  }

  static async open(): Promise<Backups> {
    const dir = await makeDir('backup');
    return new Backups(dir, await openPair(join(dir, 'from')));
  }

  /** A store and a catalog with a schema and nothing in it. */
  async openEmpty(name: string): Promise<StoreAndCatalog> {
    const pair = await openPair(join(this.dir, name));
    this.#opened.push(pair);
    return pair;
  }

  /** What a backup of a pair needs. */
  partsOf(pair: StoreAndCatalog) {
    return {
      ...{
        ...pair,
        place: this.place,
        budget: new MemoryBudget(16 * 2 ** 20).of(''),
        partSizeBytes: 2 ** 20,
      },
    };
  }

  make(
    options: Partial<BackupOptions> = {},
    signal: AbortSignal = OPEN,
    readers: BackupParts['readers'] = [],
  ): Promise<BackupReport> {
    return backup({ ...this.partsOf(this.from), readers }, { full: false, ...options }, signal);
  }

  /** Ends a run like a kill, at the first progress of this phase. */
  async makeKilledAt(phase: BackupProgress['phase'], options: Partial<BackupOptions> = {}): Promise<void> {
    const killed = new AbortController();
    const onProgress = (progress: BackupProgress) => {
      options.onProgress?.(progress);
      if (progress.phase === phase) killed.abort(new Error('killed'));
    };
    await expect(this.make({ ...options, onProgress }, killed.signal)).rejects.toThrow('killed');
  }

  restoreTo(
    pair: StoreAndCatalog,
    options: RestoreOptions = {},
    signal: AbortSignal = OPEN,
  ): ReturnType<typeof restore> {
    return restore(this.partsOf(pair), options, signal);
  }

  /** Deletes a file softly; returns its revision. */
  async remove(id: string, purgeTime: Date): Promise<string> {
    const { catalog } = this.from;
    const file = (await catalog.get([id])).get(id)!;
    return (await catalog.update(id, file.revision, { deleteTime: PAST, purgeTime })).revision;
  }

  async close(): Promise<void> {
    for (const { catalog } of this.#opened) await catalog.close();
    await removeDir(this.dir);
  }
}

/** The same object; awaits `before` ahead of calls of one method. */
export function delayed<T extends object>(target: T, method: keyof T, before: () => Promise<unknown>): T {
  return new Proxy(target, {
    get: (_, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      const bound = value.bind(target) as (...args: unknown[]) => unknown;
      if (name !== method) return bound;
      return async (...args: unknown[]) => {
        await before();
        return bound(...args);
      };
    },
  });
}

function openStore(dir: string): BlobStore {
  return new FilesystemBlobStore(dir, new SignedUrls('http://x', Buffer.alloc(32)));
}

async function openPair(dir: string): Promise<StoreAndCatalog> {
  const store = openStore(dir);
  const catalog = openSqliteCatalog({ path: join(dir, 'catalog.sqlite') });
  await catalog.migrate();
  return { store, catalog };
}
