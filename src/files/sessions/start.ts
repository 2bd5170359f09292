import type { FileDescription } from '../../catalog/file-catalog.ts';
import { AssetError, isAssetError } from '../../errors.ts';
import { callerIds, type Caller } from '../../identity/caller.ts';
import type { FilesContext } from '../context.ts';
import { blobKey, newFileId, openerKey, requestKey } from '../ids.ts';
import { cleanDescription } from '../names.ts';
import { authorizeUpload } from '../policy/guard.ts';
import type { QuotaHold } from '../quota.ts';
import { assertScannable } from '../scan.ts';
import { expiry } from './session-store.ts';
import { toJson, toSession, type Session, type SessionState } from './state.ts';
import { reached } from '../../points.ts';

const MEBIBYTE = 2 ** 20;

/** Parts of a file whose size is known: so few that the list of them stays small. */
const MAX_PARTS = 1000;

/** A session that a caller wants to begin. */
export interface NewSession {
  readonly description: FileDescription;
  readonly sizeBytes: number | undefined;
  /** Empty if it may not be known again. */
  readonly requestId: string;
  /** True if the caller wants to send parts straight to the store. */
  readonly direct: boolean;
}

/** What a caller has to know of a session to go on with it. */
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
 *   QUOTA_EXCEEDED, and TOO_MANY_UPLOADS for a caller that has as many open as it may
 */
export async function startUpload(
  context: FilesContext,
  caller: Caller,
  wanted: NewSession,
  signal: AbortSignal,
): Promise<StartedSession> {
  const description = cleanDescription(authorizeUpload(context, caller, wanted.description));
  const { sizeBytes, direct } = wanted;
  context.policies.checkSize(description.usage, sizeBytes ?? 0);
  assertScannable(context, sizeBytes ?? 0);
  if (description.contentType !== '') {
    context.policies.checkContentType(description.usage, description.contentType);
  }
  if (direct && sizeBytes === undefined) {
    throw new AssetError('FIELD_INVALID', 'a DIRECT upload needs upload_spec.size_bytes', {
      metadata: { field: 'upload_spec.size_bytes' },
    });
  }
  const key = requestKey(caller, wanted.requestId);
  const partSizeBytes = partSize(context, sizeBytes);
  const finished = key && (await context.catalog.findByRequestKey(key, { signal }));
  if (finished) return { uploadId: finished.id, expireTime: undefined, partSizeBytes };

  const opener = { caller: openerKey(caller), maxOpen: context.uploads.maxOpenPerCaller };
  let room: QuotaHold;
  try {
    room = await context.quotas.hold(context, description, { sizeBytes: sizeBytes ?? 0, opener }, signal);
  } catch (error) {
    // The session that takes the last room may be the one of this very request.
    const isFull = isAssetError(error, 'QUOTA_EXCEEDED', 'TOO_MANY_UPLOADS');
    const earlier = key && isFull && (await context.catalog.uploads.find(key, { signal }));
    if (earlier) return started(toSession(earlier));
    throw error;
  }
  using _room = room;
  const state: SessionState = {
    caller: callerIds(caller),
    description,
    ...(sizeBytes !== undefined && { sizeBytes }),
    ...(key !== undefined && { requestKey: key }),
    claimed: true,
    direct,
    partSizeBytes,
    parts: [],
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
  return started(toSession(opened.session));
}

function started(session: Session): StartedSession {
  const { id, expireTime, state } = session;
  return { uploadId: id, expireTime, partSizeBytes: state.partSizeBytes };
}

function partSize(context: FilesContext, sizeBytes = 0): number {
  const { minBytes, maxBytes } = context.store.partLimits;
  const needed = Math.ceil(sizeBytes / MAX_PARTS / MEBIBYTE) * MEBIBYTE;
  return Math.min(Math.max(context.uploads.partSizeBytes, minBytes, needed), maxBytes);
}

/** The multipart blob of a session, begun if there is none yet. */
export async function beginMultipart(
  context: FilesContext,
  session: Session,
  contentType: string,
  signal: AbortSignal,
): Promise<string> {
  const { multipartId, partSizeBytes, direct } = session.state;
  const properties = { contentType, partSizeBytes, bySignedUrl: direct };
  return multipartId ?? (await context.store.startMultipart(blobKey(session.id), properties, { signal }));
}
