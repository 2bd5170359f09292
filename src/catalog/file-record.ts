import type { JsonValue } from './catalog-call.ts';

/** Writable fields of a file. */
export interface FileDescription {
  readonly name: string;
  /** Media type, never empty. */
  readonly contentType: string;
  /** Empty if the file has no owner. */
  readonly owner: string;
  /** Empty if the file has no usage. */
  readonly usage: string;
  /** Target ids by name of the relation. A relation without targets is omitted. */
  readonly relations: Readonly<Record<string, readonly string[]>>;
  /** Other fields by name. A field with the value null is omitted. */
  readonly attributes: Readonly<Record<string, JsonValue>>;
}

/** The record of one file. It has no location. */
export interface FileRecord extends FileDescription {
  readonly id: string;
  readonly sizeBytes: number;
  /** 32 bytes; undefined for a file older than the service whose bytes were never read. */
  readonly sha256: Uint8Array | undefined;
  /** Unsigned 32-bit number; undefined like `sha256`. */
  readonly crc32c: number | undefined;
  /** The principal that uploaded the file; empty if unknown. */
  readonly createdBy: string;
  /**
   * The end user for whom it was uploaded; empty if the principal acted for itself. Callers do not see it; it
   * decides whose upload the file was.
   */
  readonly createdFor: string;
  /** Whole milliseconds. */
  readonly createTime: Date;
  readonly updateTime: Date;
  /** Set while the file is soft-deleted. */
  readonly deleteTime: Date | undefined;
  /** When a soft-deleted file will be purged. */
  readonly purgeTime: Date | undefined;
  /**
   * Changes with every change of the record, also one made without this service if the catalog can tell. 1 to 100
   * characters of `[A-Za-z0-9_-]`; opaque. It is the file's etag.
   */
  readonly revision: string;
}

/** A record that is not stored yet; the catalog sets `createTime` and `updateTime`. */
export type NewFileRecord = Omit<
  FileRecord,
  'createTime' | 'updateTime' | 'deleteTime' | 'purgeTime' | 'revision'
>;

/**
 * Changes of a record. Omitted keys stay. In `relations` and `attributes` only the given names change; an empty
 * list or null clears one.
 */
export interface FileChange extends Partial<FileDescription> {
  readonly deleteTime?: Date | null;
  readonly purgeTime?: Date | null;
}
