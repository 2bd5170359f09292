import { cp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { openPocketBaseCatalog } from '../../src/catalog/pocketbase/pocketbase-catalog.ts';
import { startPocketBase } from '../support/pocketbase.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { describeFileCatalog } from './file-catalog.suite.ts';
import { addTargets, adminOf } from './file-catalog/pocketbase-admin.ts';

describeFileCatalog('pocketbase', async () => {
  const dir = await makeDir('pocketbase');
  const data = join(dir, 'pb_data');
  const server = await startPocketBase({ dir });
  const proxy = await startTcpProxy(server.url);
  const admin = await adminOf(server);
  const project = await addTargets(admin, 'projects');
  const tags = await addTargets(admin, 'tags');
  await admin.collections.create({
    name: 'files',
    type: 'base',
    fields: [
      { name: 'project', type: 'relation', collectionId: project.collectionId, maxSelect: 1 },
      { name: 'tags', type: 'relation', collectionId: tags.collectionId, maxSelect: 10 },
      { name: 'note', type: 'text' },
      { name: 'count', type: 'number' },
      { name: 'public', type: 'bool' },
      { name: 'meta', type: 'json' },
    ],
  });
  const login = { email: server.email, password: server.password };
  return {
    open: () =>
      openPocketBaseCatalog({ url: server.url, ...login, takesImports: true, hasQuotas: () => true }),
    dump: async () => {
      const copy = join(dir, 'copy');
      await server.stop();
      await cp(data, copy, { recursive: true });
      await server.start();
      return async () => {
        await server.stop();
        await rm(data, { recursive: true });
        await rename(copy, data);
        await server.start();
      };
    },
    vacuum: async () => {
      const database = new DatabaseSync(join(data, 'data.db'), { timeout: 10_000 });
      database.exec('vacuum');
      database.close();
    },
    targets: { project: project.ids, tags: tags.ids },
    outage: {
      open: () => openPocketBaseCatalog({ url: `http://${proxy.address}`, ...login }),
      cut: proxy.cut,
      stall: proxy.stall,
      restore: proxy.restore,
      secrets: [proxy.host, String(proxy.port), 'files', 'asset_', server.email, server.password, 'http'],
    },
    exceptions: {
      emptyAttributesAreUnset:
        'PocketBase keeps no difference between a field that is empty and one never set',
    },
    dispose: async () => {
      await proxy.close();
      await server.dispose();
      await removeDir(dir);
    },
  };
});
