import { refusedByRule } from '../../errors/dependencies.ts';
import { bounded, CALL_TIMEOUT_MS, CHECK_TIMEOUT_MS } from '../bounded.ts';
import type {
  CatalogCall,
  CatalogFinding,
  Changes,
  CreateFence,
  FileCatalog,
  FileChange,
  FileRecord,
  NewFileRecord,
  FileTotals,
  PolicyNames,
  PurgeableFile,
  SweepCall,
} from '../file-catalog.ts';
import { PocketBaseChanges } from './changes.ts';
import { PocketBaseClient, Refusal } from './client.ts';
import { PocketBaseFiles } from './files.ts';
import { superuserOnly } from './filter.ts';
import { checkHelpers, inspectPocketBase, previewMigration, readFilesCollection } from './inspect.ts';
import * as leases from './leases.ts';
import { PocketBaseLegacyRecords } from './legacy.ts';
import { migratePocketBase } from './migrate.ts';
import type { FieldMap, PocketBaseSetup } from './schema.ts';
import { PocketBaseImports } from './imports.ts';
import { setupOf, type PocketBaseOptions } from './setup.ts';
import { SchemaCache } from './schema-cache.ts';
import * as state from './state.ts';
import { PocketBaseSubscriptions } from './subscriptions.ts';
import { PocketBaseUploads } from './uploads.ts';
import { PocketBaseTotals } from './totals.ts';
import { PocketBaseWrites } from './writes.ts';
import { assertStorable, canMatch } from '../storable.ts';
import type { LegacyRecords } from '../legacy-records.ts';
import type { Subscriptions } from '../subscriptions.ts';
import type { StateItem, StateKind, StatePage, TransferredFile } from '../transfer.ts';

/** Creates the catalog in a PocketBase. It connects with the first call. */
export function openPocketBaseCatalog(options: PocketBaseOptions): FileCatalog {
  return new PocketBaseCatalog(options);
}

const MIGRATION_TIMEOUT_MS = 120_000;

/** Maximum time of an import of many records, in milliseconds. */
const IMPORT_TIMEOUT_MS = 60_000;

/**
 * The file catalog in a PocketBase, whose collection other programs may use too. Writes are batches, which
 * PocketBase executes one after the other, each completely or not at all.
 *
 * If another program writes a record between an update's read and write, that is not noticed. Only the fields that
 * the update names are written, so nothing else is lost.
 */
class PocketBaseCatalog implements FileCatalog {
  readonly kind = 'pocketbase';
  readonly uploads: PocketBaseUploads;
  readonly legacy: LegacyRecords;
  readonly changes: Changes;
  readonly subscriptions: Subscriptions;
  readonly #client: PocketBaseClient;
  readonly #collection: string;
  readonly #totals: PocketBaseTotals;
  readonly #map: FieldMap;
  readonly #setup: PocketBaseSetup;
  readonly #schemas: SchemaCache;
  readonly #files: PocketBaseFiles;
  readonly #writes: PocketBaseWrites;
  readonly #imports: PocketBaseImports;

  constructor(options: PocketBaseOptions) {
    this.#client = new PocketBaseClient(options);
    this.uploads = new PocketBaseUploads(this.#client, (call, work) => this.#run(call, work));
    this.subscriptions = new PocketBaseSubscriptions(this.#client, (call, work) => this.#run(call, work));
    this.#setup = setupOf(options);
    this.#collection = this.#setup.collection;
    this.#map = this.#setup.map;
    this.#schemas = new SchemaCache(
      (signal) => readFilesCollection(this.#client, this.#setup, signal),
      this.#setup,
    );
    const at = { collection: this.#collection, map: this.#map, schemas: this.#schemas };
    this.#files = new PocketBaseFiles(this.#client, at);
    this.#totals = new PocketBaseTotals(this.#client, at);
    this.#writes = new PocketBaseWrites(this.#client, at, this.#files);
    this.#imports = new PocketBaseImports(this.#client, at, this.#files);
    this.changes = new PocketBaseChanges(this.#client, this.#files, (call, work) => this.#run(call, work));
    this.legacy = new PocketBaseLegacyRecords(this.#client, this.#files, this.#writes, (call, work) =>
      this.#run(call, work),
    );
  }

  migrate(): Promise<readonly string[]> {
    return this.#run(
      undefined,
      (signal) =>
        migratePocketBase(this.#client, this.#setup, signal).finally(() => {
          this.#schemas.clear();
          this.#totals.lookAgain();
        }),
      MIGRATION_TIMEOUT_MS,
    );
  }

  planMigration(): Promise<readonly string[]> {
    return this.#run(undefined, (signal) => previewMigration(this.#client, this.#setup, signal));
  }

  inspect(names: PolicyNames, call?: CatalogCall): Promise<readonly CatalogFinding[]> {
    return this.#run(call, (signal) => inspectPocketBase(this.#client, this.#setup, names, signal));
  }

  get(ids: readonly string[], call?: CatalogCall): Promise<ReadonlyMap<string, FileRecord>> {
    return this.#run(call, (signal) => this.#files.get(ids, signal));
  }

  create(record: NewFileRecord, options: CreateFence & { readonly requestKey?: string }, call?: CatalogCall) {
    return this.#run(call, async (signal) => {
      assertStorable(record);
      return this.#writes.create(record, options, signal);
    });
  }

