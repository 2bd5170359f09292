import { expect, it } from '@jest/globals';
import type { FileCatalog } from '../../../src/catalog/file-catalog.ts';
import { createFile, getFile } from './subject.ts';

/**
 * A database whose schema a later release has migrated.
 *
 * @param open - an empty database: its catalog, and a way to add a row to its table of applied steps
 */
export function describeLaterRelease(
  open: () => Promise<{
    readonly catalog: FileCatalog;
    readonly markApplied: (step: string) => Promise<void>;
    readonly dispose: () => Promise<void>;
  }>,
): void {
  const none = { relations: [], usages: [] };

  it('serves with the schema of a later release, and says so', async () => {
    const { catalog, markApplied, dispose } = await open();
    try {
      await catalog.migrate();
      expect(await catalog.inspect(none)).toEqual([]);
      await markApplied('9001_labels');
      expect(await catalog.planMigration()).toEqual([]);
      expect(await catalog.migrate()).toEqual([]);
      expect(await catalog.inspect(none)).toEqual([
        {
          level: 'warning',
          text: 'A later release has migrated the schema (9001_labels). This release serves with it.',
        },
      ]);
      const file = await createFile(catalog);
      expect((await getFile(catalog, file.id)).name).toBe(file.name);
    } finally {
      await dispose();
    }
  });

  it('refuses the schema of a later release that it cannot serve with', async () => {
    const { catalog, markApplied, dispose } = await open();
    try {
      await catalog.migrate();
      await markApplied('9001_labels');
      await markApplied('9002_moved_breaking');
      const findings = await catalog.inspect(none);
      expect(findings).toEqual([
        {
          level: 'mistake',
          text: expect.stringMatching(/\(9002_moved_breaking\).*Run that release, or restore/),
        },
      ]);
      await expect(catalog.migrate()).rejects.toMatchObject({
        reason: 'CATALOG_REFUSED',
        message: findings[0]!.text,
      });
    } finally {
      await dispose();
    }
  });
}
