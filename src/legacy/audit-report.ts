import type { CatalogFinding } from '../catalog/file-catalog.ts';
import type { PublicAccess } from '../storage/object-reader.ts';
import type { HeaderDifference, HeaderDifferences } from './headers.ts';
import type { OldDamage } from './locate.ts';

/** State of a record and its bytes. */
export type RecordStatus =
  /** An old file whose bytes match the record. */
  | 'whole'
  /** A file of the service, with its bytes in the store. */
  | 'moved'
  /** A file of the service whose bytes are missing or have another size. */
  | 'moved-damaged'
  | OldDamage
  /** The bytes contradict a checksum of the object or the record. */
  | 'checksum-mismatch'
  /** The store did not answer. */
  | 'unknown';

/** State of an object of the old bucket. */
export type ObjectStatus =
  /** An object of a record. */
  | 'known'
  /** A PocketBase thumbnail of such an object. */
  | 'thumb'
  /** No record refers to it. */
  | 'orphan'
  /** A thumbnail of a file that no longer exists. */
  | 'orphan-thumb'
  | 'unknown';

/** One line of the report. Ids and keys are only for operators. */
export type AuditLine =
  | {
      readonly kind: 'file';
      readonly id: string;
      readonly status: RecordStatus;
      readonly key?: string;
      /** Which checksum the bytes contradict. */
      readonly why?: string;
      /** Headers of the object whose values differ when the service serves the file. */
      readonly differs?: HeaderDifferences;
    }
  | { readonly kind: 'object'; readonly key: string; readonly status: ObjectStatus };

/** Progress of an audit, stored in the catalog, so that another run continues. */
export interface AuditState {
  readonly startTime: string;
  /** `done` after everything was checked. */
  readonly phase: 'records' | 'objects' | 'done';
  /** Id of the last record, or key of the last object, that was checked. */
  readonly cursor: string;
  readonly records: Readonly<Partial<Record<RecordStatus, number>>>;
  readonly objects: Readonly<Partial<Record<ObjectStatus, number>>>;
  /** Number of old files with a differing header, by header. */
  readonly headers?: Readonly<Partial<Record<HeaderDifference, number>>>;
  /** The newest old record: when somebody last wrote without the service. */
  readonly lastOldWrite?: { readonly id: string; readonly time: string };
  /** True if all bytes are read. */
  readonly full?: boolean;
  /** When the service began to serve old files; undefined if it never did. */
  readonly since?: string;
  /** Old records created, and objects written to the old bucket, since then: not through the service. */
  readonly recordsPastService?: number;
  readonly objectsPastService?: number;
  /** When the last of these objects was written. */
  readonly lastOldObject?: string;
  /** Size of the report up to this position, in bytes. */
  readonly reportBytes: number;
}

/** Result of one step of an audit. */
export interface AuditStep {
  readonly state: AuditState;
  readonly lines: readonly AuditLine[];
}

/** Results of an audit. */
export interface AuditReport extends AuditState {
  /** Where an earlier run ended; empty if this one started at the beginning. */
  readonly resumedFrom: string;
  readonly access: PublicAccess;
  /** Mistakes in the catalog, and ways around the service. */
  readonly findings: readonly CatalogFinding[];
}

/** Number of records and objects that need attention. */
export function problemsOf({ records, objects }: AuditState): number {
  const { whole: _, moved: __, ...bad } = records;
  const { known: ___, thumb: ____, ...lost } = objects;
  return [...Object.values(bad), ...Object.values(lost)].reduce((sum, count) => sum + count, 0);
}

/** Adds one to the count of each status. */
export function counted<Status extends string>(
  counts: Readonly<Partial<Record<Status, number>>>,
  statuses: readonly Status[],
): Readonly<Partial<Record<Status, number>>> {
  const sums = new Map(Object.entries(counts) as [Status, number][]);
  for (const status of statuses) sums.set(status, (sums.get(status) ?? 0) + 1);
  return Object.fromEntries(sums) as Partial<Record<Status, number>>;
}
