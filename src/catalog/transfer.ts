import type { CatalogCall } from './catalog-call.ts';
import type { FileRecord } from './file-record.ts';

/** A stored record, with the fields that callers do not see. */
export interface TransferredFile {
  readonly record: FileRecord;
  /** Request key that created it, if any. */
  readonly requestKey?: string;
}

/** Export and import of records between catalogs. Part of `FileCatalog`; its rules apply. */
export interface Transfer {
  /**
   * The next `limit` records after the id `after` in id order, including soft-deleted ones; from the start if
   * `after` is empty. Fewer than `limit` mean that there are no more. A record that is created meanwhile with an
   * earlier id is not included.
   */
  exportFiles(after: string, limit: number, call?: CatalogCall): Promise<readonly TransferredFile[]>;

  /**
   * Writes a record unchanged: times, revision, deleted state and request key included. Replaces an existing record
   * with this id, so it may be repeated. Needs no reservation; the caller is responsible for the bytes.
   *
   * The next change of the record gives a revision that it never had here; counting continues from the number in
   * the imported revision.
   *
   * Rejects with CATALOG_REFUSED and metadata `field` if another record has the request key (`request_id`), or if
   * the catalog cannot store times set by others (`create_time`); PocketBase cannot.
   */
  importFile(file: TransferredFile, call?: CatalogCall): Promise<void>;
}
