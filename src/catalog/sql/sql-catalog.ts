import { Kysely, type Transaction } from 'kysely';
import { bounded, CHECK_TIMEOUT_MS } from '../bounded.ts';
import type {
  CatalogCall,
  CatalogFinding,
  Changes,
  Subscriptions,
  CreateFence,
  FileCatalog,
  FileChange,
  FileRecord,
  FileTotals,
  NewFileRecord,
  PolicyNames,
  PurgeableFile,
  SweepCall,
} from '../file-catalog.ts';
import type { LegacyRecords } from '../legacy-records.ts';
import { withRetries, type SqlBackend } from './backend.ts';
import { SqlChanges } from './changes.ts';
import { SqlLegacyRecords } from './legacy.ts';
import { listQuery, purgeableQuery, totalsQuery, type ListQuery } from './list.ts';
import { migrateSql, planSql } from './migrate.ts';
import { toRecord } from './rows.ts';
import type { Tables } from './tables.ts';
import { exportFiles, exportOnly, importFiles } from './transfer.ts';
import * as state from './state.ts';
import { SqlSubscriptions } from './subscriptions.ts';
import { statementLog } from './statement-log.ts';
import { SqlUploads } from './uploads.ts';
import { selectFiles, SqlWrites } from './writes.ts';
import { canMatch, isStorable } from '../storable.ts';
import type { StateItem, StateKind, StatePage, TransferredFile } from '../transfer.ts';

const IDS_PER_QUERY = 200;

/** The file catalog in an SQL database. */
export class SqlCatalog implements FileCatalog {
  readonly kind: string;
  readonly uploads: SqlUploads;
  readonly changes: Changes;
  readonly subscriptions: Subscriptions;
  readonly legacy: LegacyRecords;
  readonly #backend: SqlBackend;
  readonly #db: Kysely<Tables>;
  readonly #writes: SqlWrites;

