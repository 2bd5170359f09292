import { isAssetError, type AssetError } from '../errors/asset-error.ts';
import type { CatalogCall, JsonValue } from './catalog-call.ts';
import type { FileRecord } from './file-record.ts';

/** A stored record, with the fields that callers do not see. */
export interface TransferredFile {
  readonly record: FileRecord;
  /** Request key that created it, if any. */
  readonly requestKey?: string;
}

/** What a catalog stores besides files, by kind. All times are in milliseconds since 1970. */
export interface StateValues {
  /** Key: the id of the reservation. */
  readonly reservation: {
    readonly fileIds: readonly string[];
    readonly expireTime: number;
    readonly closed: boolean;
  };
  /** Key: the id of the session. `requestKey` and `caller` are empty if there is none. */
  readonly upload: {
    readonly revision: number;
    readonly state: JsonValue;
    readonly expireTime: number;
    readonly requestKey: string;
    readonly caller: string;
    readonly owner: string;
    readonly usage: string;
    readonly sizeBytes: number;
    readonly closed: boolean;
  };
  /** Key: the name of the lease. */
  readonly lease: { readonly holder: string; readonly expireTime: number };
  /** Key: that of the subscription. */
  readonly subscription: { readonly owner: string; readonly state: string };
  /** Key: {@link legacyUseKey}. */
  readonly 'legacy-use': { readonly count: number };
  /** Key: the name of the value. */
  readonly 'legacy-state': { readonly value: JsonValue };
}

/** A kind of {@link StateValues}. */
export type StateKind = keyof StateValues;

/** Every {@link StateKind}. */
export const STATE_KINDS = [
  ...(['reservation', 'upload', 'lease', 'subscription', 'legacy-use', 'legacy-state'] as const),
] satisfies readonly StateKind[];

/** One item of what a catalog stores besides files. */
export type StateItem<Kind extends StateKind = StateKind> = {
  readonly [K in Kind]: { readonly kind: K; readonly key: string; readonly value: StateValues[K] };
}[Kind];

/** A part of the items of one kind. */
export interface StatePage<Kind extends StateKind = StateKind> {
  readonly items: readonly StateItem<Kind>[];
  /** The next page begins here; undefined if there is none. Opaque. */
  readonly next: string | undefined;
}

/** The key of a use count. */
export function legacyUseKey(use: { caller: string; kind: string; day: string }): string {
  return JSON.stringify([use.caller, use.kind, use.day]);
}

/**
 * Export and import between catalogs. Part of `FileCatalog`; its rules apply. What is imported or dropped is not in
 * the change log: another log has it.
 *
 * Only one process may import into a catalog at a time, and nobody else may write there meanwhile.
 */
export interface Transfer {
  /**
   * The next `limit` records after the id `after` in id order, including soft-deleted ones; from the start if
   * `after` is empty. Fewer than `limit` mean that there are no more. A record that is created meanwhile with an
   * earlier id is not included.
   */
  exportFiles(after: string, limit: number, call?: CatalogCall): Promise<readonly TransferredFile[]>;

  /** The existing ones of these records, at most 200, in any order. */
  exportOnly(ids: readonly string[], call?: CatalogCall): Promise<readonly TransferredFile[]>;

  /**
   * Writes records unchanged: times, revision, deleted state and request key included; at most 200, each id once. Replaces
   * existing records with these ids, so it may be repeated. Needs no reservation; the caller is responsible for the bytes.
   *
   * The next change of a record gives a revision that it never had here; counting continues from the number in
   * the imported revision.
   *
   * Resolves with the records that the catalog refuses, each with the error of `create`, or CATALOG_REFUSED and metadata
   * `field` (`request_id`) if another record has the request key. All others are written. After a rejection some may
   * have been written. Rejects with CATALOG_REFUSED and metadata `field` (`create_time`) if the catalog was not prepared
   * to store times that another one gave.
   */
  importFiles(
    files: readonly TransferredFile[],
    call?: CatalogCall,
  ): Promise<ReadonlyMap<string, AssetError>>;

  /** Removes a record, its bytes are left alone. Resolves also if there is none. */
  dropFile(id: string, call?: CatalogCall): Promise<void>;

  /** Up to `limit` (1 to 1,000) items of one kind, from the start or from `StatePage.next`. */
  exportState<Kind extends StateKind>(
    kind: Kind,
    from: string | undefined,
    limit: number,
    call?: CatalogCall,
  ): Promise<StatePage<Kind>>;

  /**
   * Writes items unchanged, at most 100; replaces those with the same keys. Each is written as a whole; after a
   * rejection some may have been written. A request key that another session has is taken away from that: where the
   * items are from it has lost it.
   *
   * The revision of a subscription is not kept: a change that began before the import is refused after it.
   */
  importState(items: readonly StateItem[], call?: CatalogCall): Promise<void>;

  /** Removes items of one kind, at most 100. Those that do not exist are ignored; after a rejection some may be gone. */
  dropState(kind: StateKind, keys: readonly string[], call?: CatalogCall): Promise<void>;
}

/** `Transfer.importFiles` of one record. Rejects with its refusal. */
export async function importFile(
  catalog: Pick<Transfer, 'importFiles'>,
  file: TransferredFile,
  call?: CatalogCall,
): Promise<void> {
  const refusal = (await catalog.importFiles([file], call)).get(file.record.id);
  if (refusal) throw refusal;
}

/** True for an error that is about the record, not about the catalog. */
export function isRefusal(error: unknown): error is AssetError {
  return isAssetError(error) && error.reason !== 'CATALOG_UNAVAILABLE';
}
