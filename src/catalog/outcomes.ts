import { AssetError } from '../errors.ts';

/** What a change of a record that does not exist rejects with. */
export function fileNotFound(id: string): AssetError {
  return new AssetError('FILE_NOT_FOUND', 'There is no such file.', { metadata: { file_id: id } });
}

/** What a change of a record that is no longer the one that was read rejects with. */
export function concurrentChange(id: string): AssetError {
  return new AssetError('CONCURRENT_CHANGE', 'The file has changed; read it again and repeat.', {
    metadata: { file_id: id },
  });
}

/** What a create rejects with whose reservation, or session, is not open any more. */
export function uploadExpired(): AssetError {
  return new AssetError('UPLOAD_EXPIRED', 'The upload is not open any more; upload again.');
}
