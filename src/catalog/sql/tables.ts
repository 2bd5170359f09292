import type { ChangeType } from '../changes.ts';

/** Names and types of the tables. Times are in milliseconds since 1970. */
export interface Tables {
  files: FilesTable;
  file_relations: FileRelationsTable;
  reservations: ReservationsTable;
  uploads: UploadsTable;
  leases: LeasesTable;
  file_changes: FileChangesTable;
  subscriptions: SubscriptionsTable;
  legacy_uses: LegacyUsesTable;
  legacy_state: LegacyStateTable;
}

/** One row per file. PostgreSQL returns integers as text, SQLite as numbers. */
export interface FilesTable {
  id: string;
  name: string;
  content_type: string;
  /** `content_type` in lower case and without parameters, for filters. */
  media_type: string;
  /** The part of `media_type` before the `/`. */
  media_kind: string;
  size_bytes: number | string;
  sha256: Uint8Array | null;
  crc32c: number | string | null;
  owner: string;
  usage: string;
  /** A JSON object. */
  attributes: string;
  created_by: string;
  created_for: string;
  create_time: number | string;
  update_time: number | string;
  delete_time: number | string | null;
  purge_time: number | string | null;
  request_key: string | null;
  /** Number of changes. */
  revision: number | string;
  /** Revision of an imported record; null after it was changed here. */
  imported_revision: string | null;
}

/** One row per target of a relation of a file. */
export interface FileRelationsTable {
  file_id: string;
  name: string;
  /** Position of the target in its relation, from 0. */
  position: number;
  target: string;
  /** Copy of the file's, which never changes: one index finds and orders the files of a target. */
  create_time: number | string;
  /** Copy of the file's, for lists by owner and relation. Changes with the file. */
  owner: string;
}

/** One row per reservation. */
export interface ReservationsTable {
  id: string;
  /** A JSON array. */
  file_ids: string;
  expire_time: number | string;
  /** 1 when closed: none of its ids can become a file. */
  closed: number;
}

/** One row per upload session. */
export interface UploadsTable {
  id: string;
  /** Number of changes. */
  revision: number | string;
  /** JSON. */
  state: string;
  expire_time: number | string;
  /** Unique among open sessions; null if closed or without one. */
  request_key: string | null;
  /** The claim of the session; an empty caller means no claim. */
  caller: string;
  owner: string;
  usage: string;
  size_bytes: number | string;
  /** 1 when closed: it cannot become a file. */
  closed: number;
}

/** One row per lease that is held, or expired and was not taken again. */
export interface LeasesTable {
  name: string;
  holder: string;
  expire_time: number | string;
}

/** A text of an owner, changed by compare-and-set. */
export interface SubscriptionsTable {
  key: string;
  owner: string;
  revision: number | string;
  state: string;
}

/** The change log: one row per change, and one of type `begin` that marks the start. */
export interface FileChangesTable {
  /** PostgreSQL alone: the transaction that wrote the row. Text, because it has 64 bits. */
  xid: string;
  /** In the order of writing. */
  seq: number | string;
  /** Unique. */
  id: string;
  type: ChangeType | 'begin';
  time: number | string;
  /** See `recordToJson`; empty in the first row. */
  record: string;
}

/** One row per caller, form of path and day; see `LegacyUse`. */
export interface LegacyUsesTable {
  caller: string;
  kind: string;
  day: string;
  count: number | string;
}

/** One row per stored value of the move of old files. */
export interface LegacyStateTable {
  name: string;
  /** JSON. */
  value: string;
}
