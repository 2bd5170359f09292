import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import type PocketBase from 'pocketbase';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { openPocketBaseCatalog } from '../../src/catalog/pocketbase/pocketbase-catalog.ts';
import { sweep } from '../../src/files/sweep/sweep.ts';
import { FilesystemBlobStore } from '../../src/storage/filesystem/filesystem-store.ts';
import { SignedUrls } from '../../src/storage/signed-url.ts';
import { adminOf } from '../conformance/file-catalog/pocketbase-admin.ts';
import { createFile, newId } from '../conformance/file-catalog/subject.ts';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { sessionState } from '../support/session-state.ts';

/** Hooks of the product: one refuses to close what it marked, one to forget it. */
const HOOKS = `
  onRecordCreate((e) => {
    if (e.record.getString('file_ids').includes('stuck')) throw new BadRequestError('not this one');
    e.next();
  }, 'asset_leftovers');
  onRecordUpdate((e) => {
    if (e.record.getBool('closed') && e.record.id.startsWith('stuck')) throw new BadRequestError('not this one');
    e.next();
  }, 'asset_uploads');
`;

describe('a sweep of a PocketBase that refuses some of it', () => {
  let dir: string;
  let server: PocketBaseServer;
  let admin: PocketBase;
  let catalog: FileCatalog;

  beforeAll(async () => {
    dir = await makeDir('sweep-pocketbase');
    await mkdir(join(dir, 'pb_hooks'));
    await writeFile(join(dir, 'pb_hooks', 'main.pb.js'), HOOKS);
    server = await startPocketBase({ dir });
    admin = await adminOf(server);
    catalog = openPocketBaseCatalog(server);
    await catalog.migrate();
  });

  afterAll(async () => {
    await catalog?.close();
    await server?.dispose();
    await removeDir(dir);
  });

  function run() {
    const store = new FilesystemBlobStore(join(dir, 'store'), new SignedUrls('http://x', Buffer.alloc(32)));
    const context = { store, catalog, log: pino({ level: 'silent' }) };
    return sweep(context, new AbortController().signal, () => Promise.resolve());
  }

  it('purges the files behind those that a required relation names', async () => {
    const { id: collectionId } = await admin.collections.getOne('files');
    await admin.collections.create({
      name: 'contracts',
      type: 'base',
      fields: [{ name: 'file', type: 'relation', collectionId, required: true, maxSelect: 1 }],
    });
    const due = async (year: number) => {
      const { id, revision } = await createFile(catalog);
      const time = new Date(Date.UTC(year, 0));
      await catalog.update(id, revision, { deleteTime: time, purgeTime: time });
      return id;
    };
    const named = await due(2001);
    const contract = await admin.collection('contracts').create({ file: named });
    const others = [await due(2002), await due(2003)];
    const report = await run();
    expect(report.failures.map(({ kind, id }) => [kind, id])).toEqual([['file', named]]);
    expect(report).toMatchObject({ purged: 2, cleaned: 2, failed: { file: 1 } });
    expect([...(await catalog.get([named, ...others])).keys()]).toEqual([named]);
    await admin.collection('contracts').delete(contract.id);
    expect(await run()).toMatchObject({ purged: 1, cleaned: 1, failures: [] });
  });

  it('cleans what stands behind more than a batch of reservations that cannot be closed', async () => {
    for (let i = 0; i < 110; i++) await catalog.uploads.reserve([newId(), 'stuck'], new Date(1_000 + i));
    await catalog.uploads.reserve([newId()], new Date(5_000));
    const report = await run();
    expect(report).toMatchObject({ reservations: 1, cleaned: 1, failed: { reservation: 110 } });
    for (const { id } of await catalog.uploads.listPast(new Date(), 1_000)) {
      await admin.collection('asset_reservations').delete(id);
    }
  });

  it('cleans the uploads behind those that cannot be closed', async () => {
    const state = sessionState();
    await catalog.uploads.open({ id: 'stuck0123456789', state, expireTime: new Date(1_000) });
    await catalog.uploads.open({ id: newId(), state, expireTime: new Date(2_000) });
    const report = await run();
    expect(report).toMatchObject({ uploads: 1, failed: { upload: 1 } });
    expect(report.failures).toMatchObject([{ kind: 'upload', id: 'stuck0123456789' }]);
  });
});
