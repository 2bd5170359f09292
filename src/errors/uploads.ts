import { AssetError } from './asset-error.ts';

// Errors about the bytes of uploads and their order.

/** The error of an upload whose reservation, session or multipart blob is closed or was removed. */
export function uploadExpired(cause?: unknown): AssetError {
  return new AssetError('UPLOAD_EXPIRED', 'the upload is not open any more: upload again', { cause });
}

/**
 * The error of bytes that do not have their declared size.
 *
 * @param cameBytes - the received number, or `more`
 */
export function sizeMismatch(saidBytes: number, cameBytes: number | string): AssetError {
  const advice = 'no file was stored, upload again with the true size or without one';
  return wrongSize(saidBytes, `${cameBytes} came: ${advice}`);
}

/**
 * The error of a size that is given for an upload in progress and cannot be its size. The upload stays as it is.
 *
 * @param why - what contradicts it, for the caller
 */
export function sizeContradicted(saidBytes: number, why: string): AssetError {
  return wrongSize(saidBytes, `${why}: give the size of the whole file`);
}

function wrongSize(saidBytes: number, rest: string): AssetError {
  return new AssetError('SIZE_MISMATCH', `size_bytes says ${saidBytes}, but ${rest}`, {
    metadata: { size_bytes: String(saidBytes) },
  });
}

/**
 * The error of bytes that do not match their checksum.
 *
 * @param of - name of the bytes, for the caller
 */
export function checksumMismatch(checksum: 'sha256' | 'crc32c', of: string, cause?: unknown): AssetError {
  return new AssetError(
    'CHECKSUM_MISMATCH',
    `the ${checksum} of ${of} is not the one that was given: compute it again and send the bytes again`,
    { metadata: { checksum }, cause },
  );
}

/** Further properties of {@link fileTooLarge}. */
export interface TooLarge {
  /** The usage whose policy sets the limit. */
  readonly usage?: string;
  /** What to do; to send a smaller file by default. */
  readonly advice?: string;
  readonly cause?: unknown;
}

/**
 * The error of a file with too many bytes.
 *
 * @param kind - which files have this limit, such as `that is scanned for malware`
 */
export function fileTooLarge(
  maxBytes: number,
  kind: string,
  { usage, advice = 'send a smaller one', cause }: TooLarge = {},
): AssetError {
  return new AssetError('FILE_TOO_LARGE', `a file ${kind} may have at most ${maxBytes} bytes: ${advice}`, {
    metadata: { ...(usage !== undefined && { usage }), max_size_bytes: String(maxBytes) },
    cause,
  });
}

/**
 * The error of bytes with a wrong offset.
 *
 * @param nextOffset - the expected offset
 */
export function writeOffsetMismatch(writeOffset: number | bigint, nextOffset: number): AssetError {
  return new AssetError(
    'WRITE_OFFSET_MISMATCH',
    `write_offset is ${writeOffset}, but the upload has ${nextOffset} bytes: go on from there`,
    { metadata: { persisted_size: String(nextOffset) } },
  );
}

/** The error of a request id that stands for an upload with other content; `fileId` is its file or session. */
export function requestIdReused(fileId: string): AssetError {
  return new AssetError(
    'REQUEST_ID_REUSED',
    'this request_id was used for an upload with other content: use a new id for a new upload',
    { metadata: { file_id: fileId } },
  );
}

/** The error of a message at the wrong place in an Upload stream; `rule` is the broken rule. */
export function uploadMessageOrder(rule: string): AssetError {
  return new AssetError('UPLOAD_MESSAGE_ORDER', `the messages of an upload are in the wrong order: ${rule}`);
}

/** The error for an id without an upload, or with one of another caller. */
export function uploadNotFound(uploadId: string): AssetError {
  return new AssetError(
    'UPLOAD_NOT_FOUND',
    'there is no upload with this id: it was cancelled, has expired or was never started; start a new one',
    { metadata: { upload_id: uploadId } },
  );
}

/** The error of a call whose upload was continued by another call. */
export function uploadTakenOver(uploadId: string): AssetError {
  return new AssetError(
    'UPLOAD_TAKEN_OVER',
    'another call writes to this upload: ask GetUpload where to go on if that call is not yours any more',
    { metadata: { upload_id: uploadId } },
  );
}

/** The error of bytes for a DIRECT upload, or of URLs for one that is not. */
export function wrongTransport(uploadId: string, isDirect: boolean): AssetError {
  return new AssetError(
    'UPLOAD_TRANSPORT',
    isDirect
      ? 'the upload is DIRECT: send its bytes to the URLs of SignUploadParts'
      : 'the upload is not DIRECT: send its bytes with UploadChunk or Upload',
    { metadata: { upload_id: uploadId } },
  );
}
