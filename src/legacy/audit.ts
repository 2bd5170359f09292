import { randomUUID } from 'node:crypto';
import { lookAtObjects } from './audit-objects.ts';
import { lookAtRecords } from './audit-records.ts';
import type { AuditLine, AuditReport, AuditState } from './audit-report.ts';
import { exclusively } from './exclusive.ts';
import type { OldSystem } from './old-system.ts';
import { paceOf } from '../system/rate.ts';
import { servingSince } from './serving-since.ts';

/** Options of {@link audit}. */
export interface AuditOptions {
  /** Writes the lines of one step. Resolves with the size of the report afterwards, in bytes. */
  readonly write: (lines: readonly AuditLine[]) => Promise<number>;
  /** Called before the first line with the size of the report when the state was stored, in bytes. */
  readonly begin: (reportBytes: number, goesOn: boolean) => Promise<void>;
  /** Called after every step. */
  readonly onProgress?: (state: AuditState) => void;
  /** True to start at the beginning, even if the last run was interrupted. */
  readonly restart?: boolean;
  /** True to read all bytes, and compare them with the checksums of objects and records. */
  readonly full?: boolean;
  /** Limit of the records checked per second; none by default. */
  readonly recordsPerSecond?: number;
  /** Records per step; default 500. */
  readonly pageSize?: number;
  /** Time after which another process may take over from a killed one, in milliseconds; default 10,000. */
  readonly leaseMs?: number;
}

/** Name of the state in the catalog. */
export const AUDIT_STATE = 'legacy-audit';

const PAGE = 500;

const BEGINNING = { phase: 'records', cursor: '', records: {}, objects: {}, reportBytes: 0 } as const;

/**
 * Compares records and objects: looks up the object of each record, then the record of each object. Changes only its
 * own state. Its memory does not grow with their number.
 *
 * @throws AssetError STORE_UNAVAILABLE, CATALOG_UNAVAILABLE if a step got no answer at all. Another run continues
 * @throws StepRefused BUSY if another process runs it: both would continue one state and one report
 */
export function audit(system: OldSystem, options: AuditOptions, signal: AbortSignal): Promise<AuditReport> {
  const { leaseMs } = options;
  const holder = { holder: randomUUID(), ...(leaseMs !== undefined && { leaseMs }) };
  // It changes nothing but its own state: a lease that a busy machine loses need not end it.
  return exclusively(system.catalog, AUDIT_STATE, holder, signal, () => auditAll(system, options, signal));
}

async function auditAll(system: OldSystem, options: AuditOptions, signal: AbortSignal): Promise<AuditReport> {
  const { catalog, bucket } = system;
  const kept = (await catalog.legacy.getState(AUDIT_STATE, { signal })) as AuditState | undefined;
  const full = options.full ?? false;
  const isOpen = kept !== undefined && kept.phase !== 'done' && (kept.full ?? false) === full;
  const goesOn = isOpen && options.restart !== true;
  let state: AuditState = goesOn ? kept : await beginning(system, full, signal);
  const isBegun = state.phase !== 'records' || state.cursor !== '';
  await options.begin(state.reportBytes, goesOn && isBegun);
  const [sample] = await bucket.reader.list('', { signal });
  const access = await bucket.reader.publicAccess(sample?.key, { signal });
  const findings = await catalog.inspect({ relations: [], usages: [] }, { signal });
  const resumedFrom = goesOn ? `${state.phase} ${state.cursor}`.trim() : '';
  const { recordsPerSecond } = options;
  const pace = recordsPerSecond === undefined ? undefined : paceOf(recordsPerSecond);
  while (state.phase !== 'done') {
    signal.throwIfAborted();
    const step =
      state.phase === 'records'
        ? await lookAtRecords(system, state, { pageSize: options.pageSize ?? PAGE, pace }, signal)
        : await lookAtObjects(system, state, signal);
    state = { ...step.state, reportBytes: await options.write(step.lines) };
    await catalog.legacy.putState(AUDIT_STATE, { ...state }, { signal });
    options.onProgress?.(state);
  }
  return { ...state, resumedFrom, access, findings };
}

async function beginning({ catalog }: OldSystem, full: boolean, signal: AbortSignal): Promise<AuditState> {
  const since = await servingSince(catalog.legacy, { signal });
  return { ...BEGINNING, startTime: new Date().toISOString(), full, ...(since && { since }) };
}
