/** Options of `catalog move`. */
export interface CatalogMoveFlags {
  readonly json?: true;
  readonly yes?: true;
  readonly rate?: number;
  readonly repair?: true;
  readonly restart?: true;
  /** The other catalog is gone for good. */
  readonly withoutSource?: true;
  readonly withoutTarget?: true;
  /** Of the views. */
  readonly schema?: string;
  /** In seconds. */
  readonly maxPause?: number;
}
