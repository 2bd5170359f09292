import { sql, type Kysely, type Transaction } from 'kysely';
import { idTaken } from '../../errors/dependencies.ts';
import { concurrentChange, fileNotFound } from '../../errors/records.ts';
import { uploadExpired } from '../../errors/uploads.ts';
import type { ChangeType } from '../changes.ts';
import type { CreateFence, FileCatalog, FileChange, FileRecord, NewFileRecord } from '../file-catalog.ts';
import { assertStorable, isStorable } from '../storable.ts';
import type { SqlBackend } from './backend.ts';
import { appendChange, typeOfUpdate } from './changes.ts';
import { addClosedReservation, heldReservation } from './reservations.ts';
import {
  changedColumns,
  fileColumns,
  insertRelations,
  newColumns,
  relationRows,
  toRecord,
  type FileRow,
} from './rows.ts';
import { heldSession, removeSession } from './sessions.ts';
import type { Tables } from './tables.ts';
import { nextRevision } from './transfer.ts';

/** Selects files as {@link toRecord} takes them. */
export function selectFiles(db: Kysely<Tables>, { relations }: SqlBackend) {
  return db.selectFrom('files').select(fileColumns(relations));
}

/** Writes records, each with its change in the log, in the transaction of the caller. */
export class SqlWrites {
  readonly #backend: SqlBackend;

  constructor(backend: SqlBackend) {
    this.#backend = backend;
  }

  /** {@link FileCatalog.create} */
  async create(
    trx: Transaction<Tables>,
    record: NewFileRecord,
    { requestKey, ...fence }: CreateFence & { readonly requestKey?: string },
  ): ReturnType<FileCatalog['create']> {
    assertStorable(record);
    const row = await this.#insert(trx, record, fence, requestKey);
    if (!row) {
      const held = await this.#held(trx, record.id, fence).executeTakeFirst();
      if (!held) throw uploadExpired();
      if (await this.#hasRequestKey(trx, requestKey)) return { status: 'request-taken' };
      throw idTaken('file');
    }
    if ('upload' in fence) await removeSession(trx, record.id);
    const relations = relationRows(row, record.relations);
    await insertRelations(trx, relations);
    const pairs = relations.map(({ name, target }) => [name, target]);
    const created = toRecord({ ...row, relations: JSON.stringify(pairs) });
    await this.#log(trx, 'created', created);
    return { status: 'created', record: created };
  }

  /** {@link FileCatalog.update} */
  async update(
    trx: Transaction<Tables>,
    id: string,
    revision: string,
    change: FileChange,
  ): Promise<FileRecord> {
    assertStorable(change);
    const old = await this.#lock(trx, id);
    if (!old) throw fileNotFound(id);
    if (old.revision !== revision) throw concurrentChange(id);
    const columns = { ...changedColumns(old, change), update_time: this.#backend.now };
    await trx
      .updateTable('files')
      .set({ ...columns, ...nextRevision(old.revision) })
      .where('id', '=', id)
      .execute();
    const { owner = old.owner } = change;
    if (owner !== old.owner) {
      await trx.updateTable('file_relations').set({ owner }).where('file_id', '=', id).execute();
    }
    const names = Object.keys(change.relations ?? {});
    if (names.length > 0) {
      await trx.deleteFrom('file_relations').where('file_id', '=', id).where('name', 'in', names).execute();
      const file = { id, create_time: old.createTime.getTime(), owner };
      await insertRelations(trx, relationRows(file, change.relations ?? {}));
    }
    const row = await selectFiles(trx, this.#backend).where('id', '=', id).executeTakeFirstOrThrow();
    const updated = toRecord(row);
    await this.#log(trx, typeOfUpdate(old, updated), updated);
    return updated;
  }

  /** Runs another update of a file under its lock. */
  async change(
    trx: Transaction<Tables>,
    id: string,
    work: (old: FileRecord | undefined) => Promise<FileRecord>,
  ): Promise<FileRecord> {
    const changed = await work(await this.#lock(trx, id));
    await this.#log(trx, 'updated', changed);
    return changed;
  }

  /** {@link FileCatalog.purge} */
  async purge(trx: Transaction<Tables>, id: string, revision: string): Promise<boolean> {
    const last = await this.#lock(trx, id);
    if (last?.revision !== revision) return false;
    await trx.deleteFrom('files').where('id', '=', id).execute();
    await addClosedReservation(trx, id, new Date());
    await this.#log(trx, 'purged', last);
    return true;
  }

  #log(trx: Transaction<Tables>, type: ChangeType, record: FileRecord): Promise<void> {
    return appendChange(trx, this.#backend.now, type, record);
  }

  /** The record, locked until the transaction ends. */
  async #lock(trx: Transaction<Tables>, id: string): Promise<FileRecord | undefined> {
    if (!isStorable(id)) return undefined;
    const row = await selectFiles(trx, this.#backend)
      .where('id', '=', id)
      .$if(this.#backend.locksRows, (query) => query.forUpdate())
      .executeTakeFirst();
    return row && toRecord(row);
  }

  /** The hold that a create depends on, locked until the transaction ends; no row if it is not open. */
  #held(db: Kysely<Tables>, id: string, fence: CreateFence) {
    const { locksRows } = this.#backend;
    return 'upload' in fence
      ? heldSession(db, id, fence.upload.revision, locksRows)
      : heldReservation(db, fence.reservationId, locksRows);
  }

  /**
   * Inserts the row of a file; undefined if its hold is not open, or its id or request key is taken. One statement
   * checks and inserts: a second one would cost as much as the change log does.
   */
  #insert(
    trx: Transaction<Tables>,
    record: NewFileRecord,
    fence: CreateFence,
    requestKey: string | undefined,
  ): Promise<FileRow | undefined> {
    const { now, types, relations } = this.#backend;
    const columns = Object.entries(newColumns(record, requestKey, now)).filter(([, value]) => value !== null);
    // PostgreSQL takes the values of a select for text.
    const typed: Readonly<Record<string, unknown>> = {
      ...{ size_bytes: sql`bigint`, crc32c: sql`bigint`, revision: sql`bigint` },
      ...{ sha256: types.bytes, attributes: types.json },
    };
    const values = columns.map(([name, value]) => {
      const type = typed[name];
      return type === undefined ? sql`${value}` : sql`cast(${value} as ${type})`;
    });
    return trx
      .with('held', (db) => this.#held(db as unknown as Kysely<Tables>, record.id, fence))
      .insertInto('files')
      .columns(columns.map(([name]) => name as keyof Tables['files']))
      .expression(sql`select ${sql.join(values)} from held where true`)
      .onConflict((conflict) => conflict.doNothing())
      .returning(fileColumns(relations))
      .executeTakeFirst();
  }

  async #hasRequestKey(trx: Transaction<Tables>, requestKey: string | undefined): Promise<boolean> {
    if (requestKey === undefined) return false;
    const files = trx.selectFrom('files').select('id').where('request_key', '=', requestKey);
    return (await files.executeTakeFirst()) !== undefined;
  }
}
