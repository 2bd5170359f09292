/** Options of `catalog move`. */
export interface CatalogMoveFlags {
  readonly json?: true;
  readonly yes?: true;
  readonly rate?: number;
  readonly repair?: true;
  readonly restart?: true;
  /** In seconds. */
  readonly maxPause?: number;
}
