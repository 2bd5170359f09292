import type {
  ClosedHold,
  FileRecord,
  Reservation,
  SweepCall,
  SweepCursor,
} from '../../catalog/file-catalog.ts';
import { isAssetError } from '../../errors/asset-error.ts';
import { reached } from '../../system/crash-points.ts';
import { findPieces, removeBytes } from '../bytes.ts';
import { pieceRevisions } from '../upload/session-pieces.ts';
import { toSession } from '../upload/session-state.ts';
import type { DerivedNames, Step } from './derived.ts';
import type { SweepRun } from './run.ts';

/** Maximum number of entries read from the catalog at once. */
const BATCH = 100;

/** Removes what cancelled or expired uploads left, under reserved ids or in sessions. */
export async function cleanLeftovers(run: SweepRun, names: DerivedNames, step: Step): Promise<void> {
  for await (const hold of closedHolds(run)) {
    reached('sweep.closed');
    await (hold.kind === 'reservation'
      ? cleanReservation(run, hold, names, step)
      : cleanUpload(run, hold, step));
  }
}

/** Removes what a closed session left, and then the session. */
async function cleanUpload(
  run: SweepRun,
  closed: ClosedHold & { readonly kind: 'upload' },
  step: Step,
): Promise<void> {
  const { context, signal, done } = run;
  const { id } = closed;
  let pieces: readonly number[] | undefined;
  await run.attempt('upload', id, async () => {
    pieces = await piecesOf(run, closed);
  });
  if (pieces === undefined) return;
  await step(1 + pieces.length);
  const remains = { unfinished: true, blob: true, pieces };
  const isDone = await run.attempt('upload', id, async () => {
    await removeBytes(context.store, id, remains, { signal });
    await context.catalog.uploads.forget(closed, { signal });
  });
  if (isDone) done.uploads++;
}

/**
 * Revisions of the pieces of a closed session. If its state is damaged, the store is asked for them: nobody can
 * continue such an upload, and it must not stay forever. The state of a later release is left to that release.
 */
async function piecesOf(
  { context, signal }: SweepRun,
  closed: ClosedHold & { readonly kind: 'upload' },
): Promise<readonly number[]> {
  try {
    return pieceRevisions(toSession(closed));
  } catch (error) {
    if (isAssetError(error)) throw error;
    const pieces = await findPieces(context.store, closed.id, { signal });
    context.log.warn({ upload_id: closed.id, err: error }, 'removing an upload whose state cannot be read');
    return pieces;
  }
}

/**
 * Removes the data under those ids of a closed reservation that are no file, and then the reservation. Ids whose data
 * could not be removed stay in it.
 */
export async function cleanReservation(
  run: SweepRun,
  reservation: Pick<Reservation, 'id' | 'fileIds'>,
  names: DerivedNames,
  step: Step,
): Promise<void> {
  const { context, signal, done } = run;
  const { id } = reservation;
  let fileIds: readonly string[] = [];
  let files: ReadonlyMap<string, FileRecord> | undefined;
  await run.attempt('reservation', id, async () => {
    fileIds = reservation.fileIds;
    files = await context.catalog.get(fileIds, { signal });
  });
  if (files === undefined) return;
  const left: string[] = [];
  for (const fileId of fileIds) {
    const isFile = files.has(fileId);
    if (!run.hasFailed('id', fileId)) await step(1);
    const isDone =
      !run.hasFailed('id', fileId) &&
      (await run.attempt('id', fileId, () =>
        cleanId(run, fileId, isFile, fileId === id ? names : undefined),
      ));
    if (!isDone) left.push(fileId);
    else if (!isFile) done.cleaned++;
  }
  if (left.length === fileIds.length && left.length > 0) return;
  const isDone = await run.attempt('reservation', id, () =>
    left.length > 0
      ? context.catalog.uploads.keepLeftovers(id, left, { signal })
      : context.catalog.uploads.forget({ kind: 'reservation', id }, { signal }),
  );
  if (!isDone || left.length > 0) return;
  reached('sweep.forgotten');
  done.reservations++;
}

/**
 * Removes unfinished data of an id, which a file may have too, the pieces of a file, and the blob unless there is a file.
 *
 * @param names - what may have been derived from the file; undefined for an id that never was a file
 */
async function cleanId(
  { context, signal }: SweepRun,
  fileId: string,
  isFile: boolean,
  names: DerivedNames | undefined,
): Promise<void> {
  const derived = isFile ? [] : await names?.all();
  // A file has no session any more: a piece came too late. Before that, pieces belong to the session.
  const pieces = isFile ? await findPieces(context.store, fileId, { signal }) : [];
  await removeBytes(
    context.store,
    fileId,
    { unfinished: true, blob: !isFile, pieces, ...(derived && { derived }) },
    { signal },
  );
  if (!isFile) reached('sweep.blob-removed');
}

/**
 * Every closed hold, page by page. A page starts after the last hold of the page before, so that holds that cannot be
 * removed do not block the others.
 */
async function* closedHolds(run: SweepRun): AsyncGenerator<ClosedHold> {
  const { uploads } = run.context.catalog;
  let after: SweepCursor | undefined;
  const onFailure: SweepCall['onFailure'] = ({ kind, id }, error) => run.fail(kind, id, error);
  for (;;) {
    const call = { signal: run.signal, onFailure, ...(after && { after }) };
    const page = await uploads.takeClosed(new Date(), BATCH, call);
    for (const hold of page) {
      run.tellProgress(hold.expireTime);
      yield hold;
    }
    const last = page.at(-1);
    if (!last || page.length < BATCH) return;
    after = { time: last.expireTime, id: last.id };
  }
}
