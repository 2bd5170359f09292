import type { CatalogCall, JsonValue } from './catalog-call.ts';
import type { FileRecord } from './file-catalog.ts';

/**
 * Texts of a record by the catalog's own names of its fields, those that callers never see too. Numbers are written as
 * texts; a field without a value is left out. `id` is always there; in PocketBase `collection_id` and `collection_name` are as well.
 */
export type FieldValues = Readonly<Record<string, readonly string[]>>;

/** A record with all that it says, for who looks for the bytes of a file that is older than the service. */
export interface LegacyRecord {
  readonly file: FileRecord;
  readonly fields: FieldValues;
}

/** How often a caller named a file by a path of the old system, on one day. */
export interface LegacyUse {
  /** Id of the calling service or person. */
  readonly caller: string;
  /** Form of the path: `bucket`, `api` or `url`. */
  readonly kind: string;
  /** Such as `2026-11-29`, in UTC. */
  readonly day: string;
  /** 1 or more. */
  readonly count: number;
}

/** What is found out of the bytes of a file when they are moved. */
export interface MovedBytes {
  readonly sizeBytes: number;
  /** 32 bytes. */
  readonly sha256: Uint8Array;
  readonly crc32c: number;
}

/**
 * The records of files that are older than the service, and what is remembered of their move. Errors are those of
 * `FileCatalog`.
 */
export interface LegacyRecords {
  /** Fields of those `ids` that exist, at most 200. */
  fieldsOf(ids: readonly string[], call?: CatalogCall): Promise<ReadonlyMap<string, FieldValues>>;

  /** The next records behind an id, by id, deleted ones too; at most `limit` (500). Fewer mean that there are no more. */
  scan(afterId: string, limit: number, call?: CatalogCall): Promise<readonly LegacyRecord[]>;

  /**
   * Writes down what the bytes of a file are and empties `emptied`, fields by the catalog's own names, if the record's
   * revision is still `revision`. Rejects like `FileCatalog.update`.
   */
  setBytes(
    id: string,
    revision: string,
    bytes: MovedBytes,
    emptied: readonly string[],
    call?: CatalogCall,
  ): Promise<FileRecord>;

  /** Adds to the counts of uses. */
  addUses(uses: readonly LegacyUse[], call?: CatalogCall): Promise<void>;

  /** All uses, newest day first; at most 10,000. */
  listUses(call?: CatalogCall): Promise<readonly LegacyUse[]>;

  /** What was kept under a name last; undefined if nothing was. A name is 1 to 64 of `[a-z0-9-]`. */
  getState(name: string, call?: CatalogCall): Promise<JsonValue | undefined>;

  /** Keeps a value under a name, in place of the last. */
  putState(name: string, value: JsonValue, call?: CatalogCall): Promise<void>;
}
