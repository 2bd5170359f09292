import { AssetError } from '../errors.ts';
import { bounded, CALL_TIMEOUT_MS, CHECK_TIMEOUT_MS } from './call.ts';
import type {
  CatalogCall,
  CatalogFinding,
  CreateFence,
  FileCatalog,
  FileChange,
  FileRecord,
  NewFileRecord,
  FileTotals,
  PolicyNames,
  PurgeableFile,
  SweepCall,
} from './file-catalog.ts';
import { PocketBaseClient, Refusal } from './pocketbase/client.ts';
import { PocketBaseFiles } from './pocketbase/files.ts';
import { superuserOnly } from './pocketbase/filter.ts';
import { readFieldMap } from './pocketbase/field-map.ts';
import { checkHelpers } from './pocketbase/helpers-check.ts';
import { inspectPocketBase, previewMigration, readFilesCollection } from './pocketbase/inspect.ts';
import * as leases from './pocketbase/leases.ts';
import { PocketBaseLegacyRecords } from './pocketbase/legacy.ts';
import { migratePocketBase } from './pocketbase/migrate.ts';
import { DEFAULT_COLLECTION } from './pocketbase/names.ts';
import { refusedByRule } from './pocketbase/refusals.ts';
import type { FieldMap, PocketBaseSetup } from './pocketbase/schema.ts';
import { SchemaCache } from './pocketbase/schema-cache.ts';
import { PocketBaseUploads } from './pocketbase/uploads.ts';
import { sumFiles } from './pocketbase/totals.ts';
import { PocketBaseWrites } from './pocketbase/writes.ts';
import { assertStorable, canMatch } from './storable.ts';
import type { LegacyRecords } from './legacy-records.ts';

/** How to open a {@link PocketBaseCatalog}. */
export interface PocketBaseOptions {
  /** Where PocketBase 0.40 or later answers. */
  readonly url: string;
  /** Login of a superuser. */
  readonly email: string;
  readonly password: string;
  /** The collection of files; `files` where left out. It has to exist, unless it is `files`. */
  readonly collection?: string;
  /** Fields of the collection for fields of a file, where their names differ: `{ name: 'title' }`. */
  readonly fields?: Readonly<Record<string, string>>;
  /** Fields that hold legacy links: never read as attributes and never written. File fields are so anyway. */
  readonly hiddenFields?: readonly string[];
  /** Further such fields with the setting that names each; an empty text for one that need not be there. */
  readonly legacyFields?: Readonly<Record<string, string>>;
  /** What new records get in fields of these names, where the caller gives nothing. */
  readonly defaults?: PocketBaseSetup['defaults'];
}

/** Opens the catalog in a PocketBase. Connects with the first call. */
export function openPocketBaseCatalog(options: PocketBaseOptions): FileCatalog {
  return new PocketBaseCatalog(options);
}

const MIGRATION_TIMEOUT_MS = 120_000;

/**
 * The file catalog in a PocketBase, beside everything else that uses its collection. Writes are batches, which
 * PocketBase carries out one after the other, each as a whole or not at all.
 *
 * A record that something else writes between the moment an update reads it and the moment it is written is not
 * noticed; only the fields that the update names are written, so nothing else of it is lost.
 */
class PocketBaseCatalog implements FileCatalog {
  readonly kind = 'pocketbase';
  readonly uploads: PocketBaseUploads;
  readonly legacy: LegacyRecords;
  readonly #client: PocketBaseClient;
  readonly #collection: string;
  readonly #map: FieldMap;
  readonly #setup: PocketBaseSetup;
  readonly #schemas: SchemaCache;
  readonly #files: PocketBaseFiles;
  readonly #writes: PocketBaseWrites;

  constructor(options: PocketBaseOptions) {
    this.#client = new PocketBaseClient(options);
    this.uploads = new PocketBaseUploads(this.#client, (call, work) => this.#run(call, work));
    this.#setup = setupOf(options);
    this.#collection = this.#setup.collection;
    this.#map = this.#setup.map;
    this.#schemas = new SchemaCache(
      (signal) => readFilesCollection(this.#client, this.#setup, signal),
      this.#setup,
    );
    const at = { collection: this.#collection, map: this.#map, schemas: this.#schemas };
    this.#files = new PocketBaseFiles(this.#client, at);
    this.#writes = new PocketBaseWrites(this.#client, at, this.#files);
    this.legacy = new PocketBaseLegacyRecords(this.#client, this.#files, this.#writes, (call, work) =>
      this.#run(call, work),
    );
  }

  migrate(): Promise<readonly string[]> {
    return this.#run(
      undefined,
      (signal) => migratePocketBase(this.#client, this.#setup, signal).finally(() => this.#schemas.clear()),
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
      const schema = await this.#schemas.get([], signal);
      const fields = { map: this.#map, schema };
      return sumFiles(this.#client, this.#collection, { owner, usage }, fields, signal);
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

  async importFile(): Promise<never> {
    throw new AssetError(
      'CATALOG_REFUSED',
      'A PocketBase sets the times of its records itself, and takes none that another catalog has given: ' +
        'it cannot be what a catalog is moved to.',
      { metadata: { field: 'create_time' } },
    );
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
        // First, since it says by name what makes the others fail.
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

  /** Bounds a call and ends its requests with it. */
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

/** @throws TypeError for names that say nothing, or the same thing twice */
function setupOf(options: PocketBaseOptions): PocketBaseSetup {
  const { collection = DEFAULT_COLLECTION, fields = {}, hiddenFields: hidden = [], defaults = {} } = options;
  const { map, mistakes } = readFieldMap(fields, hidden);
  if (mistakes.length > 0) throw new TypeError(mistakes.join('; '));
  // A field that is also a part of a file is shown as that.
  const parts: readonly string[] = Object.values(map);
  const { legacyFields = {} } = options;
  const further = Object.keys(legacyFields).filter((name) => !parts.includes(name));
  const hiddenFields = [...new Set([...hidden, ...further])];
  return { collection, map, hiddenFields, legacyFields, defaults };
}
