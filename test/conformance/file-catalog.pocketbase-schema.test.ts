import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type PocketBase from 'pocketbase';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { openPocketBaseCatalog } from '../../src/catalog/pocketbase/pocketbase-catalog.ts';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { adminOf, addTargets } from './file-catalog/pocketbase-admin.ts';
import { createFile, getFile, newFile, newId, outcomes, plain, reserve } from './file-catalog/subject.ts';

const MAPPED = [
  ...[
    'title',
    'content_type',
    'size_bytes',
    'sha256',
    'crc32c',
    'user',
    'usage',
    'created_by',
    'created_for',
  ],
  ...['created', 'updated', 'delete_time', 'purge_time', 'request_key', 'revision'],
];
const HELPERS = [
  ...['asset_reservations', 'asset_leftovers', 'asset_uploads', 'asset_leases', 'asset_revisions'],
  ...['asset_changes', 'asset_change_log', 'asset_legacy_uses', 'asset_legacy_state'],
];

describe('file catalog: pocketbase whose schema changes while it is in use', () => {
  let server: PocketBaseServer;
  let admin: PocketBase;
  let catalog: FileCatalog;
  let projects: string[];

  beforeAll(async () => {
    server = await startPocketBase();
    admin = await adminOf(server);
    const project = await addTargets(admin, 'projects');
    projects = project.ids;
    await admin.collections.create({
      name: 'files',
      type: 'base',
      fields: [
        { name: 'title', type: 'text' },
        { name: 'user', type: 'text' },
        { name: 'project', type: 'relation', collectionId: project.collectionId, maxSelect: 1 },
        { name: 'note', type: 'text' },
      ],
    });
    catalog = openPocketBaseCatalog({
      ...{ url: server.url, email: server.email, password: server.password },
      fields: { name: 'title', owner: 'user' },
    });
    await catalog.migrate();
  });

  afterAll(async () => {
    await catalog.close();
    await server.dispose();
  });

  const rename = async (collection: string, from: string, to: string) => {
    const { fields, indexes } = await admin.collections.getOne(collection);
    const renamed = fields.map((field: { name: string }) =>
      field.name === from ? { ...field, name: to } : field,
    );
    // As the dashboard does.
    const moved = indexes.map((index) => index.replaceAll(`\`${from}\``, `\`${to}\``));
    await admin.collections.update(collection, { fields: renamed, indexes: moved });
  };
  const idsThere = async (ids: string[]) =>
    (await admin.collection('files').getFullList({ fields: 'id' }))
      .map(({ id }) => id)
      .filter((id) => ids.includes(id));
  const unavailable = { reason: 'CATALOG_UNAVAILABLE', retryAfterMs: 1_000 };
  const causeOf = async (call: Promise<unknown>) => {
    const error: unknown = await call.then(
      () => 'ok',
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject(unavailable);
    return String((error as Error).cause);
  };

  it.each(MAPPED)('acknowledges and reads nothing while the field %s is gone', async (field) => {
    const [id, sessionId, requestKey, oldKey] = [newId(), newId(), newId(), newId()];
    const old = await createFile(catalog, { relations: { project: [projects[0]!] } }, oldKey);
    const deleted = await createFile(catalog);
    const gone = { deleteTime: new Date(0), purgeTime: new Date(0) };
    const { revision } = await catalog.update(deleted.id, deleted.revision, gone);
    const state = { of: field };
    await catalog.uploads.open({ id: sessionId, state, expireTime: new Date(Date.now() + 3_600_000) });
    const { id: reservationId } = await reserve(catalog, [id]);

    await rename('files', field, 'elsewhere');
    const name = `"${field}"`;
    expect(await causeOf(catalog.create(newFile({ id }), { reservationId, requestKey }))).toContain(name);
    expect(await idsThere([id])).toEqual([]);
    const upload = { revision: 1 };
    expect(await causeOf(catalog.create(newFile({ id: sessionId }), { upload }))).toContain(name);
    const filter = { owner: 'owner-1' };
    const calls = [
      () => catalog.get([old.id]),
      () => catalog.list({ filter, showDeleted: false, limit: 5 }),
      () => catalog.findByRequestKey(oldKey),
      () => catalog.totalsOf('owner-1', undefined),
      () => catalog.listPurgeable(new Date(), 5),
      () => catalog.update(old.id, old.revision, { name: 'new', owner: 'new' }),
      () => catalog.update(old.id, old.revision, { deleteTime: new Date(), purgeTime: new Date() }),
      () => catalog.update(deleted.id, revision, { deleteTime: null, purgeTime: null }),
      () => catalog.purge(deleted.id, revision),
      () => catalog.check(),
    ];
    for (const call of calls) expect(await causeOf(call())).toContain(`collection "files"`);
    expect(await causeOf(catalog.check())).toContain(`no field ${name}`);

    await rename('files', 'elsewhere', field);
    await catalog.check();
    expect(plain(await getFile(catalog, old.id))).toEqual(plain(old));
    expect((await getFile(catalog, deleted.id)).revision).toBe(revision);
    expect(await catalog.uploads.get(sessionId)).toMatchObject({ revision: 1, state });
    const repeated = await catalog.create(newFile({ id }), { reservationId, requestKey });
    expect(repeated.status).toBe('created');
    expect((await catalog.findByRequestKey(requestKey))?.id).toBe(id);
  });

  it('notices by its reads alone what is gone', async () => {
    const old = await createFile(catalog, { name: 'old' });
    await catalog.get([old.id]);
    await rename('files', 'delete_time', 'elsewhere');
    expect(await causeOf(catalog.get([old.id]))).toContain('no field "delete_time"');
    await rename('files', 'elsewhere', 'delete_time');
    expect((await getFile(catalog, old.id)).name).toBe('old');
  });

  it.each([
    [
      'note',
      { attributes: { note: 'kept?' } },
      { reason: 'ATTRIBUTE_INVALID', metadata: { attribute: 'note' } },
    ],
    ['project', { relations: {} }, { reason: 'RELATION_UNKNOWN', metadata: { relation: 'project' } }],
  ])('refuses %s when its field is gone, with nothing written', async (field, fields, expected) => {
    const sent = field === 'project' ? { relations: { project: [projects[0]!] } } : fields;
    for (const warm of [true, false]) {
      const [id, sessionId] = [newId(), newId()];
      const old = await createFile(catalog, sent);
      await catalog.uploads.open({ id: sessionId, state: 1, expireTime: new Date(Date.now() + 3_600_000) });
      await rename('files', field, 'elsewhere');
      if (!warm) await catalog.check();
      await expect(createFile(catalog, { id, ...sent })).rejects.toMatchObject(expected);
      await expect(catalog.update(old.id, old.revision, { name: 'x', ...sent })).rejects.toMatchObject(
        expected,
      );
      const created = catalog.create(newFile({ id: sessionId, ...sent }), { upload: { revision: 1 } });
      await expect(created).rejects.toMatchObject(expected);
      expect(await catalog.uploads.get(sessionId)).toMatchObject({ revision: 1 });
      await catalog.check();
      await rename('files', 'elsewhere', field);
      expect(await idsThere([id, sessionId])).toEqual([]);
      await catalog.check();
      expect(plain(await getFile(catalog, old.id))).toEqual(plain(old));
    }
  });

  it('takes back one change of several at once whose field is gone', async () => {
    const { id: reservationId } = await reserve(catalog);
    await createFile(catalog);
    await rename('files', 'note', 'elsewhere');
    const files = Array.from({ length: 20 }, (_, i) =>
      newFile({ attributes: i % 2 === 0 ? {} : { note: 'kept?' } }),
    );
    const results = await outcomes(files.map((file) => catalog.create(file, { reservationId })));
    await rename('files', 'elsewhere', 'note');
    expect(results).toEqual(files.map((_, i) => (i % 2 === 0 ? 'ok' : 'ATTRIBUTE_INVALID')));
    const even = files.filter((_, i) => i % 2 === 0).map(({ id }) => id);
    expect((await idsThere(files.map(({ id }) => id))).sort()).toEqual(even.sort());
  });

  it('is unavailable while the collection has another name', async () => {
    const old = await createFile(catalog);
    const [id, requestKey] = [newId(), newId()];
    const { id: reservationId } = await reserve(catalog, [id]);
    await admin.collections.update('files', { name: 'documents' });
    const calls = [
      () => catalog.create(newFile({ id }), { reservationId, requestKey }),
      () => catalog.get([old.id]),
      () => catalog.update(old.id, old.revision, { name: 'new' }),
      () => catalog.purge(old.id, old.revision),
      () => catalog.list({ filter: {}, showDeleted: false, limit: 5 }),
      () => catalog.findByRequestKey(requestKey),
      () => catalog.check(),
    ];
    for (const call of calls) expect(await causeOf(call())).toContain('no collection "files"');
    await admin.collections.update('documents', { name: 'files' });
    await catalog.check();
    expect((await catalog.create(newFile({ id }), { reservationId, requestKey })).status).toBe('created');
  });

  it.each(HELPERS)('is unavailable while it lacks %s', async (name) => {
    await admin.collections.update(name, { name: 'elsewhere' });
    expect(await causeOf(catalog.check())).toContain(`no collection "${name}"`);
    const [result] = await outcomes([createFile(catalog)]);
    const needed = ['asset_reservations', 'asset_changes'].includes(name);
    expect(result).toBe(needed ? 'CATALOG_UNAVAILABLE' : 'ok');
    await admin.collections.update('elsewhere', { name });
    await catalog.check();
    await createFile(catalog);
  });

  it('names a field of its own collections, and batches that are switched off', async () => {
    await rename('asset_uploads', 'state', 'elsewhere');
    expect(await causeOf(catalog.check())).toContain(
      'collection "asset_uploads" of PocketBase has no field "state"',
    );
    await rename('asset_uploads', 'elsewhere', 'state');
    const { batch } = await admin.settings.getAll();
    await admin.settings.update({ batch: { ...batch, enabled: false } });
    expect(await causeOf(catalog.check())).toContain('switched off');
    await expect(createFile(catalog)).rejects.toMatchObject(unavailable);
    await admin.settings.update({ batch });
    await catalog.check();
    await createFile(catalog);
  });
});
