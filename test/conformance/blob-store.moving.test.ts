import { randomBytes, createHash } from 'node:crypto';
import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sql/sqlite.ts';
import { MovingStore } from '../../src/move/store/moving-store.ts';
import { changeRow } from '../../src/move/store/row.ts';
import { RowView } from '../../src/move/store/row-view.ts';
import { giveStoreId } from '../../src/move/store/store-id.ts';
import { blobRoute } from '../../src/rpc/signed-urls/blob-route.ts';
import { InboundBudget } from '../../src/rpc/gate/inbound-budget.ts';
import { listen } from '../../src/rpc/listener/listener.ts';
import { FilesystemBlobStore } from '../../src/storage/filesystem/filesystem-store.ts';
import { SignedUrls } from '../../src/storage/signed-url.ts';
import { makeDir, removeDir } from '../support/process.ts';
import type { OpenedStore } from './blob-store/driver.ts';
import { describeBlobStore } from './blob-store.suite.ts';

/** Two directories and a row that says which of them is active. */
async function open(active: 'source' | 'target'): Promise<OpenedStore> {
  const parent = await makeDir('moving');
  const listener = await listen({ host: '127.0.0.1', port: 0 });
  const urls = new SignedUrls(`http://127.0.0.1:${listener.port}`, randomBytes(32));
  const catalog: FileCatalog = openSqliteCatalog({ path: join(parent, 'catalog.sqlite') });
  await catalog.migrate();
  const [own, next] = [join(parent, 'store', 'own'), join(parent, 'store', 'next')];
  const openPair = () => ({
    own: new FilesystemBlobStore(own, urls),
    next: new FilesystemBlobStore(next, urls),
  });
  const pair = openPair();
  const [source, target] = await Promise.all(
    [pair.own, pair.next].map(async (store) => ({ kind: store.kind, id: await giveStoreId(store) })),
  );
  const row = {
    ...({ move: 'm', state: 'switched', active, switched: true, switchTime: '' } as const),
    ...{ source: source!, target: target! },
  };
  await changeRow(catalog, undefined, row, { signal: new AbortController().signal });
  const views: RowView[] = [];
  const openMoving = () => {
    const stores = openPair();
    const view = new RowView(catalog, stores);
    views.push(view);
    view.poll();
    return new MovingStore(stores, view);
  };
  const store = openMoving();
  await store.check();
  const parts = { inbound: new InboundBudget(), onChange: () => undefined, stallTimeoutMs: 60_000 };
  const route = blobRoute({ store, urls, log: pino({ level: 'silent' }), origins: ['*'], parts });
  listener.serve({ onRequest: (request, response) => void route(request, response) });
  const dir = join(parent, 'store');
  return {
    store,
    impatient: store,
    secrets: [parent, 'store/'],
    countUnfinished: async (key) => {
      const prefix = createHash('sha256').update(key).digest('hex').slice(0, 32);
      const names = (await Promise.all([own, next].map((one) => readdir(join(one, 'unfinished'))))).flat();
      return names.filter((name) => name.startsWith(prefix)).length;
    },
    contentType: () => Promise.resolve(undefined),
    proxy: undefined,
    reopen: openMoving,
    unusable: [],
    fail: () => rename(dir, `${dir}-away`),
    recover: () => rename(`${dir}-away`, dir),
    close: async () => {
      await listener.close(0);
      await Promise.all(views.map((view) => view.close()));
      await catalog.close();
      await removeDir(parent);
    },
  };
}

for (const active of ['source', 'target'] as const) {
  describeBlobStore({
    name: `of a move, ${active} active`,
    open: () => open(active),
    exceptions: {
      'paged-parts': 'a directory lists all at once',
      network: 'there is none between the driver and a disk',
    },
    partSizeBytes: 1024 * 1024,
  });
}
