import { randomUUID } from 'node:crypto';
import { sql, type Kysely, type RawBuilder, type Transaction } from 'kysely';
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
  newRecordToJson,
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

/** Options of a create: its hold, and the key that makes it unique. */
type CreateOptions = CreateFence & { readonly requestKey?: string };

type Created = ReturnType<FileCatalog['create']>;

/** The relations of a row that was just inserted, without a query for them. */
const NO_RELATIONS = sql<string>`'[]'`;

/** Writes records, each with its change in the log, in the transaction of the caller. */
export class SqlWrites {
  readonly #backend: SqlBackend;

  constructor(backend: SqlBackend) {
    this.#backend = backend;
  }

  /** {@link FileCatalog.create}, in the transaction of the caller. */
  async create(trx: Transaction<Tables>, record: NewFileRecord, options: CreateOptions): Created {
    assertStorable(record);
    const row = await this.#insertion(
      this.#withHold(trx, record.id, options),
      record,
      options,
    ).executeTakeFirst();
    if (!row) return this.#notCreated(trx, record.id, options);
    if ('upload' in options) await removeSession(trx, record.id);
    await insertRelations(trx, relationRows(row, record.relations));
    const created = createdRecord(row, record);
    await this.#log(trx, 'created', created);
    return { status: 'created', record: created };
  }

  /** {@link FileCatalog.create} in one statement, for a database that can do so: one round trip instead of four or more. */
  async createAtOnce(db: Kysely<Tables>, record: NewFileRecord, options: CreateOptions): Created {
    assertStorable(record);
    const { now } = this.#backend;
    const relations = relationRows({ id: record.id, create_time: 0, owner: record.owner }, record.relations);
    const column = <Name extends keyof (typeof relations)[0]>(name: Name) =>
      relations.map((row) => row[name]);
    const parts: [name: string, statement: RawBuilder<object>][] = [
      [
        'logged',
        sql<object>`
          insert into file_changes (id, type, time, record)
          select ${randomUUID()}, 'created', ${now}, ${newRecordToJson(record)} from inserted`,
      ],
    ];
    if ('upload' in options)
      parts.push(['ended', sql<object>`delete from uploads using inserted where uploads.id = inserted.id`]);
    if (relations.length > 0) {
      parts.push([
        'related',
        sql<object>`
          insert into file_relations (file_id, create_time, owner, name, position, target)
          select inserted.id, inserted.create_time, inserted.owner, r.name, r.position, r.target
          from inserted cross join unnest(
            cast(${column('name')} as text[]),
            cast(${column('position')} as integer[]),
            cast(${column('target')} as text[])
          ) as r (name, position, target)`,
      ]);
    }
    let statement = this.#withHold(db, record.id, options).with('inserted', (begun) =>
      this.#insertion(begun as unknown as Kysely<Tables>, record, options),
    );
    for (const [name, part] of parts) statement = statement.with(name, () => sql<object>`(${part})`);
    const row = await statement.selectFrom('inserted').selectAll().executeTakeFirst();
    if (!row) return this.#notCreated(db, record.id, options);
    return { status: 'created', record: createdRecord(row, record) };
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

  /** A statement that begins with the hold of a create, as `held`. */
  #withHold(db: Kysely<Tables>, id: string, fence: CreateFence) {
    return db.with('held', (begun) => this.#held(begun as unknown as Kysely<Tables>, id, fence));
  }

  /**
   * Inserts the row of a file, unless its hold is not open, or its id or request key is taken: checking them in a
   * statement of their own would cost as much as the change log does.
   *
   * @param held - a statement with the part `held`
   */
  #insertion(held: Pick<Kysely<Tables>, 'insertInto'>, record: NewFileRecord, { requestKey }: CreateOptions) {
    const { now, types } = this.#backend;
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
    return (
      held
        .insertInto('files')
        .columns(columns.map(([name]) => name as keyof Tables['files']))
        .expression(sql`select ${sql.join(values)} from held where true`)
        .onConflict((conflict) => conflict.doNothing())
        // It has no relations yet.
        .returning(fileColumns(NO_RELATIONS))
    );
  }

  /** Why a file was not created. */
  async #notCreated(db: Kysely<Tables>, id: string, options: CreateOptions): Created {
    const held = await this.#held(db, id, options).executeTakeFirst();
    if (!held) throw uploadExpired();
    if (await this.#hasRequestKey(db, options.requestKey)) return { status: 'request-taken' };
    throw idTaken('file');
  }

  async #hasRequestKey(db: Kysely<Tables>, requestKey: string | undefined): Promise<boolean> {
    if (requestKey === undefined) return false;
    const files = db.selectFrom('files').select('id').where('request_key', '=', requestKey);
    return (await files.executeTakeFirst()) !== undefined;
  }
}

/** The record of a row that was inserted before its relations. */
function createdRecord(row: FileRow, { relations }: NewFileRecord): FileRecord {
  const pairs = relationRows(row, relations).map(({ name, target }) => [name, target]);
  return toRecord({ ...row, relations: JSON.stringify(pairs) });
}
