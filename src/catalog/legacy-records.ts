import type { CatalogCall, JsonValue } from './catalog-call.ts';
import type { FileRecord } from './file-record.ts';

/**
 * Values of a record as text, by the catalog's own field names, including fields that callers never see. Numbers
 * are written as text; a field without a value is omitted. Always has `id`; in PocketBase also `collection_id` and
 * `collection_name`.
 */
export type FieldValues = Readonly<Record<string, readonly string[]>>;

/** A record with all its fields, to find the bytes of a file that is older than the service. */
export interface LegacyRecord {
  readonly file: FileRecord;
  readonly fields: FieldValues;
}

/** How often a caller named a file by a path of the old system, per day. */
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

/** Properties of a file's bytes, determined when they are moved. */
export interface MovedBytes {
  readonly sizeBytes: number;
  /** 32 bytes. */
  readonly sha256: Uint8Array;
  readonly crc32c: number;
  /** Content type of the record from then on; if omitted it stays. */
  readonly contentType?: string;
}

/**
 * The records of files that are older than the service, and the state of their move. Errors are those of
 * `FileCatalog`.
 */
export interface LegacyRecords {
  /** Fields of the existing records of `ids`, at most 200. */
  fieldsOf(ids: readonly string[], call?: CatalogCall): Promise<ReadonlyMap<string, FieldValues>>;

  /**
   * The next records after an id, in id order, including soft-deleted ones; at most `limit` (500). Fewer mean that
   * there are no more.
   */
  scan(afterId: string, limit: number, call?: CatalogCall): Promise<readonly LegacyRecord[]>;

  /**
   * Stores the properties of a file's bytes and clears the fields `emptied` (by the catalog's own names), if the
   * record's revision is still `revision`. Rejects like `FileCatalog.update`.
   */
  setBytes(
    id: string,
    revision: string,
    bytes: MovedBytes,
    emptied: readonly string[],
    call?: CatalogCall,
  ): Promise<FileRecord>;

  /**
   * Takes back {@link setBytes}: removes the checksums, and restores size, content type and the fields `restored` (by the
   * catalog's own names), if the record's revision is still `revision`. Rejects like `FileCatalog.update`.
   */
  unsetBytes(
    id: string,
    revision: string,
    before: { readonly sizeBytes: number; readonly contentType: string },
    restored: Readonly<Record<string, string>>,
    call?: CatalogCall,
  ): Promise<FileRecord>;

  /** Adds to the use counts. */
  addUses(uses: readonly LegacyUse[], call?: CatalogCall): Promise<void>;

  /** All uses, newest day first; at most 10,000. */
  listUses(call?: CatalogCall): Promise<readonly LegacyUse[]>;

  /** The value last stored under a name; undefined if there is none. A name is 1 to 64 of `[a-z0-9-]`. */
  getState(name: string, call?: CatalogCall): Promise<JsonValue | undefined>;

  /** Stores a value under a name; replaces the previous one. */
  putState(name: string, value: JsonValue, call?: CatalogCall): Promise<void>;
}
