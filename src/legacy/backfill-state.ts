import type { CatalogCall } from '../catalog/file-catalog.ts';
import type { LegacyRecords } from '../catalog/legacy-records.ts';
import type { MoveOutcome } from './move-file.ts';
import type { SlowedBy } from './throttle.ts';

/** Name of the lease that one backfill at a time has, and under which the catalog keeps its state. */
export const BACKFILL = 'legacy-backfill';

const CONTROL = 'legacy-backfill-control';
const ACKNOWLEDGED = 'legacy-acknowledged';

/** How far a backfill is. It is kept in the catalog, so that another process, on any machine, goes on. */
export interface BackfillState {
  /** `stopped` where a run ended before its time; the next one goes on. */
  readonly state: 'running' | 'paused' | 'stopped' | 'done' | 'cancelled';
  readonly startTime: string;
  readonly updateTime: string;
  /** Who runs it, or ran it last. */
  readonly holder: string;
  /** Id of the last record that was dealt with, with all before it. */
  readonly cursor: string;
  /** Records that there were when it began, and bytes of those that were to be moved. */
  readonly total: { readonly files: number; readonly bytes: number };
  readonly counts: Readonly<Partial<Record<MoveOutcome, number>>>;
  readonly movedBytes: number;
  /** Greatest number of files a second; 0 for any number. */
  readonly rate: number;
  readonly slowedBy: SlowedBy | null;
  /** Why the last run stopped; empty if it did not. */
  readonly lastError: string;
}

/** What an operator asks of the backfill that runs. */
export interface BackfillControl {
  readonly paused: boolean;
  readonly cancelled: boolean;
  /** Null to leave the rate of the run as it is. */
  readonly rate: number | null;
}

/** A damaged file that need not be moved. A type, since JSON has no room for interfaces. */
export type Acknowledgement = {
  readonly reason: string;
  readonly by: string;
  readonly time: string;
};

const NOTHING_ASKED: BackfillControl = { paused: false, cancelled: false, rate: null };

/** The state of the last backfill; undefined if there was none. */
export async function backfillState(
  legacy: LegacyRecords,
  call?: CatalogCall,
): Promise<BackfillState | undefined> {
  return (await legacy.getState(BACKFILL, call)) as BackfillState | undefined;
}

/** What is asked of the backfill. */
export async function backfillControl(legacy: LegacyRecords, call?: CatalogCall): Promise<BackfillControl> {
  return {
    ...NOTHING_ASKED,
    ...((await legacy.getState(CONTROL, call)) as Partial<BackfillControl> | undefined),
  };
}

/** Asks something of the backfill, from any machine; what is left out stays as it is. */
export async function controlBackfill(legacy: LegacyRecords, asked: Partial<BackfillControl>): Promise<void> {
  await legacy.putState(CONTROL, { ...(await backfillControl(legacy)), ...asked });
}

/** Files whose damage somebody knows of, by id. */
export async function acknowledgements(
  legacy: LegacyRecords,
  call?: CatalogCall,
): Promise<Readonly<Record<string, Acknowledgement>>> {
  return ((await legacy.getState(ACKNOWLEDGED, call)) ?? {}) as Readonly<Record<string, Acknowledgement>>;
}

/** Writes down that the damage of a file is known. */
export async function acknowledge(legacy: LegacyRecords, id: string, what: Acknowledgement): Promise<void> {
  await legacy.putState(ACKNOWLEDGED, { ...(await acknowledgements(legacy)), [id]: { ...what } });
}
