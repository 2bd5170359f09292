import { channel } from 'node:diagnostics_channel';
import { join } from 'node:path';
import { pino } from 'pino';
import { openSqliteCatalog } from '../../../src/catalog/sql/sqlite.ts';
import { auditTo } from '../../../src/audit/audit-log.ts';
import type { FileCatalog } from '../../../src/catalog/file-catalog.ts';
import { Admission } from '../../../src/files/upload/admission.ts';
import type { FilesContext } from '../../../src/files/context.ts';
import { UsagePolicies } from '../../../src/files/policy/usage-policies.ts';
import { RecordLoader } from '../../../src/files/record-loader.ts';
import { ReservationPool } from '../../../src/files/upload/reservations.ts';
import { FILESYSTEM_POINTS, POINTS } from '../../../src/system/crash-points.ts';
import type { BlobStore } from '../../../src/storage/blob-store.ts';
import { FilesystemBlobStore } from '../../../src/storage/filesystem/filesystem-store.ts';
import { Quotas } from '../../../src/files/quota.ts';
import { MemoryBudget } from '../../../src/storage/memory-budget.ts';
import { SignedUrls } from '../../../src/storage/signed-url.ts';

/** Rejection of a call whose process crashed before it responded. */
export const CRASHED = new Error('the process crashed');

/** Lifetime of reservations and sessions, and retention of deleted files, in milliseconds of the test's clock. */
export const TTL_MS = 3_600_000;

/** Size of a part, in bytes. */
export const PART_BYTES = 1_000;

/** Runs the use cases in this process as if it were a separate one that can crash. */
export interface ProcessDouble {
  /**
   * Runs a use case. Rejects with {@link CRASHED} if the process crashes first. Then no more of its code runs, but
   * requests already sent to the store or the catalog may still arrive.
   */
  run<T>(useCase: (context: FilesContext) => Promise<T>): Promise<T>;
  readonly crashed: boolean;
  /** Closes it normally, or removes what a crash left. */
  close(): Promise<void>;
}

/** Decides when a call to the store or the catalog starts. */
export type Turn = (call: string) => Promise<void>;

/** Running calls to the store and the catalog, including those of crashed processes. */
export class OnTheirWay {
  readonly #calls = new Set<Promise<unknown>>();

  /** Counts a call until it ends. */
  add<T>(call: Promise<T>): Promise<T> {
    const ended = call.catch(() => undefined).then(() => void this.#calls.delete(ended));
    this.#calls.add(ended);
    return call;
  }

  /** Waits until no call is running. */
  async settled(): Promise<void> {
    while (this.#calls.size > 0) await Promise.all(this.#calls);
  }
}

const ALL_POINTS = [...POINTS, ...FILESYSTEM_POINTS];

/**
 * Starts a process double on a directory.
 *
 * @param crashAfter - number of crash points; it crashes at the last of them
 */
export async function startProcessDouble(
  dir: string,
  turn: Turn,
  crashAfter: number,
  onTheirWay: OnTheirWay,
): Promise<ProcessDouble> {
  const end = Promise.withResolvers<never>();
  end.promise.catch(() => undefined);
  let left = crashAfter;
  let crashed = false;
  const onReached = () => {
    left -= 1;
    if (left !== 0) return;
    crashed = true;
    end.reject(CRASHED);
  };
  for (const point of ALL_POINTS) channel(`asset-service:${point}`).subscribe(onReached);

  /** Calls of a crashed process never settle, so that its clean-up code does not run. */
  const gone = () => new Promise<never>(() => undefined);
  const mortal = <T extends object>(name: string, target: T): T =>
    new Proxy(target, {
      get(_target, property) {
        const value: unknown = Reflect.get(target, property, target);
        if (property === 'uploads') return mortal(`${name}.uploads`, value as object);
        if (typeof value !== 'function') return value;
        return async (...given: unknown[]) => {
          if (crashed) return gone();
          await turn(`${name}.${String(property)}`);
          if (crashed) return gone();
          const call = onTheirWay.add(
            (value as (...all: unknown[]) => Promise<unknown>).apply(target, given.map(mortalBody)),
          );
          const result: unknown = await call
            // The caller has crashed.
            .catch((error: unknown) => (crashed ? gone() : Promise.reject(error)));
          return crashed ? gone() : result;
        };
      },
    });

  /** A body that ends with an error where the process crashes. */
  const mortalBody = (argument: unknown): unknown => {
    const { chunks } = (argument ?? {}) as { readonly chunks?: AsyncIterable<Uint8Array> };
    if (chunks === undefined || Array.isArray(chunks)) return argument;
    async function* broken(source: AsyncIterator<Uint8Array>) {
      for (;;) {
        const next = await Promise.race([source.next(), end.promise]);
        if (next.done) return;
        yield next.value;
      }
    }
    return { ...(argument as object), chunks: broken(chunks[Symbol.asyncIterator]()) };
  };

  const log = pino({ level: 'silent' });
  const store: BlobStore = new FilesystemBlobStore(dir, new SignedUrls('http://x', Buffer.alloc(32)));
  const catalog: FileCatalog = openSqliteCatalog({ path: join(dir, 'catalog.sqlite') });
  await catalog.migrate();
  const files = { store: mortal('store', store), catalog: mortal('catalog', catalog) };
  const reservations = new ReservationPool(files.catalog.uploads, log, { size: 2, ttlMs: TTL_MS });
  const context: FilesContext = {
    ...files,
    records: new RecordLoader(files.catalog),
    audit: auditTo([]),
    policies: new UsagePolicies({ usages: {}, default: { retentionSeconds: TTL_MS / 1000 } }),
    reservations,
    admission: new Admission(100),
    quotas: new Quotas(),
    budget: new MemoryBudget(2 ** 24),
    log,
    uploads: {
      ...{ partSizeBytes: PART_BYTES, concurrency: 2, stallTimeoutMs: 60_000 },
      ...{ sessionTtlMs: TTL_MS, graceMs: TTL_MS, maxOpenPerCaller: 0 },
    },
  };
  return {
    run: (useCase) => Promise.race([useCase(context), end.promise]),
    get crashed() {
      return crashed;
    },
    async close() {
      for (const point of ALL_POINTS) channel(`asset-service:${point}`).unsubscribe(onReached);
      if (!crashed) await reservations.close();
      crashed = true;
      await Promise.all([store.close(), catalog.close()]);
    },
  };
}
