import { Kysely, type Transaction } from 'kysely';
import { bounded, CHECK_TIMEOUT_MS } from './bounded.ts';
import type {
  CatalogCall,
  CatalogFinding,
  Changes,
  ChangeType,
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
import { withRetries, type SqlBackend } from './sql/backend.ts';
import { appendChange, SqlChanges, typeOfUpdate } from './sql/changes.ts';
import * as leases from './sql/leases.ts';
import { listQuery, purgeableQuery, totalsQuery, type ListQuery } from './sql/list.ts';
import { SqlLegacyRecords } from './sql/legacy.ts';
import { migrateSql, planSql } from './sql/migrations.ts';
import { addClosedReservation, holdReservation } from './sql/reservations.ts';
import { holdSession, removeSession } from './sql/sessions.ts';
import {
  changedColumns,
  fileColumns,
  insertRelations,
  newColumns,
  relationRows,
  toRecord,
} from './sql/rows.ts';
import type { Tables } from './sql/tables.ts';
import { exportFiles, importFile, nextRevision } from './sql/transfer.ts';
import { SqlUploads } from './sql/uploads.ts';
import type { LegacyRecords } from './legacy-records.ts';
import { assertStorable, canMatch, isStorable } from './storable.ts';
import type { TransferredFile } from './transfer.ts';
import { idTaken } from '../errors/dependencies.ts';
import { concurrentChange, fileNotFound } from '../errors/records.ts';
import { uploadExpired } from '../errors/uploads.ts';

const IDS_PER_QUERY = 200;

/** The file catalog in an SQL database. */
export class SqlCatalog implements FileCatalog {
  readonly kind: string;
  readonly uploads: SqlUploads;
  readonly changes: Changes;
  readonly legacy: LegacyRecords;
  readonly #backend: SqlBackend;
  readonly #db: Kysely<Tables>;

  /** The first call connects to the database. */
  constructor(backend: SqlBackend) {
    this.kind = backend.kind;
    this.#backend = backend;
    this.#db = new Kysely<Tables>({ dialect: backend.openDialect() });
    this.uploads = new SqlUploads(
      (call, work) => this.#run(call, () => work(this.#db)),
      () => backend.assertRoom(),
    );
    this.legacy = new SqlLegacyRecords({
      run: (call, work) => this.#run(call, () => work(this.#db)),
      select: async (db, where) => (await where(this.#select(db)).orderBy('id').execute()).map(toRecord),
      change: (id, call, work) =>
        this.#transaction(call, async (trx) => {
          const changed = await work(trx, await this.#lock(trx, id));
          await this.#log(trx, 'updated', changed);
          return changed;
        }),
    });
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
    return this.#transaction(call, async (trx) => {
      assertStorable(record);
      if (!(await this.#hold(trx, record.id, options))) throw uploadExpired();
      const row = await this.#insert(trx, record, options.requestKey);
      if (!row) {
        if (await this.#hasRequestKey(trx, options.requestKey)) return { status: 'request-taken' } as const;
        throw idTaken('file');
      }
      if ('upload' in options) await removeSession(trx, record.id);
      const relations = relationRows(row, record.relations);
      await insertRelations(trx, relations);
      const created = toRecord({
        ...row,
        relations: JSON.stringify(relations.map((r) => [r.name, r.target])),
      });
      await this.#log(trx, 'created', created);
      return { status: 'created', record: created } as const;
    });
  }

  async findByRequestKey(requestKey: string, call?: CatalogCall): Promise<FileRecord | undefined> {
    const row = await this.#run(call, () =>
      this.#select(this.#db).where('request_key', '=', requestKey).executeTakeFirst(),
    );
    return row && toRecord(row);
  }

  update(id: string, revision: string, change: FileChange, call?: CatalogCall): Promise<FileRecord> {
    return this.#transaction(call, async (trx) => {
      assertStorable(change);
      const old = await this.#lock(trx, id);
      if (!old) throw fileNotFound(id);
      if (old.revision !== revision) throw concurrentChange(id);
      await trx
        .updateTable('files')
        .set({
          ...changedColumns(old, change),
          update_time: this.#backend.now,
          ...nextRevision(old.revision),
        })
        .where('id', '=', id)
        .execute();
      const { owner = old.owner } = change;
      if (owner !== old.owner) {
        await trx.updateTable('file_relations').set({ owner }).where('file_id', '=', id).execute();
      }
      const names = Object.keys(change.relations ?? {});
      if (names.length > 0) {
        await trx.deleteFrom('file_relations').where('file_id', '=', id).where('name', 'in', names).execute();
        await insertRelations(
          trx,
          relationRows({ id, create_time: old.createTime.getTime(), owner }, change.relations ?? {}),
        );
      }
      const updated = toRecord(await this.#select(trx).where('id', '=', id).executeTakeFirstOrThrow());
      await this.#log(trx, typeOfUpdate(old, updated), updated);
      return updated;
    });
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
    return this.#transaction(call, async (trx) => {
      const last = await this.#lock(trx, id);
      if (last?.revision !== revision) return false;
      await trx.deleteFrom('files').where('id', '=', id).execute();
      await addClosedReservation(trx, id, new Date());
      await this.#log(trx, 'purged', last);
      return true;
    });
  }

  exportFiles(after: string, limit: number, call?: CatalogCall) {
    return this.#run(call, () => exportFiles(this.#db, this.#backend, after, limit));
  }

  importFile(file: TransferredFile, call?: CatalogCall): Promise<void> {
    return this.#transaction(call, (trx) => importFile(trx, file));
  }

  acquireLease(name: string, holder: string, expireTime: Date, call?: CatalogCall): Promise<boolean> {
    const lease = { name, holder, expireTime };
    return this.#run(call, () => leases.acquireLease(this.#db, lease, this.#backend.now));
  }

  releaseLease(name: string, holder: string, call?: CatalogCall): Promise<void> {
    return this.#run(call, () => leases.releaseLease(this.#db, name, holder));
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

  #log(trx: Transaction<Tables>, type: ChangeType, record: FileRecord): Promise<void> {
    return appendChange(trx, this.#backend.now, type, record);
  }

  #select(db: Kysely<Tables>) {
    return db.selectFrom('files').select(fileColumns(this.#backend.relations));
  }

  /** The record, locked until the transaction ends. */
  async #lock(trx: Transaction<Tables>, id: string): Promise<FileRecord | undefined> {
    if (!isStorable(id)) return undefined;
    const row = await this.#select(trx)
      .where('id', '=', id)
      .$if(this.#backend.locksRows, (query) => query.forUpdate())
      .executeTakeFirst();
    return row && toRecord(row);
  }

  /** Locks the hold that a create depends on until the transaction ends; false if it is not open. */
  #hold(trx: Transaction<Tables>, id: string, fence: CreateFence): Promise<boolean> {
    const { locksRows } = this.#backend;
    return 'upload' in fence
      ? holdSession(trx, id, fence.upload.revision, locksRows)
      : holdReservation(trx, fence.reservationId, locksRows);
  }

  /** Inserts the row of a file; undefined if its id or request key is taken. */
  #insert(trx: Transaction<Tables>, record: NewFileRecord, requestKey: string | undefined) {
    return trx
      .insertInto('files')
      .values(newColumns(record, requestKey, this.#backend.now))
      .onConflict((conflict) => conflict.doNothing())
      .returning(fileColumns(this.#backend.relations))
      .executeTakeFirst();
  }

  async #hasRequestKey(trx: Transaction<Tables>, requestKey: string | undefined): Promise<boolean> {
    if (requestKey === undefined) return false;
    const row = await trx
      .selectFrom('files')
      .select('id')
      .where('request_key', '=', requestKey)
      .executeTakeFirst();
    return row !== undefined;
  }
}
