import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { changeTests } from './file-catalog/changes.ts';
import { subscriptionTests } from './file-catalog/subscriptions.ts';
import { leaseTests } from './file-catalog/leases.ts';
import { legacyTests } from './file-catalog/legacy.ts';
import { listTests } from './file-catalog/lists.ts';
import { outageTests } from './file-catalog/outage.ts';
import { pinTests } from './file-catalog/pins.ts';
import { recordTests } from './file-catalog/records.ts';
import { requestTests } from './file-catalog/requests.ts';
import { reservationTests } from './file-catalog/reservations.ts';
import { createFile, getFile, type CatalogSubject } from './file-catalog/subject.ts';
import { transferTests } from './file-catalog/transfer.ts';
import { usageTests } from './file-catalog/usage.ts';
import { updateTests } from './file-catalog/updates.ts';
import { closedUploadTests } from './file-catalog/uploads-closed.ts';
import { committedUploadTests } from './file-catalog/uploads-committed.ts';
import { uploadTests } from './file-catalog/uploads.ts';
import { visibilityTests } from './file-catalog/visibility.ts';

/**
 * Tests a catalog against the contract in `src/catalog/file-catalog.ts`.
 *
 * `start` provides an empty catalog without migrations. A catalog lists its differences in `exceptions`, with
 * reasons.
 */
export function describeFileCatalog(kind: string, start: () => Promise<CatalogSubject>): void {
  describe(`file catalog: ${kind}`, () => {
    let subject: CatalogSubject;
    let catalog: FileCatalog;

    beforeAll(async () => {
      subject = await start();
      catalog = subject.open();
      // Before the migration: the plan is the same twice, because planning changes nothing.
      const planned = await catalog.planMigration();
      expect(planned.length).toBeGreaterThan(0);
      expect(planned.every((line) => line.startsWith('would '))).toBe(true);
      expect(await catalog.planMigration()).toEqual(planned);
      // Several replicas start at once on an empty catalog.
      const others = [subject.open(), subject.open()];
      const did = await Promise.all([catalog, ...others].map((one) => one.migrate()));
      expect(did.flat().length).toBeGreaterThan(0);
      await Promise.all(others.map((one) => one.close()));
    });

    afterAll(async () => {
      await catalog?.close();
      await subject?.dispose();
    });

    it('knows its name, and check resolves', async () => {
      expect(catalog.kind).toBe(kind);
      await catalog.check();
      expect(await catalog.inspect({ relations: [], usages: [] })).toEqual([]);
    });

    it('migrates again without doing anything', async () => {
      const file = await createFile(catalog);
      expect(await catalog.planMigration()).toEqual([]);
      expect(await catalog.migrate()).toEqual([]);
      expect((await getFile(catalog, file.id)).revision).toBe(file.revision);
    });

    recordTests(
      () => catalog,
      () => subject,
    );
    requestTests(
      () => catalog,
      () => subject,
    );
    reservationTests(
      () => catalog,
      () => subject,
    );
    leaseTests(
      () => catalog,
      () => subject,
    );
    legacyTests(() => catalog);
    uploadTests(
      () => catalog,
      () => subject,
    );
    closedUploadTests(
      () => catalog,
      () => subject,
    );
    committedUploadTests(
      () => catalog,
      () => subject,
    );
    updateTests(
      () => catalog,
      () => subject,
    );
    listTests(
      () => catalog,
      () => subject,
    );
    usageTests(() => catalog);
    pinTests(() => catalog);
    transferTests(
      () => catalog,
      () => subject,
    );
    changeTests(
      () => catalog,
      () => subject,
    );
    subscriptionTests(() => catalog);
    visibilityTests(
      () => catalog,
      () => subject,
    );
    outageTests(
      () => catalog,
      () => subject,
    );
  });
}
