import { AssetError } from '../errors.ts';

/** The error of a change of a record that does not exist. */
export function fileNotFound(id: string): AssetError {
  return new AssetError('FILE_NOT_FOUND', 'There is no such file.', { metadata: { file_id: id } });
}

/** The error of a change of a record whose revision differs. */
export function concurrentChange(id: string): AssetError {
  return new AssetError('CONCURRENT_CHANGE', 'The file has changed; read it again and repeat.', {
    metadata: { file_id: id },
  });
}

/** The error of a create whose reservation or session is closed. */
export function uploadExpired(): AssetError {
  return new AssetError('UPLOAD_EXPIRED', 'The upload is not open any more; upload again.');
}
