import type { FileCatalog } from '../../catalog/file-catalog.ts';
import { lagAfter } from '../following.ts';
import type { VerifyState } from '../verify.ts';
import { storeProgress, type StoreProgress } from './progress.ts';
import { replicasAt, type Replicas } from './replicas.ts';
import { retired, type Retired } from './retire.ts';
import { isUnderWay, readRow, type StoreRow } from './row.ts';
import { sourceUrlsEnd } from './source-urls.ts';
import { storeVerification } from './verification.ts';

/** What is known of a store move. */
export interface StoreMoveStatus {
  /** Undefined if none was begun. */
  readonly row: StoreRow | undefined;
  readonly progress: StoreProgress | undefined;
  /** `none`, that of the run while files are copied, else that of the row. */
  readonly state: 'none' | StoreProgress['run'] | Exclude<StoreRow['state'], 'moving'>;
  /**
   * Age of the oldest change whose file may not be in both stores, in milliseconds; undefined if the log was cut before it.
   */
  readonly lagMs: number | undefined;
  readonly verification: (VerifyState & { readonly isStale: boolean }) | undefined;
  /** None unless files are or may be in both stores: they show themselves only then. */
  readonly replicas: Replicas;
  readonly retired: Retired | undefined;
  /** Until when signed URLs of the old store may be in use; undefined if none can be. */
  readonly urlsEnd: Date | undefined;
  /** Commands, as text. */
  readonly nextSteps: readonly string[];
}

/** The state of the move of a catalog's store. Reads the catalog alone, and changes nothing. */
export async function storeMoveStatus(catalog: FileCatalog, signal?: AbortSignal): Promise<StoreMoveStatus> {
  const call = { ...(signal && { signal }) };
  const row = (await readRow(catalog, call))?.row;
  const found = await storeProgress(catalog, signal);
  const progress = row !== undefined && found?.move === row.move ? found : undefined;
  const verification = row && (await storeVerification(catalog, signal));
  const isFollowed = row !== undefined && progress !== undefined && isUnderWay(row);
  const lagMs = isFollowed ? await lagAfter(catalog, progress.log, signal) : 0;
  const state = stateOf(row, progress);
  const ended = await retired(catalog, signal);
  const status = { row, progress, state, lagMs, verification };
  return {
    ...status,
    replicas: row && isUnderWay(row) ? await replicasAt(catalog, row.epoch, call) : NO_REPLICAS,
    retired: ended !== undefined && ended.move === row?.move ? ended : undefined,
    urlsEnd:
      row?.active === 'target' && row.state !== 'retired' && progress !== undefined
        ? sourceUrlsEnd(row, progress, { now: new Date() })
        : undefined,
    nextSteps: nextSteps(status),
  };
}

function stateOf(row: StoreRow | undefined, progress: StoreProgress | undefined): StoreMoveStatus['state'] {
  if (row === undefined) return 'none';
  return row.state === 'moving' ? (progress?.run ?? 'stopped') : row.state;
}

const NO_REPLICAS: Replicas = { count: 0, current: 0, behind: [] };

const COMMAND = 'asset-service store move';

function nextSteps({
  row,
  progress,
  lagMs,
  verification,
}: Pick<StoreMoveStatus, 'row' | 'progress' | 'lagMs' | 'verification'>): readonly string[] {
  const [start, verify] = [`${COMMAND} start --yes`, `${COMMAND} verify`];
  const [complete, retire, reverse] = ['complete', 'retire', 'reverse'].map(
    (step) => `${COMMAND} ${step} --yes`,
  );
  if (row === undefined || row.state === 'cancelled' || progress === undefined) return [start];
  if (row.state === 'retired') return [];
  if (row.state === 'completed') return [retire!];
  if (row.state === 'switched') return [...(lagMs === 0 ? [] : [start]), complete!, reverse!];
  if (lagMs === undefined) return [`${COMMAND} cancel --yes`, start];
  if (!progress.isCopied || progress.refused.length > 0) return [start];
  if (verification === undefined || verification.isStale) return [verify];
  if (verification.damagedCount > 0) return [start, verify];
  return [`${COMMAND} switch --yes`];
}
