import type { JsonValue } from './catalog-call.ts';

/** What a caller may say of a file. */
export interface FileDescription {
  readonly name: string;
  /** Media type, never empty. */
  readonly contentType: string;
  /** Empty if the file has no owner. */
  readonly owner: string;
  /** Empty if the file has no usage. */
  readonly usage: string;
  /** Target ids by the relation's name. A relation without targets is left out. */
  readonly relations: Readonly<Record<string, readonly string[]>>;
  /** Further fields by name. A field whose value is null is left out. */
  readonly attributes: Readonly<Record<string, JsonValue>>;
}

/** The record of one file. It says nothing of where the bytes lie. */
export interface FileRecord extends FileDescription {
  readonly id: string;
  readonly sizeBytes: number;
  /** 32 bytes; undefined for a file older than the service whose bytes were never read. */
  readonly sha256: Uint8Array | undefined;
  /** Unsigned 32-bit number; undefined like `sha256`. */
  readonly crc32c: number | undefined;
  /** The principal that uploaded the file; empty if unknown. */
  readonly createdBy: string;
  /** The end user for whom it did; empty if for itself. No caller sees it: it tells whose upload the file was. */
  readonly createdFor: string;
  /** Whole milliseconds. */
  readonly createTime: Date;
  readonly updateTime: Date;
  /** Set while the file is softly deleted. */
  readonly deleteTime: Date | undefined;
  /** When a softly deleted file is to be purged. */
  readonly purgeTime: Date | undefined;
  /**
   * Changes with every change of the record, also one made past this service where the catalog can
   * tell. 1 to 100 characters of `[A-Za-z0-9_-]`; opaque. It is the file's etag.
   */
  readonly revision: string;
}

/** A record that is not stored yet; `createTime` and `updateTime` are given by the catalog. */
export type NewFileRecord = Omit<
  FileRecord,
  'createTime' | 'updateTime' | 'deleteTime' | 'purgeTime' | 'revision'
>;

/**
 * What to change in a record. Absent keys stay as they are. In `relations` and `attributes` only the
 * names given are touched; an empty list or a null clears one.
 */
export interface FileChange extends Partial<FileDescription> {
  readonly deleteTime?: Date | null;
  readonly purgeTime?: Date | null;
}
