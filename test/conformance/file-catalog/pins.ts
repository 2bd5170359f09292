import { describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import type { FileCatalog, FileRecord } from '../../../src/catalog/file-catalog.ts';
import { blobKey } from '../../../src/files/bytes.ts';
import { MANIFEST_TYPE } from '../../../src/files/datasets/manifest.ts';
import { sweep } from '../../../src/files/sweep/sweep.ts';
import { FilesystemBlobStore } from '../../../src/storage/filesystem/filesystem-store.ts';
import { SignedUrls } from '../../../src/storage/signed-url.ts';
import { makeDir, removeDir } from '../../support/process.ts';
import { createFile, getFile } from './subject.ts';

/** What a dataset manifest names is not purged, on every catalog. */
export function pinTests(catalog: () => FileCatalog): void {
  describe('files that a dataset manifest names', () => {
    const signal = new AbortController().signal;
    const call = { signal };

    it('are purged only when no live manifest names them', async () => {
      const dir = await makeDir('pins');
      const store = new FilesystemBlobStore(dir, new SignedUrls('http://x', Buffer.alloc(32)));
      const log = pino({ level: 'silent' });
      const put = (id: string, text: string) =>
        store.put(
          blobKey(id),
          { sizeBytes: Buffer.byteLength(text), chunks: [Buffer.from(text)] },
          { contentType: 'text/plain' },
          call,
        );
      const remove = ({ id, revision }: FileRecord, purgeTime: Date) =>
        catalog().update(id, revision, { deleteTime: new Date(), purgeTime });
      const isThere = async ({ id }: FileRecord) => (await catalog().get([id])).has(id);
      try {
        const [named, other] = [await createFile(catalog()), await createFile(catalog())];
        for (const { id } of [named, other]) await put(id, 'bytes');
        const manifest = await createFile(catalog(), { usage: 'dataset', contentType: MANIFEST_TYPE });
        const sha256 = '07'.repeat(32);
        const entry = { path: 'a/b', id: named.id, sha256, size: 1234 };
        const head = { dataset: 'cats', version: '1', files: 1 };
        await put(manifest.id, `${JSON.stringify(head)}\n${JSON.stringify(entry)}\n`);
        // Of the usage, but no manifest: its bytes are not read.
        await createFile(catalog(), { usage: 'dataset' });

        // As an older replica would, that does not refuse this.
        for (const file of [named, other]) await remove(file, new Date(0));
        const report = await sweep({ store, catalog: catalog(), log }, signal, async () => {});
        expect(report.failures).toEqual([]);
        expect([await isThere(named), await isThere(other)]).toEqual([true, false]);
        expect(await store.stat(blobKey(named.id))).toBeDefined();

        const late = new Date(Date.now() + 3_600_000);
        await remove(await getFile(catalog(), manifest.id), late);
        await sweep({ store, catalog: catalog(), log }, signal, async () => {});
        expect([await isThere(named), await isThere(manifest)]).toEqual([false, true]);
        expect(await store.stat(blobKey(named.id))).toBeUndefined();

        // A manifest whose bytes are gone may have named anything.
        const lost = await createFile(catalog(), { usage: 'dataset', contentType: MANIFEST_TYPE });
        const due = await createFile(catalog());
        await remove(due, new Date(0));
        const blocked = await sweep({ store, catalog: catalog(), log }, signal, async () => {});
        expect(blocked.failures.map(({ kind, id }) => ({ kind, id }))).toEqual([
          { kind: 'file', id: due.id },
        ]);
        expect(await isThere(due)).toBe(true);
        await remove(await getFile(catalog(), lost.id), late);
        await sweep({ store, catalog: catalog(), log }, signal, async () => {});
        expect(await isThere(due)).toBe(false);
      } finally {
        await store.close();
        await removeDir(dir);
      }
    });
  });
}
