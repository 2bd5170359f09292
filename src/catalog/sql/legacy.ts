import { sql, type Kysely, type SelectQueryBuilder, type Transaction } from 'kysely';
import type { CatalogCall, FileRecord, JsonValue } from '../file-catalog.ts';
import type { FieldValues, LegacyRecord, LegacyRecords, LegacyUse, MovedBytes } from '../legacy-records.ts';
import { contentTypeColumns, type FileRow } from './rows.ts';
import type { Tables } from './tables.ts';
import { nextRevision } from './transfer.ts';
import type { SqlRun } from './sessions.ts';
import { concurrentChange, fileNotFound } from '../../errors/records.ts';

type FilesQuery = SelectQueryBuilder<Tables, 'files', FileRow>;

/** How the records of old files are read and changed. */
interface SqlLegacyOptions {
  readonly run: SqlRun;
  /** The records of the files that `where` selects, by id. */
  select(db: Kysely<Tables>, where: (files: FilesQuery) => FilesQuery): Promise<FileRecord[]>;
  /** Runs a change of a file under its lock. */
  change(
    id: string,
    call: CatalogCall | undefined,
    work: (trx: Transaction<Tables>, old: FileRecord | undefined) => Promise<FileRecord>,
  ): Promise<FileRecord>;
}

type Changed = Pick<FileRecord, 'sizeBytes' | 'sha256' | 'crc32c' | 'attributes'>;

const MAX_USES = 10_000;

/**
 * The records of old files in an SQL database. Their other fields are their attributes: this catalog hides none.
 */
export class SqlLegacyRecords implements LegacyRecords {
  readonly #options: SqlLegacyOptions;

  constructor(options: SqlLegacyOptions) {
    this.#options = options;
  }

  fieldsOf(ids: readonly string[], call?: CatalogCall): Promise<ReadonlyMap<string, FieldValues>> {
    return this.#options.run(call, async (db) => {
      const files =
        ids.length === 0 ? [] : await this.#options.select(db, (all) => all.where('id', 'in', ids));
      return new Map(files.map((file) => [file.id, fieldsOf(file)]));
    });
  }

  scan(after: string, limit: number, call?: CatalogCall): Promise<readonly LegacyRecord[]> {
    return this.#options.run(call, async (db) => {
      const files = await this.#options.select(db, (all) => all.where('id', '>', after).limit(limit));
      return files.map((file) => ({ file, fields: fieldsOf(file) }));
    });
  }

  setBytes(
    id: string,
    revision: string,
    bytes: MovedBytes,
    emptied: readonly string[],
    call?: CatalogCall,
  ): Promise<FileRecord> {
    return this.#change(id, revision, call, (old) => {
      const kept = Object.entries(old.attributes).filter(([name]) => !emptied.includes(name));
      return { ...bytes, attributes: Object.fromEntries(kept) };
    });
  }

  unsetBytes(
    id: string,
    revision: string,
    before: Parameters<LegacyRecords['unsetBytes']>[2],
    restored: Readonly<Record<string, string>>,
    call?: CatalogCall,
  ): Promise<FileRecord> {
    return this.#change(id, revision, call, ({ attributes }) => {
      return { ...before, sha256: undefined, crc32c: undefined, attributes: { ...attributes, ...restored } };
    });
  }

  #change(
    id: string,
    revision: string,
    call: CatalogCall | undefined,
    change: (old: FileRecord) => Changed & { readonly contentType?: string },
  ): Promise<FileRecord> {
    return this.#options.change(id, call, async (trx, old) => {
      if (!old) throw fileNotFound(id);
      if (old.revision !== revision) throw concurrentChange(id);
      const { contentType = old.contentType, ...changed } = change(old);
      const { sizeBytes, sha256, crc32c, attributes } = changed;
      const next = nextRevision(revision);
      await trx
        .updateTable('files')
        .set({
          size_bytes: sizeBytes,
          sha256: sha256 ?? null,
          crc32c: crc32c ?? null,
          ...contentTypeColumns(contentType),
          attributes: JSON.stringify(attributes),
          ...next,
        })
        .where('id', '=', id)
        .execute();
      return { ...old, ...changed, contentType, revision: String(next.revision) };
    });
  }

  addUses(uses: readonly LegacyUse[], call?: CatalogCall): Promise<void> {
    return this.#options.run(call, async (db) => {
      if (uses.length === 0) return;
      await db
        .insertInto('legacy_uses')
        .values([...uses])
        .onConflict((conflict) =>
          conflict
            .columns(['caller', 'kind', 'day'])
            .doUpdateSet({ count: sql<number>`legacy_uses.count + excluded.count` }),
        )
        .execute();
    });
  }

  listUses(call?: CatalogCall): Promise<readonly LegacyUse[]> {
    return this.#options.run(call, async (db) => {
      const rows = await db
        .selectFrom('legacy_uses')
        .selectAll()
        .orderBy('day', 'desc')
        .orderBy('caller')
        .orderBy('kind')
        .limit(MAX_USES)
        .execute();
      return rows.map((row) => ({ ...row, count: Number(row.count) }));
    });
  }

  getState(name: string, call?: CatalogCall): Promise<JsonValue | undefined> {
    return this.#options.run(call, async (db) => {
      const row = await db
        .selectFrom('legacy_state')
        .select('value')
        .where('name', '=', name)
        .executeTakeFirst();
      return row && (JSON.parse(row.value) as JsonValue);
    });
  }

  putState(name: string, value: JsonValue, call?: CatalogCall): Promise<void> {
    return this.#options.run(call, async (db) => {
      const text = JSON.stringify(value);
      await db
        .insertInto('legacy_state')
        .values({ name, value: text })
        .onConflict((conflict) => conflict.column('name').doUpdateSet({ value: text }))
        .execute();
    });
  }
}

function fieldsOf({ id, attributes }: FileRecord): FieldValues {
  const texts = Object.entries(attributes).flatMap(([name, value]) => {
    const found = textsOf(value);
    return found.length === 0 ? [] : [[name, found] as const];
  });
  return { ...Object.fromEntries(texts), id: [id] };
}

function textsOf(value: JsonValue): readonly string[] {
  if (typeof value === 'string') return value === '' ? [] : [value];
  if (typeof value === 'number') return [String(value)];
  return Array.isArray(value)
    ? value.flatMap((item: JsonValue) => (Array.isArray(item) ? [] : textsOf(item)))
    : [];
}
