import { describe, expect, it } from '@jest/globals';
import { openPocketBaseCatalog } from '../../src/catalog/pocketbase/pocketbase-catalog.ts';
import { startPocketBase } from '../support/pocketbase.ts';
import { adminOf } from './file-catalog/pocketbase-admin.ts';
import { createFile, getFile, plain } from './file-catalog/subject.ts';

describe('file catalog: pocketbase with nothing in it', () => {
  it('makes the collection, for superusers alone', async () => {
    const server = await startPocketBase();
    try {
      const options = { url: server.url, email: server.email, password: server.password };
      const catalog = openPocketBaseCatalog(options);
      await expect(catalog.check()).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
      expect(await catalog.migrate()).toContain('created collection files');
      await catalog.check();
      const file = await createFile(catalog);
      const { changes } = await catalog.changes.read(await catalog.changes.position('earliest'), 10);
      expect(changes.map(({ type, fileId }) => [type, fileId])).toEqual([['created', file.id]]);
      expect(plain(await getFile(catalog, file.id))).toEqual(plain(file));
      expect((await fetch(`${server.url}/api/collections/files/records`)).status).toBe(403);
    } finally {
      await server.dispose();
    }
  });

  it('names the field whose type cannot store its value', async () => {
    const server = await startPocketBase();
    try {
      const admin = await adminOf(server);
      await admin.collections.create({
        name: 'files',
        type: 'base',
        fields: [{ name: 'sha256', type: 'number' }],
      });
      const catalog = openPocketBaseCatalog({
        url: server.url,
        email: server.email,
        password: server.password,
      });
      await expect(catalog.migrate()).rejects.toMatchObject({
        reason: 'CATALOG_REFUSED',
        metadata: { field: 'files.sha256' },
      });
    } finally {
      await server.dispose();
    }
  });
});
