import type { Logger } from 'pino';
import type { FileCatalog } from '../catalog/file-catalog.ts';
import { blobKey } from '../files/bytes.ts';
import type { BlobStore } from '../storage/blob-store.ts';

/** An id that no file has: new ids are random. */
const ABSENT = '0'.repeat(15);

/** Calls at the same time: as many connections are open when callers come. */
const LANES = 8;

/** Maximum number of reads that go to the servers of store and catalog. */
const MAX_READS = 800;

/** One read in this many asks the store too, most calls of callers do not. */
const READS_PER_STAT = 16;

/** Signatures per read: calls sign far more URLs than they wait for a server. */
const SIGNATURES = 8;

/**
 * Makes the calls of reading callers to store and catalog for at most `ms` milliseconds: so V8 compiles the drivers, and their
 * connections are open before callers wait for them. Asks only for what is not there and writes nothing. Never rejects: whether
 * a server answers is told by the health, and a catalog that has no tables yet has nothing to warm up.
 *
 * @param drivers - as they were opened: what observes them does not see these calls
 * @returns number of reads that were answered
 */
export async function warmDrivers(
  { store, catalog }: { readonly store: BlobStore; readonly catalog: FileCatalog },
  ms: number,
  log: Logger,
): Promise<number> {
  const deadline = performance.now() + ms;
  const signal = AbortSignal.timeout(ms);
  const key = blobKey(ABSENT);
  const options = { contentType: 'text/plain', contentDisposition: 'inline', cacheControl: 'private' };
  let answered = 0;
  let begun = 0;
  const lane = async () => {
    while (begun < MAX_READS && performance.now() < deadline) {
      begun += 1;
      const ids = begun % 4 === 0 ? [ABSENT, `${ABSENT.slice(1)}1`] : [ABSENT];
      await catalog.get(ids, { signal });
      if (begun % READS_PER_STAT === 0) {
        await store.stat(key, { signal });
        await catalog.list({ filter: { owner: ABSENT }, showDeleted: false, limit: 1 }, { signal });
      }
      for (let at = 0; at < SIGNATURES; at += 1)
        await store.signUrl(key, {
          ...options,
          issuedAt: new Date(),
          ttlSeconds: 1,
          grantId: `${begun}${at}`,
        });
      answered += 1;
    }
  };
  // One that cannot answer is asked once.
  const work = async () => {
    await catalog.get([ABSENT], { signal });
    await Promise.all(Array.from({ length: LANES }, lane));
  };
  const failed = await work().then(
    () => undefined,
    (error: unknown) => ({ err: error }),
  );
  log.debug({ answered, ...failed }, 'warmed up drivers');
  return answered;
}