  /** The first call connects to the database. */
  constructor(backend: SqlBackend) {
    this.kind = backend.kind;
    this.#backend = backend;
    this.#db = new Kysely<Tables>({ dialect: backend.openDialect(), ...statementLog(backend.kind) });
    this.#writes = new SqlWrites(backend);
    this.uploads = new SqlUploads(
      (call, work) => this.#run(call, () => work(this.#db)),
      () => backend.assertRoom(),
    );
    this.legacy = new SqlLegacyRecords({
      run: (call, work) => this.#run(call, () => work(this.#db)),
      select: async (db, where) => (await where(this.#select(db)).orderBy('id').execute()).map(toRecord),
      change: (id, call, work) =>
        this.#transaction(call, (trx) => this.#writes.change(trx, id, (old) => work(trx, old))),
    });
    this.subscriptions = new SqlSubscriptions((call, work) => this.#run(call, () => work(this.#db)));
    this.changes = new SqlChanges(backend, (call, work) => this.#run(call, () => work(this.#db)));
  }

  migrate(): Promise<readonly string[]> {
    return withRetries(this.#backend, () => migrateSql(this.#backend));
  }

  planMigration(): Promise<readonly string[]> {
    return withRetries(this.#backend, () => planSql(this.#backend));
  }

  async inspect(_names: PolicyNames, call?: CatalogCall): Promise<readonly CatalogFinding[]> {
    const { inspect } = this.#backend;
    return inspect ? this.#run(call, () => inspect(this.#db), CHECK_TIMEOUT_MS) : [];
  }

  async get(ids: readonly string[], call?: CatalogCall): Promise<ReadonlyMap<string, FileRecord>> {
    const wanted = [...new Set(ids)].filter(isStorable);
    const found = new Map<string, FileRecord>();
    for (let i = 0; i < wanted.length; i += IDS_PER_QUERY) {
      const rows = await this.#run(call, () =>
        this.#select(this.#db)
          .where('id', 'in', wanted.slice(i, i + IDS_PER_QUERY))
          .execute(),
      );
      for (const row of rows) found.set(row.id, toRecord(row));
    }
    return found;
  }

  create(record: NewFileRecord, options: CreateFence & { readonly requestKey?: string }, call?: CatalogCall) {
    return this.#backend.writesAtOnce
      ? this.#run(call, () => this.#writes.createAtOnce(this.#db, record, options))
      : this.#transaction(call, (trx) => this.#writes.create(trx, record, options));
  }

  async findByRequestKey(requestKey: string, call?: CatalogCall): Promise<FileRecord | undefined> {
    const row = await this.#run(call, () =>
      this.#select(this.#db).where('request_key', '=', requestKey).executeTakeFirst(),
    );
    return row && toRecord(row);
  }

  update(id: string, revision: string, change: FileChange, call?: CatalogCall): Promise<FileRecord> {
    return this.#transaction(call, (trx) => this.#writes.update(trx, id, revision, change));
  }

  async list(query: ListQuery, call?: CatalogCall): Promise<readonly FileRecord[]> {
    if (!canMatch(query.filter) || query.limit < 1) return [];
    const asked = listQuery(this.#db, this.#backend, query);
    if (asked === undefined) return [];
    const rows = await this.#run(call, () => asked.execute());
    return rows.map(toRecord);
  }

  async totalsOf(owner: string, usage: string | undefined, call?: CatalogCall): Promise<FileTotals> {
    if (!canMatch({ owner, ...(usage !== undefined && { usage }) })) return { files: 0, bytes: 0 };
    const row = await this.#run(call, () => totalsQuery(this.#db, owner, usage).executeTakeFirstOrThrow());
    return { files: Number(row.files), bytes: Number(row.bytes ?? 0) };
  }

  async listPurgeable(now: Date, limit: number, call?: SweepCall): Promise<readonly PurgeableFile[]> {
    const rows = await this.#run(call, () => purgeableQuery(this.#db, now, limit, call?.after).execute());
    return rows.map(({ id, revision, imported_revision, purge_time }) => ({
      id,
      revision: imported_revision ?? String(revision),
      purgeTime: new Date(Number(purge_time)),
    }));
  }

  purge(id: string, revision: string, call?: CatalogCall): Promise<boolean> {
    return this.#transaction(call, (trx) => this.#writes.purge(trx, id, revision));
  }

  exportFiles(after: string, limit: number, call?: CatalogCall) {
    return this.#run(call, () => exportFiles(this.#db, this.#backend, after, limit));
  }

  exportOnly(ids: readonly string[], call?: CatalogCall) {
    return this.#run(call, () => exportOnly(this.#db, this.#backend, ids));
  }

  importFiles(files: readonly TransferredFile[], call?: CatalogCall) {
    return this.#transaction(call, (trx) => importFiles(trx, files));
  }

  dropFile(id: string, call?: CatalogCall): Promise<void> {
    const file = this.#db.deleteFrom('files').where('id', '=', id);
    return this.#run(call, async () => void (await file.execute()));
  }

  exportState<Kind extends StateKind>(
    kind: Kind,
    from: string | undefined,
    limit: number,
    call?: CatalogCall,
  ): Promise<StatePage<Kind>> {
    return this.#run(call, () => state.exportState(this.#db, kind, from, limit));
  }

  importState(items: readonly StateItem[], call?: CatalogCall): Promise<void> {
    return this.#transaction(call, (trx) => state.importState(trx, items));
  }

  dropState(kind: StateKind, keys: readonly string[], call?: CatalogCall): Promise<void> {
    return this.#transaction(call, (trx) => state.dropState(trx, kind, keys));
  }

  acquireLease(name: string, holder: string, expireTime: Date, call?: CatalogCall): Promise<boolean> {
    const expire_time = expireTime.getTime();
    return this.#run(call, async () => {
      // One statement, which changes nothing while another holder has it.
      const taken = await this.#db
        .insertInto('leases')
        .values({ name, holder, expire_time })
        .onConflict((conflict) =>
          conflict
            .column('name')
            .doUpdateSet({ holder, expire_time })
            .where((row) =>
              row.or([row('leases.holder', '=', holder), row('leases.expire_time', '<=', this.#backend.now)]),
            ),
        )
        .returning('name')
        .executeTakeFirst();
      return taken !== undefined;
    });
  }

  releaseLease(name: string, holder: string, call?: CatalogCall): Promise<void> {
    const own = this.#db.deleteFrom('leases').where('name', '=', name).where('holder', '=', holder);
    return this.#run(call, async () => void (await own.execute()));
  }

  async check(call?: CatalogCall): Promise<void> {
    await this.#run(call, () => this.#backend.probe(this.#db), CHECK_TIMEOUT_MS);
    await this.#backend.assertRoom();
  }

  async close(): Promise<void> {
    await this.#db.destroy();
  }

  #run<T>(call: CatalogCall | undefined, work: () => Promise<T>, timeoutMs?: number): Promise<T> {
    return bounded(() => withRetries(this.#backend, work), call?.signal, timeoutMs);
  }

  #transaction<T>(call: CatalogCall | undefined, work: (trx: Transaction<Tables>) => Promise<T>): Promise<T> {
    return this.#run(call, () => this.#db.transaction().execute(work));
  }

  #select(db: Kysely<Tables>) {
    return selectFiles(db, this.#backend);
  }
}
