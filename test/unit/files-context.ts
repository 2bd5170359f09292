import { join } from 'node:path';
import { pino } from 'pino';
import { auditTo } from '../../src/audit/audit-log.ts';
import { openSqliteCatalog } from '../../src/catalog/sql/sqlite.ts';
import type { FilesContext } from '../../src/files/context.ts';
import { UsagePolicies } from '../../src/files/policy/usage-policies.ts';
import { Quotas } from '../../src/files/quota.ts';
import { RecordLoader } from '../../src/files/record-loader.ts';
import { Admission } from '../../src/files/upload/admission.ts';
import { ReservationPool } from '../../src/files/upload/reservations.ts';
import { FilesystemBlobStore } from '../../src/storage/filesystem/filesystem-store.ts';
import { MemoryBudget } from '../../src/storage/memory-budget.ts';
import { SignedUrls } from '../../src/storage/signed-url.ts';

/**
 * The use cases over a directory: filesystem store, SQLite, no policies.
 *
 * @param partSizeBytes - size of a part
 */
export async function openFilesContext(
  dir: string,
  partSizeBytes: number,
): Promise<FilesContext & { close(): Promise<void> }> {
  const catalog = openSqliteCatalog({ path: join(dir, 'catalog.sqlite') });
  await catalog.migrate();
  const log = pino({ level: 'silent' });
  const store = new FilesystemBlobStore(join(dir, 'blobs'), new SignedUrls('http://x', Buffer.alloc(32)));
  const reservations = new ReservationPool(catalog.uploads, log, { size: 64, ttlMs: 3_600_000 });
  return {
    ...{ store, catalog, log, reservations, records: new RecordLoader(catalog) },
    ...{ audit: auditTo([]), policies: new UsagePolicies(), budget: new MemoryBudget(16 * 2 ** 20) },
    ...{ admission: new Admission(1000), quotas: new Quotas() },
    uploads: {
      ...{ partSizeBytes, concurrency: 8, stallTimeoutMs: 600_000 },
      ...{ sessionTtlMs: 3_600_000, graceMs: 3_600_000, maxOpenPerCaller: 0 },
    },
    async close() {
      await reservations.close();
      await Promise.all([store.close(), catalog.close()]);
    },
  };
}
