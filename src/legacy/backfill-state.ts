import { randomUUID } from 'node:crypto';
import type { CatalogCall, Leases } from '../catalog/file-catalog.ts';
import type { LegacyRecords } from '../catalog/legacy-records.ts';
import type { MoveOutcome } from './move-file.ts';
import { exclusively } from './exclusive.ts';
import type { SlowedBy } from './throttle.ts';

/** Name of the lease of the running backfill, and of its state in the catalog. */
export const BACKFILL = 'legacy-backfill';

const CONTROL = 'legacy-backfill-control';
const ACKNOWLEDGED = 'legacy-acknowledged';

/** Progress of a backfill, stored in the catalog, so that another process on any machine continues. */
export interface BackfillState {
  /** `stopped` if a run ended early; the next one continues. */
  readonly state: 'running' | 'paused' | 'stopped' | 'done' | 'cancelled' | 'undone';
  readonly startTime: string;
  readonly updateTime: string;
  /** Who runs it, or ran it last. */
  readonly holder: string;
  /** Id of the last processed record; all records before it are processed. */
  readonly cursor: string;
  /** Number of records at the start, and bytes of those to move. */
  readonly total: { readonly files: number; readonly bytes: number };
  readonly counts: Readonly<Partial<Record<MoveOutcome, number>>>;
  readonly movedBytes: number;
  /** Pages of the undo journal that were written since the last undo. */
  readonly journal?: number;
  /** Files of these that the store copied itself. */
  readonly serverSide?: number;
  /** Moved files whose readers get other headers than from the old bucket. */
  readonly differing?: number;
  /** Maximum number of files per second; 0 for no limit. */
  readonly rate: number;
  readonly slowedBy: SlowedBy | null;
  /** Number of concurrently moved files. */
  readonly workers?: number;
  /** Why the last run stopped; empty if it did not. */
  readonly lastError: string;
}

/** An operator's request to the running backfill. */
export interface BackfillControl {
  readonly paused: boolean;
  readonly cancelled: boolean;
  /** Null keeps the rate of the run. */
  readonly rate: number | null;
}

/** A damaged file that need not be moved. A type alias, because interfaces are not assignable to JSON values. */
export type Acknowledgement = {
  readonly reason: string;
  readonly by: string;
  readonly time: string;
};

type StateHolder = Leases & { readonly legacy: LegacyRecords };

const NOTHING_ASKED: BackfillControl = { paused: false, cancelled: false, rate: null };

/** The state of the last backfill, if any. */
export async function backfillState(
  legacy: LegacyRecords,
  call?: CatalogCall,
): Promise<BackfillState | undefined> {
  return (await legacy.getState(BACKFILL, call)) as BackfillState | undefined;
}

/** The current request to the backfill. */
export async function backfillControl(legacy: LegacyRecords, call?: CatalogCall): Promise<BackfillControl> {
  return {
    ...NOTHING_ASKED,
    ...((await legacy.getState(CONTROL, call)) as Partial<BackfillControl> | undefined),
  };
}

/** Sends a request to the backfill, from any machine; omitted fields stay. Several operators may do it at once. */
export async function controlBackfill(
  catalog: StateHolder,
  asked: Partial<BackfillControl>,
  signal: AbortSignal,
): Promise<void> {
  await exclusively(catalog, CONTROL, { holder: randomUUID() }, signal, async (held) => {
    const before = await backfillControl(catalog.legacy, { signal: held });
    await catalog.legacy.putState(CONTROL, { ...before, ...asked }, { signal: held });
  });
}

/** Acknowledged damaged files, by id. */
export async function acknowledgements(
  legacy: LegacyRecords,
  call?: CatalogCall,
): Promise<Readonly<Record<string, Acknowledgement>>> {
  return ((await legacy.getState(ACKNOWLEDGED, call)) ?? {}) as Readonly<Record<string, Acknowledgement>>;
}

/** Records that the damage of a file is known. Several operators may do it at once. */
export async function acknowledge(
  catalog: StateHolder,
  id: string,
  what: Acknowledgement,
  signal: AbortSignal,
): Promise<void> {
  await exclusively(catalog, ACKNOWLEDGED, { holder: randomUUID() }, signal, async (held) => {
    const known = await acknowledgements(catalog.legacy, { signal: held });
    await catalog.legacy.putState(ACKNOWLEDGED, { ...known, [id]: { ...what } }, { signal: held });
  });
}

/** The state of a new run. Counts before anything is moved, so that the remaining time is right. */
export async function newBackfill(
  legacy: LegacyRecords,
  options: { readonly holder: string; readonly rate: number | undefined },
  journal: number,
  signal: AbortSignal,
): Promise<BackfillState> {
  let [files, bytes] = [0, 0];
  for (let after = ''; ;) {
    const page = await legacy.scan(after, 500, { signal });
    files += page.length;
    for (const { file } of page) if (file.sha256 === undefined) bytes += file.sizeBytes;
    if (page.length < 500) break;
    after = page.at(-1)!.file.id;
  }
  const now = new Date().toISOString();
  return {
    ...{ state: 'running', startTime: now, updateTime: now, holder: options.holder, cursor: '' },
    ...{
      total: { files, bytes },
      counts: {},
      movedBytes: 0,
      journal,
      serverSide: 0,
      differing: 0,
      rate: options.rate ?? 0,
      slowedBy: null,
      lastError: '',
    },
  };
}
