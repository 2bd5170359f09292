import { isAssetError } from '../../errors/asset-error.ts';
import { storeUnavailable } from '../../errors/dependencies.ts';
import type { BlobStore } from '../../storage/blob-store.ts';

/** Why a backup or a restore cannot be made, as text for its operator. */
export class BackupFault extends Error {
  readonly reason = 'BACKUP';

  constructor(message: string) {
    super(message);
    this.name = 'BackupFault';
  }
}

/** The place of the backups cannot be used; `cause` says why. Distinguishes it from the store of the service. */
class BackupPlaceError extends Error {
  readonly reason = 'BACKUP_PLACE';

  constructor(cause: unknown) {
    super('the place of the backups cannot be used', { cause });
    this.name = 'BackupPlaceError';
  }
}

/**
 * The same store; its STORE_UNAVAILABLE has a cause with the reason BACKUP_PLACE, so that an operator is told which of two
 * stores is down. A stream that fails while it is read has none.
 */
export function namedAsPlace(store: BlobStore): BlobStore {
  const named = (error: unknown) =>
    isAssetError(error, 'STORE_UNAVAILABLE') ? storeUnavailable(new BackupPlaceError(error)) : error;
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      const method = value.bind(target) as (...args: unknown[]) => unknown;
      return (...args: unknown[]) => {
        const result = method(...args);
        if (!(result instanceof Promise)) return result;
        return result.catch((error: unknown) => {
          throw named(error);
        });
      };
    },
  });
}