  findByRequestKey(requestKey: string, call?: CatalogCall): Promise<FileRecord | undefined> {
    return this.#run(call, (signal) => this.#files.findByKey(requestKey, signal));
  }

  update(id: string, revision: string, change: FileChange, call?: CatalogCall): Promise<FileRecord> {
    return this.#run(call, async (signal) => {
      assertStorable(change);
      return this.#writes.update(id, revision, change, signal);
    });
  }

  list(query: Parameters<FileCatalog['list']>[0], call?: CatalogCall): Promise<readonly FileRecord[]> {
    return this.#run(call, (signal) => this.#files.list(query, signal));
  }

  totalsOf(owner: string, usage: string | undefined, call?: CatalogCall): Promise<FileTotals> {
    return this.#run(call, async (signal) => {
      if (!canMatch({ owner, ...(usage !== undefined && { usage }) })) return { files: 0, bytes: 0 };
      return this.#totals.of({ owner, usage }, signal);
    });
  }

  listPurgeable(now: Date, limit: number, call?: SweepCall): Promise<readonly PurgeableFile[]> {
    return this.#run(call, (signal) => this.#files.listPurgeable(now, limit, call?.after, signal));
  }

  purge(id: string, revision: string, call?: CatalogCall): Promise<boolean> {
    return this.#run(call, (signal) => this.#writes.purge(id, revision, signal));
  }

  exportFiles(after: string, limit: number, call?: CatalogCall) {
    return this.#run(call, (signal) => this.#files.exportFiles(after, limit, signal));
  }

  exportOnly(ids: readonly string[], call?: CatalogCall) {
    return this.#run(call, (signal) => this.#files.exportOnly(ids, signal));
  }

  importFiles(files: readonly TransferredFile[], call?: CatalogCall) {
    return this.#run(call, (signal) => this.#imports.write(files, signal), IMPORT_TIMEOUT_MS);
  }

  dropFile(id: string, call?: CatalogCall): Promise<void> {
    return this.#run(call, (signal) => this.#imports.drop(id, signal));
  }

  exportState<Kind extends StateKind>(
    kind: Kind,
    from: string | undefined,
    limit: number,
    call?: CatalogCall,
  ): Promise<StatePage<Kind>> {
    return this.#run(call, (signal) => state.exportState(this.#client, kind, from, limit, signal));
  }

  importState(items: readonly StateItem[], call?: CatalogCall): Promise<void> {
    return this.#run(call, (signal) => state.importState(this.#client, items, signal));
  }

  dropState(kind: StateKind, keys: readonly string[], call?: CatalogCall): Promise<void> {
    return this.#run(call, (signal) => state.dropState(this.#client, kind, keys, signal));
  }

  acquireLease(name: string, holder: string, expireTime: Date, call?: CatalogCall): Promise<boolean> {
    const lease = { name, holder, expireTime };
    return this.#run(call, (signal) => leases.acquireLease(this.#client, lease, signal));
  }

  releaseLease(name: string, holder: string, call?: CatalogCall): Promise<void> {
    return this.#run(call, (signal) => leases.releaseLease(this.#client, name, holder, signal));
  }

  async check(call?: CatalogCall): Promise<void> {
    const query = { filter: superuserOnly(this.#map), limit: 1 };
    await this.#run(
      call,
      async (signal) => {
        // First, because its error names what makes the others fail.
        await this.#schemas.read(signal);
        await checkHelpers(this.#client, signal);
        await this.#client.list(this.#collection, query, signal);
      },
      CHECK_TIMEOUT_MS,
    );
  }

  async close(): Promise<void> {
    this.#client.close();
  }

  /** Limits the time of a call and ends its requests. */
  async #run<T>(
    call: CatalogCall | undefined,
    work: (signal: AbortSignal) => Promise<T>,
    timeoutMs = CALL_TIMEOUT_MS,
  ): Promise<T> {
    const controller = new AbortController();
    try {
      return await bounded(() => work(controller.signal), call?.signal, timeoutMs);
    } catch (error) {
      controller.abort();
      throw error instanceof Refusal ? refusedByRule(error) : error;
    }
  }
}
