import { fieldInvalid } from '../../errors/fields.ts';
import { requestIdReused } from '../../errors/uploads.ts';
import { callerIds, type Caller } from '../../identity/caller.ts';
import type { FilesContext } from '../context.ts';
import { newFileId, openerKey } from './ids.ts';
import { admitFile, takeRoom, type NewFile } from './intake.ts';
import { partSizeFor } from './parts.ts';
import { expiry } from './session-store.ts';
import { NO_PARTS, toJson, toSession, type Session, type SessionState } from './session-state.ts';
import { reached } from '../../system/crash-points.ts';

/** A session that a caller wants to begin. */
export interface NewSession extends NewFile {
  /** True if the caller wants to send parts straight to the store. */
  readonly direct: boolean;
}

/** What a caller needs to continue a session. */
export interface StartedSession {
  readonly uploadId: string;
  /** Undefined if the upload is finished already. */
  readonly expireTime: Date | undefined;
  readonly partSizeBytes: number;
}

/**
 * Begins an upload, or finds the one that the request id stands for.
 *
 * @throws AssetError PERMISSION_DENIED; what the usage policy refuses; FIELD_INVALID for a direct upload without a size;
 *   QUOTA_EXCEEDED, and TOO_MANY_UPLOADS for a caller that has as many open as it may; REQUEST_ID_REUSED if the earlier
 *   upload has another size
 */
export async function startUpload(
  context: FilesContext,
  caller: Caller,
  wanted: NewSession,
  signal: AbortSignal,
): Promise<StartedSession> {
  const { direct } = wanted;
  const intake = admitFile(context, caller, wanted);
  const { description, sizeBytes, rules, requestKey: key } = intake;
  if (description.contentType !== '') rules.checkContentType(description.contentType);
  if (direct && sizeBytes === undefined) {
    throw fieldInvalid('upload_spec.size_bytes', 'a DIRECT upload needs the size of the file: give it');
  }
  const partSizeBytes = partSizeFor(context.store, context.uploads.partSizeBytes, sizeBytes);
  const finished = key && (await context.catalog.findByRequestKey(key, { signal }));
  if (finished) {
    assertSameSize(finished.id, finished.sizeBytes, sizeBytes);
    return { uploadId: finished.id, expireTime: undefined, partSizeBytes };
  }

  const opener = { caller: openerKey(caller), maxOpen: context.uploads.maxOpenPerCaller };
  const find = (by: string) => context.catalog.uploads.find(by, { signal });
  const taken = await takeRoom(context, intake, { opener }, find, signal);
  if ('earlier' in taken) return started(toSession(taken.earlier), sizeBytes);
  using _room = taken.room;
  const state: SessionState = {
    caller: callerIds(caller),
    description,
    ...(sizeBytes !== undefined && { sizeBytes }),
    ...(key !== undefined && { requestKey: key }),
    ...(wanted.requestId !== '' && { requestId: wanted.requestId }),
    createdAt: Date.now(),
    claimed: true,
    direct,
    partSizeBytes,
    stored: NO_PARTS,
    tail: [],
    stale: [],
    pending: [],
    crc32c: 0,
    sha256State: '',
    expected: {},
  };
  const opened = await context.catalog.uploads.open(
    {
      id: newFileId(),
      state: toJson(state),
      expireTime: expiry(context),
      ...(key !== undefined && { requestKey: key }),
      claim: {
        ...{ caller: opener.caller, owner: description.owner, usage: description.usage },
        sizeBytes: sizeBytes ?? 0,
      },
    },
    { signal },
  );
  reached('session.opened');
  return started(toSession(opened.session), sizeBytes);
}

function started(session: Session, sizeBytes: number | undefined): StartedSession {
  const { id, expireTime, state } = session;
  assertSameSize(id, state.sizeBytes, sizeBytes);
  return { uploadId: id, expireTime, partSizeBytes: state.partSizeBytes };
}

/** Throws REQUEST_ID_REUSED if both sizes are known and differ: bytes of two files must not come to one upload. */
function assertSameSize(id: string, earlier: number | undefined, now: number | undefined): void {
  if (earlier !== undefined && now !== undefined && earlier !== now) throw requestIdReused(id);
}
