import { lookAtObjects } from './audit-objects.ts';
import { lookAtRecords } from './audit-records.ts';
import type { AuditLine, AuditReport, AuditState } from './audit-report.ts';
import type { OldSystem } from './old-system.ts';
import { servingSince } from './serving-since.ts';

/** How an audit is run. */
export interface AuditOptions {
  /** Takes the lines of one step; what it resolves with is the size of the report then, in bytes. */
  readonly write: (lines: readonly AuditLine[]) => Promise<number>;
  /** Is called before the first line with the size that the report had when the state was kept. */
  readonly begin: (reportBytes: number) => Promise<void>;
  /** Is told of every step. */
  readonly onProgress?: (state: AuditState) => void;
  /** True to begin at the beginning, also where a run before did not come to its end. */
  readonly restart?: boolean;
  /** True to read all bytes, and compare them with the checksums of objects and records. */
  readonly full?: boolean;
  /** Records of one step; 500 where left out. */
  readonly pageSize?: number;
}

/** Name under which the catalog keeps the state. */
export const AUDIT_STATE = 'legacy-audit';

const PAGE = 500;

const BEGINNING = { phase: 'records', cursor: '', records: {}, objects: {}, reportBytes: 0 } as const;

/**
 * Holds records and objects against each other and changes nothing but its own state: each record's object is asked for, each
 * object's record is looked up. The memory that it takes does not grow with their number.
 *
 * @throws AssetError STORE_UNAVAILABLE, CATALOG_UNAVAILABLE where nothing of a step could be found out; another run goes on
 */
export async function audit(
  system: OldSystem,
  options: AuditOptions,
  signal: AbortSignal,
): Promise<AuditReport> {
  const { catalog, bucket } = system;
  const kept = (await catalog.legacy.getState(AUDIT_STATE, { signal })) as AuditState | undefined;
  const full = options.full ?? false;
  const isOpen = kept !== undefined && kept.phase !== 'done' && (kept.full ?? false) === full;
  const goesOn = isOpen && options.restart !== true;
  let state: AuditState = goesOn ? kept : await beginning(system, full, signal);
  await options.begin(state.reportBytes);
  const [sample] = await bucket.reader.list('', { signal });
  const access = await bucket.reader.publicAccess(sample?.key, { signal });
  const findings = await catalog.inspect({ relations: [], usages: [] }, { signal });
  const resumedFrom = goesOn ? `${state.phase} ${state.cursor}`.trim() : '';
  while (state.phase !== 'done') {
    signal.throwIfAborted();
    const step =
      state.phase === 'records'
        ? await lookAtRecords(system, state, options.pageSize ?? PAGE, signal)
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
