import type { CatalogFinding } from '../catalog/file-catalog.ts';
import type { PublicAccess } from '../storage/object-reader.ts';
import type { OldDamage } from './locate.ts';

/** What a record and its bytes are found to be. */
export type RecordStatus =
  /** An old file whose bytes are there as the record says. */
  | 'whole'
  /** A file of the service, whose bytes are in its store. */
  | 'moved'
  /** A file of the service without bytes in its store, or with fewer or more than it has. */
  | 'moved-damaged'
  | OldDamage
  /** The store did not answer: nothing is known. */
  | 'unknown';

/** What an object of the old bucket is found to be. */
export type ObjectStatus =
  /** An object of a record. */
  | 'known'
  /** A thumb that PocketBase made of such an object. */
  | 'thumb'
  /** No record names it. */
  | 'orphan'
  /** A thumb of a file that is gone. */
  | 'orphan-thumb'
  | 'unknown';

/** One line of the report. Ids and keys are for operators alone. */
export type AuditLine =
  | { readonly kind: 'file'; readonly id: string; readonly status: RecordStatus; readonly key?: string }
  | { readonly kind: 'object'; readonly key: string; readonly status: ObjectStatus };

/** How far an audit is. It is kept in the catalog, so that another run goes on. */
export interface AuditState {
  readonly startTime: string;
  /** `done` once all was looked at. */
  readonly phase: 'records' | 'objects' | 'done';
  /** Id of the last record, or key of the last object, that was looked at. */
  readonly cursor: string;
  readonly records: Readonly<Partial<Record<RecordStatus, number>>>;
  readonly objects: Readonly<Partial<Record<ObjectStatus, number>>>;
  /** Old records that came last: somebody still writes past the service. */
  readonly lastOldWrite?: { readonly id: string; readonly time: string };
  /** Bytes of the report that belong to what was looked at. */
  readonly reportBytes: number;
}

/** What an audit found. */
export interface AuditReport extends AuditState {
  /** Where a run before this one ended; empty where this one began at the beginning. */
  readonly resumedFrom: string;
  readonly access: PublicAccess;
  /** What of the catalog is open past the service, or wrong. */
  readonly findings: readonly CatalogFinding[];
}

/** Records and objects that need somebody's attention: all but what is as it should be. */
export function problemsOf({ records, objects }: AuditState): number {
  const { whole: _, moved: __, ...bad } = records;
  const { known: ___, thumb: ____, ...lost } = objects;
  return [...Object.values(bad), ...Object.values(lost)].reduce((sum, count) => sum + count, 0);
}
