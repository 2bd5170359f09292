/**
 * Records of another catalog. PocketBase sets its own times, also for superusers, so the collection has two further
 * fields if it takes imports. Records that were created here leave them empty.
 */

/** Time of creation of an imported record. Lists are ordered by it instead of by PocketBase's. */
export const IMPORTED_CREATE_TIME = 'asset_imported_create_time';

/** What an imported record keeps, as JSON; emptied by the next change. */
export const IMPORTED_STATE = 'asset_imported_state';

/** The condition that a record was imported, for a filter. */
export const IS_IMPORTED = `${IMPORTED_CREATE_TIME}!=""`;

/**
 * The condition that a record was created here. PocketBase writes `true` as 1, so that SQLite uses the partial indexes:
 * an empty text is before it, a year after it. For `=""` it would use none.
 */
export const IS_NATIVE = `${IMPORTED_CREATE_TIME}<true`;

/** The fields that a migration adds. */
export const IMPORT_FIELDS = [
  { name: IMPORTED_CREATE_TIME, type: 'date', hidden: true },
  { name: IMPORTED_STATE, type: 'text', max: 65_536, hidden: true },
] as const;
