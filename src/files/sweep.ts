import type { FilesContext } from './context.ts';
import { blobKey } from './ids.ts';
import type { Pace } from './pace.ts';
import { pieceCount, removeStored } from './sessions/session-store.ts';
import { toSession } from './sessions/state.ts';
import { reached } from '../points.ts';

const BATCH = 100;

/** What a sweep works with. */
export type SweepContext = Pick<FilesContext, 'store' | 'catalog' | 'log'>;

/** What a sweep did. */
export interface SweepReport {
  /** Softly deleted files whose time was over and whose records were removed. */
  readonly purged: number;
  /** Reservations whose leftovers were removed. */
  readonly reservations: number;
  /** Uploads that were given up or expired, and whose bytes were removed. */
  readonly uploads: number;
  /** File ids without a record whose bytes, if there were any, were removed. */
  readonly cleaned: number;
}

/**
 * Removes what may go: files whose retention is over, and what uploads left that never became a file.
 *
 * It reads the catalog's own lists and never the bucket, so its cost grows with what has happened
 * lately. An id is cleaned only after its reservation was closed, from when on it cannot become a
 * file; everything it does may be repeated, so a sweep that is cut short is finished by the next.
 *
 * @param pace - is waited for before blobs are deleted, a step each
 */
export async function sweep(context: SweepContext, signal: AbortSignal, pace: Pace): Promise<SweepReport> {
  const purged = await purgeDeleted(context, signal);
  const report = { purged, uploads: 0, reservations: 0, cleaned: 0 };
  for (;;) {
    const closed = await context.catalog.takeClosedReservations(new Date(), BATCH, { signal });
    for (const reservation of closed) {
      reached('sweep.closed');
      signal.throwIfAborted();
      report.cleaned += await cleanIds(context, reservation.fileIds, signal, pace);
      await context.catalog.forgetReservation(reservation.id, { signal });
      reached('sweep.forgotten');
      report.reservations++;
    }
    if (closed.length < BATCH) break;
  }
  report.uploads = await cleanUploads(context, signal, pace);
  return report;
}

async function purgeDeleted(context: SweepContext, signal: AbortSignal): Promise<number> {
  let purged = 0;
  for (;;) {
    const due = await context.catalog.listPurgeable(new Date(), BATCH, { signal });
    let progress = 0;
    for (const file of due) {
      signal.throwIfAborted();
      if (await context.catalog.purge(file.id, file.revision, { signal })) progress++;
      reached('sweep.purged');
    }
    purged += progress;
    if (due.length < BATCH || progress === 0) return purged;
  }
}

async function cleanUploads(context: SweepContext, signal: AbortSignal, pace: Pace): Promise<number> {
  let cleaned = 0;
  for (;;) {
    const closed = await context.catalog.uploads.takeClosed(new Date(), BATCH, { signal });
    for (const one of closed) {
      signal.throwIfAborted();
      const session = toSession(one);
      await pace(1 + pieceCount(session), signal);
      await removeStored(context, session, signal);
      await context.catalog.uploads.forget(session.id, { signal });
      cleaned++;
    }
    if (closed.length < BATCH) return cleaned;
  }
}

async function cleanIds(
  context: SweepContext,
  ids: readonly string[],
  signal: AbortSignal,
  pace: Pace,
): Promise<number> {
  const files = await context.catalog.get(ids, { signal });
  let cleaned = 0;
  for (const id of ids) {
    signal.throwIfAborted();
    await pace(1, signal);
    // Something unfinished may lie beside the blob of a file, too.
    await context.store.abortMultiparts(blobKey(id), { signal });
    if (files.has(id)) continue;
    await context.store.delete(blobKey(id), { signal });
    reached('sweep.blob-removed');
    cleaned++;
  }
  return cleaned;
}
