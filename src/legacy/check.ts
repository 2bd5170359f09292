import type { CatalogCall } from '../catalog/file-catalog.ts';
import { SetupFault } from '../errors/setup-fault.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { ObjectReader } from '../storage/object-reader.ts';
import { isAssetError } from '../errors/asset-error.ts';
import { storeUnavailable } from '../errors/dependencies.ts';

/** What is wrong with the old bucket (in its cause); distinguishes it from the store of the service. */
export class OldBucketError extends Error {
  readonly reason = 'OLD_BUCKET';

  constructor(cause: unknown) {
    super('the old bucket cannot be used', { cause });
    this.name = 'OldBucketError';
  }
}

/**
 * Resolves if the old bucket can be read and is not the bucket of the service. Changes nothing.
 *
 * @param own - the store of the service, if its bucket has the same name
 * @throws OldBucketError
 */
export async function checkOldBucket(
  reader: ObjectReader,
  own: BlobStore | undefined,
  call: CatalogCall = {},
): Promise<void> {
  try {
    await reader.check(call);
    // One server may have several addresses. An object with one of our keys and the same size is ours.
    const [blob] = (await own?.listBlobs({ prefix: 'assets/', limit: 1 }, call)) ?? [];
    const same = blob && (await reader.stat(blob.key, call));
    if (same && same.sizeBytes === blob.sizeBytes) {
      throw storeUnavailable(new SetupFault('bucket', 'the bucket is that of the service itself'));
    }
  } catch (error) {
    throw new OldBucketError(error);
  }
}

/** The same methods, whose failures say that they are those of the old bucket. For readers and settings of it. */
export function namingOldBucket<T extends object>(part: T): T {
  return new Proxy(part, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        const result: unknown = Reflect.apply(value, target, args);
        return result instanceof Promise ? result.catch(named) : result;
      };
    },
  });
}

function named(error: unknown): never {
  if (!isAssetError(error, 'STORE_UNAVAILABLE')) throw error;
  throw storeUnavailable(new OldBucketError(error.cause ?? error));
}
