import type { Logger } from 'pino';
import type { AuditLog } from '../audit/audit-log.ts';
import type { FileCatalog } from '../catalog/file-catalog.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { MemoryBudget } from '../storage/memory-budget.ts';
import type { Admission } from './upload/admission.ts';
import type { OldFiles } from './old-files.ts';
import type { UsagePolicies } from './policy/usage-policies.ts';
import type { Quotas } from './quota.ts';
import type { RecordLoader } from './record-loader.ts';
import type { ReservationPool } from './upload/reservations.ts';
import type { Scanning } from './upload/scan.ts';
import type { Variants } from './variants.ts';

/** Dependencies of the use cases, created once by the composition root. */
export interface FilesContext {
  readonly store: BlobStore;
  readonly catalog: FileCatalog;
  /** Loads single records; concurrent calls share one request. */
  readonly records: RecordLoader;
  /** Files older than the service; undefined without an old system. */
  readonly oldFiles?: OldFiles | undefined;
  readonly policies: UsagePolicies;
  /** Records every permission decision before it takes effect. */
  readonly audit: AuditLog;
  readonly reservations: ReservationPool;
  /** Limits the running uploads. */
  readonly admission: Admission;
  /** Enforces quotas of owners. */
  readonly quotas: Quotas;
  /** Limits the bytes that all uploads together hold in memory. */
  readonly budget: MemoryBudget;
  /** Scans every new file for malware; undefined if not configured. */
  readonly scanning?: Scanning | undefined;
  /** Makes and finds variants of images; undefined if there are none. */
  readonly variants?: Variants | undefined;
  readonly log: Logger;
  readonly uploads: {
    /** Size of one part of a large file, in bytes. */
    readonly partSizeBytes: number;
    /** Number of parts of one upload that are sent to the store at the same time. */
    readonly concurrency: number;
    /** How long a caller may send nothing during an upload, in milliseconds. */
    readonly stallTimeoutMs: number;
    /** How long a session lives after its last call, in milliseconds. */
    readonly sessionTtlMs: number;
    /** Maximum number of open sessions of one caller; 0 for no limit. */
    readonly maxOpenPerCaller: number;
    /** How long data may still arrive at the store after its upload has ended, in milliseconds. */
    readonly graceMs: number;
  };
}
