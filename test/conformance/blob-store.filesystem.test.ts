import { createHash, randomBytes } from 'node:crypto';
import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { blobRoute } from '../../src/rpc/signed-urls/blob-route.ts';
import { InboundBudget } from '../../src/rpc/gate/inbound-budget.ts';
import { listen } from '../../src/rpc/listener/listener.ts';
import { FilesystemBlobStore } from '../../src/storage/filesystem/filesystem-store.ts';
import { SignedUrls } from '../../src/storage/signed-url.ts';
import { makeDir, removeDir } from '../support/process.ts';
import type { OpenedStore } from './blob-store/driver.ts';
import { describeBlobStore } from './blob-store.suite.ts';

async function open(): Promise<OpenedStore> {
  const parent = await makeDir('blobs');
  const dir = join(parent, 'store');
  // The service serves its URLs by this route.
  const listener = await listen({ host: '127.0.0.1', port: 0 });
  const urls = new SignedUrls(`http://127.0.0.1:${listener.port}`, randomBytes(32));
  const store = new FilesystemBlobStore(dir, urls);
  const parts = { inbound: new InboundBudget(), onChange: () => undefined, stallTimeoutMs: 60_000 };
  const route = blobRoute({ store, urls, log: pino({ level: 'silent' }), origins: ['*'], parts });
  listener.serve({ onRequest: (request, response) => void route(request, response) });
  return {
    store,
    impatient: store,
    secrets: [parent, 'store/'],
    countUnfinished: async (key) => {
      const prefix = createHash('sha256').update(key).digest('hex').slice(0, 32);
      const names = await readdir(join(dir, 'unfinished'));
      return names.filter((name) => name.startsWith(prefix)).length;
    },
    contentType: () => Promise.resolve(undefined),
    proxy: undefined,
    reopen: () => new FilesystemBlobStore(dir, urls),
    unusable: [],
    fail: () => rename(dir, `${dir}-away`),
    recover: () => rename(`${dir}-away`, dir),
    close: async () => {
      await listener.close(0);
      await store.close();
      await removeDir(parent);
    },
  };
}

describeBlobStore({
  name: 'filesystem',
  open,
  exceptions: {
    'paged-parts': 'it lists all at once',
    network: 'there is none between the driver and a disk',
  },
  partSizeBytes: 1024 * 1024,
});
