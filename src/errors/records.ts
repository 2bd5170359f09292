import { AssetError } from './asset-error.ts';

// Errors about files and their records.

/** The error for an id without a file; an empty id for an old path without a file. */
export function fileNotFound(fileId: string): AssetError {
  const what = fileId === '' ? 'path' : 'id';
  return new AssetError('FILE_NOT_FOUND', `there is no file with this ${what}`, {
    metadata: fileId === '' ? {} : { file_id: fileId },
  });
}

/**
 * The error of a call that lost against a concurrent one.
 *
 * @param fileId - the file whose record changed; undefined if the file of a request_id was removed
 */
export function concurrentChange(fileId?: string): AssetError {
  const [what, advice] =
    fileId === undefined
      ? ['removed the file of this request_id', 'upload again']
      : ['changed the file', 'read it again and repeat'];
  return new AssetError('CONCURRENT_CHANGE', `another call ${what} at the same time: ${advice}`, {
    metadata: fileId === undefined ? {} : { file_id: fileId },
  });
}

/** The actual type of bytes that do not have the type in the record or request. */
export type OtherType =
  /** The detected type; undefined if unknown. */
  | { readonly detected: string | undefined }
  /** The file whose bytes are stored as another type. */
  | { readonly fileId: string };

/** The error of bytes that do not have the stated media type. */
export function contentTypeMismatch(contentType: string, other: OtherType): AssetError {
  const [found, metadata] =
    'fileId' in other
      ? ['stored as another type', { file_id: other.fileId }]
      : [
          other.detected ?? 'of no type that can be recognised',
          { content_type: contentType, detected_type: other.detected ?? '' },
        ];
  return new AssetError(
    'CONTENT_TYPE_MISMATCH',
    `content_type says ${contentType}, but the bytes are ${found}: give the type that they have, or none`,
    { metadata },
  );
}

/**
 * The error of a read after the end of a file.
 *
 * @param sizeBytes - the size of the file; undefined if the store does not say it
 */
export function readOffsetOutOfRange(sizeBytes?: number, cause?: unknown): AssetError {
  const size = sizeBytes === undefined ? '' : `, which has ${sizeBytes} bytes`;
  return new AssetError(
    'READ_OFFSET_OUT_OF_RANGE',
    `read_offset is beyond the end of the file${size}: read from a place in it`,
    { metadata: sizeBytes === undefined ? {} : { size_bytes: String(sizeBytes) }, cause },
  );
}

/** Properties of the error of lost bytes. */
export interface MissingBlob {
  readonly damage?: 'missing' | 'changed';
  /** For the caller; undefined if only the key is known. */
  readonly fileId?: string;
  readonly cause?: unknown;
}

/** The error of bytes that are missing in the store or differ from the record. */
export function blobMissing({ damage = 'missing', fileId, cause }: MissingBlob = {}): AssetError {
  const problem =
    damage === 'missing'
      ? 'the bytes of the file are not in the store'
      : 'the bytes in the store are not those that the record describes';
  return new AssetError('BLOB_MISSING', `${problem}: tell the operators`, {
    metadata: fileId === undefined ? {} : { file_id: fileId },
    cause,
  });
}

/** The error of a file that a dataset manifest names. `manifestId` is undefined if the caller may not know of it. */
export function filePinned(fileId: string, manifestId: string | undefined): AssetError {
  return new AssetError('FILE_PINNED', 'a dataset names the file: delete the manifest of the dataset first', {
    metadata: { file_id: fileId, ...(manifestId !== undefined && { manifest_id: manifestId }) },
  });
}

/**
 * The error of a dataset manifest.
 *
 * @param line - line of the mistake, from 1
 * @param fileId - the file that the line names, if it is about one
 */
export function datasetInvalid(line: number, why: string, fileId?: string): AssetError {
  return new AssetError('DATASET_INVALID', `line ${line} of the manifest: ${why}`, {
    metadata: { line: String(line), ...(fileId !== undefined && { file_id: fileId }) },
  });
}
