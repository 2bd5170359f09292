import type { Logger } from 'pino';
import type { AuditLog } from '../audit/audit-log.ts';
import type { FileCatalog } from '../catalog/file-catalog.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { MemoryBudget } from '../storage/memory-budget.ts';
import type { Admission } from './admission.ts';
import type { OldFiles } from './old-files.ts';
import type { UsagePolicies } from './policy/usage-policies.ts';
import type { Quotas } from './quota.ts';
import type { RecordLoader } from './record-loader.ts';
import type { ReservationPool } from './reservations.ts';
import type { Scanning } from './scan.ts';

/** What the use cases work with. Made once by the composition root. */
export interface FilesContext {
  readonly store: BlobStore;
  readonly catalog: FileCatalog;
  /** Looks single records up, several calls at a time. */
  readonly records: RecordLoader;
  /** Files that are older than the service; undefined where there is no old system. */
  readonly oldFiles?: OldFiles | undefined;
  readonly policies: UsagePolicies;
  /** Is told every decision on what a caller may do, before it has its effect. */
  readonly audit: AuditLog;
  readonly reservations: ReservationPool;
  /** Bounds the uploads in hand. */
  readonly admission: Admission;
  /** Holds owners to what they may have. */
  readonly quotas: Quotas;
  /** Bounds the bytes that all uploads together hold in memory. */
  readonly budget: MemoryBudget;
  /** Looks for malware in every new file; undefined where nothing does. */
  readonly scanning?: Scanning | undefined;
  readonly log: Logger;
  readonly uploads: {
    /** Size of one part of a large file, in bytes. */
    readonly partSizeBytes: number;
    /** Parts of one upload that are on their way to the store at once. */
    readonly concurrency: number;
    /** How long a caller may send nothing in the middle of an upload, in milliseconds. */
    readonly stallTimeoutMs: number;
    /** How long a session lives after the last call that used it, in milliseconds. */
    readonly sessionTtlMs: number;
    /** Greatest number of sessions that one caller has open; 0 for any number. */
    readonly maxOpenPerCaller: number;
    /** How long something may still be on its way to the store after its upload has ended, in milliseconds. */
    readonly graceMs: number;
  };
}
