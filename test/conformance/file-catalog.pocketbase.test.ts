import PocketBase from 'pocketbase';
import { openPocketBaseCatalog } from '../../src/catalog/pocketbase.ts';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { describeFileCatalog } from './file-catalog.suite.ts';

/** A superuser's client, as the people have it who run the PocketBase. */
async function adminOf(server: PocketBaseServer): Promise<PocketBase> {
  const admin = new PocketBase(server.url);
  admin.autoCancellation(false);
  await admin.collection('_superusers').authWithPassword(server.email, server.password);
  return admin;
}

/** Adds a collection of ten records, and returns its id and theirs. */
async function addTargets(admin: PocketBase, name: string): Promise<{ collectionId: string; ids: string[] }> {
  const fields = [{ name: 'title', type: 'text' }];
  const { id: collectionId } = await admin.collections.create({ name, type: 'base', fields });
  const ids: string[] = [];
  for (let i = 0; i < 10; i++) ids.push((await admin.collection(name).create({ title: `${name} ${i}` })).id);
  return { collectionId, ids };
}

describeFileCatalog('pocketbase', async () => {
  const server = await startPocketBase();
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
    open: () => openPocketBaseCatalog({ url: server.url, ...login }),
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
    },
  };
});
