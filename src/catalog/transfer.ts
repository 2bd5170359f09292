import type { CatalogCall } from './catalog-call.ts';
import type { FileRecord } from './file-record.ts';

/** A record as it is kept, with what no caller sees of it. */
export interface TransferredFile {
  readonly record: FileRecord;
  /** The key of the request that created it; left out where there was none. */
  readonly requestKey?: string;
}

/** How records go from one catalog into another as they are. A part of `FileCatalog`, with its rules. */
export interface Transfer {
  /**
   * The next `limit` records behind the id `after`, by id, deleted ones too; from the start where `after` is empty. Fewer than
   * `limit` means that there are no more. A record that is created meanwhile under an earlier id is not among them.
   */
  exportFiles(after: string, limit: number, call?: CatalogCall): Promise<readonly TransferredFile[]>;

  /**
   * Writes a record as it is: times, revision, deleted state and request key included. Replaces the record of this id
   * if there is one, so it may be repeated. No reservation is asked for; the bytes are the affair of whoever moves them.
   *
   * The next change of the record gives a revision that it never had here; it goes on counting from the number that the
   * imported revision begins with.
   *
   * Rejects with CATALOG_REFUSED and metadata `field` if another record has the request key (`request_id`), or if the catalog
   * cannot keep times that others have given (`create_time`): one in a PocketBase cannot.
   */
  importFile(file: TransferredFile, call?: CatalogCall): Promise<void>;
}
