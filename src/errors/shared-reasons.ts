import { AssetError } from '../errors.ts';

// Errors that several rooms throw, each with one wording. An error that one file alone throws is made there.

/** The error for an id that names no file, or for an old path that does: the id is empty then. */
export function fileNotFound(fileId: string): AssetError {
  const what = fileId === '' ? 'path' : 'id';
  return new AssetError('FILE_NOT_FOUND', `there is no file with this ${what}`, {
    metadata: fileId === '' ? {} : { file_id: fileId },
  });
}

/** The error of a change of a record whose revision differs. */
export function concurrentChange(fileId: string): AssetError {
  return new AssetError('CONCURRENT_CHANGE', 'the file has changed meanwhile: read it again and repeat', {
    metadata: { file_id: fileId },
  });
}

/** The error of an upload whose reservation, session or multipart is closed or gone. */
export function uploadExpired(cause?: unknown): AssetError {
  return new AssetError('UPLOAD_EXPIRED', 'the upload is not open any more: upload again', { cause });
}

/** The error of a file, or of the session of an upload, under an id that another one has. */
export function idTaken(what: 'file' | 'upload', cause?: unknown): AssetError {
  const article = what === 'file' ? 'a file' : 'an upload';
  return new AssetError('CATALOG_REFUSED', `there is ${article} with this id already`, {
    metadata: { field: 'id' },
    cause,
  });
}
