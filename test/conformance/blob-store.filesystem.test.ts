import { createHash, randomBytes } from 'node:crypto';
import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { FilesystemBlobStore } from '../../src/storage/filesystem.ts';
import { SignedUrls } from '../../src/storage/signed-url.ts';
import { makeDir, removeDir } from '../support/process.ts';
import type { OpenedStore } from './blob-store/driver.ts';
import { describeBlobStore } from './blob-store.suite.ts';

async function open(): Promise<OpenedStore> {
  const parent = await makeDir('blobs');
  const dir = join(parent, 'store');
  const urls = new SignedUrls('http://assets.example', randomBytes(32));
  const store = new FilesystemBlobStore(dir, urls);
  return {
    store,
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
      await store.close();
      await removeDir(parent);
    },
  };
}

describeBlobStore({
  name: 'filesystem',
  open,
  exceptions: {
    'serves-signed-urls': 'its URLs are served by the service, which has its own tests',
    'head-by-signed-url': 'its URLs are served by the service, which has its own tests',
    network: 'there is none between the driver and a disk',
  },
  partSizeBytes: 1024 * 1024,
});
