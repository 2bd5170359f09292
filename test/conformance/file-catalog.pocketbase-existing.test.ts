import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type PocketBase from 'pocketbase';
import type { FileCatalog, FileRecord } from '../../src/catalog/file-catalog.ts';
import { openPocketBaseCatalog } from '../../src/catalog/pocketbase/pocketbase-catalog.ts';
import type { PocketBaseOptions } from '../../src/catalog/pocketbase/setup.ts';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { addTargets, adminOf } from './file-catalog/pocketbase-admin.ts';
import { createFile, getFile, newFile, newId, outcomes, plain, reserve } from './file-catalog/subject.ts';

/** A product that kept its files in PocketBase before the service. */
describe('file catalog: pocketbase with a collection that exists', () => {
  let server: PocketBaseServer;
  let admin: PocketBase;
  let catalog: FileCatalog;
  let users: string[];
  let projects: string[];
  let oldIds: string[];
  let did: readonly string[];

  const options = (): PocketBaseOptions => ({
    ...{ url: server.url, email: server.email, password: server.password },
    fields: { name: 'title', owner: 'user' },
    hiddenFields: ['url'],
  });

  beforeAll(async () => {
    server = await startPocketBase();
    admin = await adminOf(server);
    const people = await addTargets(admin, 'people');
    const project = await addTargets(admin, 'projects');
    [users, projects] = [people.ids, project.ids];
    await admin.collections.create({
      name: 'files',
      type: 'base',
      listRule: '',
      viewRule: '',
      createRule: '',
      updateRule: '',
      deleteRule: null,
      fields: [
        { name: 'title', type: 'text', required: true, max: 200 },
        { name: 'user', type: 'relation', collectionId: people.collectionId, maxSelect: 1 },
        { name: 'usage', type: 'select', values: ['avatar', 'invoice', 'other'], maxSelect: 1 },
        { name: 'project', type: 'relation', collectionId: project.collectionId, maxSelect: 1 },
        { name: 'document', type: 'file', maxSelect: 1, maxSize: 1_000_000, required: true },
        { name: 'url', type: 'url', required: true },
        { name: 'width', type: 'number' },
        { name: 'labels', type: 'select', values: ['a', 'b', 'c'], maxSelect: 3 },
        { name: 'taken', type: 'date' },
        { name: 'mail', type: 'email' },
        { name: 'place', type: 'geoPoint' },
        { name: 'secret', type: 'text', hidden: true },
        { name: 'extra', type: 'json' },
        { name: 'seen', type: 'autodate', onCreate: true },
      ],
      indexes: ['create index idx_product on files (project)'],
    });
    await admin.collections.create({
      name: 'files_by_project',
      type: 'view',
      listRule: '',
      viewQuery:
        'select f.id, f.title, f.document, p.title as project_title from files f left join projects p on p.id = f.project',
    });
    oldIds = [];
    for (let i = 0; i < 25; i++) {
      const record = await admin.collection('files').create({
        ...{ title: `old ${i}`, user: users[i % 10], usage: 'invoice', project: projects[0] },
        document: new File(['old bytes'], 'old.txt'),
        ...{ url: 'https://bucket.example.com/old.txt', width: i, secret: 'hush', mail: 'a@example.com' },
      });
      oldIds.push(record.id);
    }
    catalog = openPocketBaseCatalog(options());
    did = await catalog.migrate();
  });

  afterAll(async () => {
    await catalog.close();
    await server.dispose();
  });

  const mine = (fields: object = {}) => ({ owner: users[0]!, usage: 'avatar', ...fields });

  it('is migrated only by additions, which are reported', async () => {
    expect(did).toEqual(
      expect.arrayContaining([
        'added field files.content_type',
        'added field files.created',
        'added field files.revision',
        'made files.document optional: new files have no location',
        'made files.url optional: new files have no location',
        'created collection asset_revisions',
        'created collection asset_changes',
        'created view asset_change_log',
        'created collection asset_legacy_uses',
        'created collection asset_legacy_state',
        'enabled batch requests in the settings',
      ]),
    );
    expect(await catalog.migrate()).toEqual([]);
    const files = await admin.collections.getOne('files');
    expect(files).toMatchObject({
      listRule: '',
      viewRule: '',
      createRule: '',
      updateRule: '',
      deleteRule: null,
    });
    expect(files.indexes).toContain('create index idx_product on files (project)');
    expect(files.fields.slice(0, 4).map((field: { name: string }) => field.name)).toEqual([
      ...['id', 'title', 'user', 'usage'],
    ]);
    expect(files.fields.find((field: { name: string }) => field.name === 'title')?.required).toBe(true);
    for (const name of [
      'asset_reservations',
      'asset_leftovers',
      'asset_uploads',
      'asset_revisions',
      'asset_changes',
      'asset_change_log',
      'asset_legacy_state',
    ]) {
      const { listRule, viewRule, createRule, updateRule, deleteRule } = await admin.collections.getOne(name);
      expect([listRule, viewRule, createRule, updateRule, deleteRule]).toEqual([
        null,
        null,
        null,
        null,
        null,
      ]);
    }
  });

  it('reads the records that were there before', async () => {
    expect(await getFile(catalog, oldIds[3]!)).toMatchObject({
      ...{ name: 'old 3', owner: users[3], usage: 'invoice', relations: { project: [projects[0]] } },
      attributes: { width: 3, mail: 'a@example.com' },
      ...{ contentType: 'application/octet-stream', sizeBytes: 0, sha256: undefined, crc32c: undefined },
      ...{ createdBy: '', createdFor: '', deleteTime: undefined, revision: expect.stringMatching(/^0-/) },
    });
    expect((await catalog.get(oldIds)).size).toBe(25);
  });

  it('never returns a legacy link or a hidden field', async () => {
    const told = JSON.stringify([...(await catalog.get(oldIds)).values()]);
    for (const secret of ['bucket.example.com', 'old_', 'hush', 'document', 'secret', '"url"']) {
      expect(told).not.toContain(secret);
    }
  });

  it('never writes a legacy link', async () => {
    for (const name of ['document', 'url', 'secret', 'id', 'created', 'revision', 'request_key', 'title']) {
      const attributes = { [name]: 'x' };
      const refused = { reason: 'ATTRIBUTE_INVALID', metadata: { attribute: name } };
      await expect(createFile(catalog, mine({ attributes }))).rejects.toMatchObject(refused);
    }
    for (const name of ['user', 'document', 'title', 'asset_revisions']) {
      const relations = { [name]: [users[0]!] };
      const refused = { reason: 'RELATION_UNKNOWN', metadata: { relation: name } };
      await expect(createFile(catalog, mine({ relations }))).rejects.toMatchObject(refused);
    }
    const { id } = await createFile(catalog, mine());
    expect(await admin.collection('files').getOne(id)).toMatchObject({
      document: '',
      url: '',
      title: 'report.pdf',
    });
  });

  it('lists all records with and without a time, in one order and in pages', async () => {
    const seen: FileRecord[] = [];
    for (;;) {
      const page = await catalog.list({
        filter: {},
        showDeleted: true,
        limit: 7,
        ...(seen.length && { after: seen.at(-1)! }),
      });
      seen.push(...page);
      if (page.length < 7) break;
    }
    const all = await admin.collection('files').getFullList({ fields: 'id' });
    expect(seen.map((file) => file.id).sort()).toEqual(all.map((record) => record.id).sort());
    expect(seen.slice(-25).map((file) => file.id)).toEqual([...oldIds].sort().reverse());
  });

  it('goes on answering through views', async () => {
    const rows = await admin.collection('files_by_project').getFullList();
    expect(rows.find((row) => row.id === oldIds[0])).toMatchObject({
      title: 'old 0',
      project_title: 'projects 0',
    });
    const { id } = await createFile(catalog, mine({ relations: { project: [projects[1]!] } }));
    expect(await admin.collection('files_by_project').getOne(id)).toMatchObject({
      project_title: 'projects 1',
    });
  });

  it('creates, changes and lists through the mapping', async () => {
    const attributes = {
      ...{ width: 640, labels: ['a', 'c'], taken: '2026-01-02 03:04:05.678Z', mail: 'b@example.com' },
      ...{ place: { lon: 13.4, lat: 52.5 }, extra: 'true' },
    };
    const file = await createFile(catalog, mine({ attributes, relations: { project: [projects[2]!] } }));
    expect(file).toMatchObject({ name: 'report.pdf', owner: users[0], usage: 'avatar', attributes });
    const changed = await catalog.update(file.id, file.revision, {
      name: 'new',
      owner: users[1]!,
      usage: 'other',
    });
    expect(changed).toMatchObject({ name: 'new', owner: users[1], usage: 'other', attributes });
    expect(await admin.collection('files').getOne(file.id)).toMatchObject({ title: 'new', user: users[1] });
    const filter = { owner: users[1]!, usage: 'other', relation: { name: 'project', id: projects[2]! } };
    const found = await catalog.list({ filter, showDeleted: false, limit: 5 });
    expect(found.map(plain)).toEqual([plain(changed)]);
  });

  it('refuses what the collection does, with nothing written', async () => {
    const cases: [object, object][] = [
      [
        { relations: { project: ['missing00000000'] } },
        { reason: 'RELATION_TARGET_MISSING', metadata: { relation: 'project' } },
      ],
      [{ owner: 'missing00000000' }, { reason: 'RELATION_TARGET_MISSING', metadata: { relation: 'owner' } }],
      [{ usage: 'nonsense' }, { reason: 'CATALOG_REFUSED', metadata: { field: 'usage' } }],
      [{ name: '' }, { reason: 'CATALOG_REFUSED', metadata: { field: 'name' } }],
      [{ name: 'x'.repeat(201) }, { reason: 'CATALOG_REFUSED', metadata: { field: 'name' } }],
      [
        { relations: { project: projects.slice(0, 2) } },
        { reason: 'CATALOG_REFUSED', metadata: { field: 'relations.project' } },
      ],
      [{ attributes: { mail: 'no mail' } }, { reason: 'ATTRIBUTE_INVALID', metadata: { attribute: 'mail' } }],
      [{ attributes: { labels: ['z'] } }, { reason: 'ATTRIBUTE_INVALID', metadata: { attribute: 'labels' } }],
      [
        { attributes: { taken: 'yesterday' } },
        { reason: 'ATTRIBUTE_INVALID', metadata: { attribute: 'taken' } },
      ],
      [{ attributes: { width: '640' } }, { reason: 'ATTRIBUTE_INVALID', metadata: { attribute: 'width' } }],
    ];
    for (const [fields, expected] of cases) {
      const id = newId();
      await expect(createFile(catalog, mine({ id, ...fields }))).rejects.toMatchObject(expected);
      expect((await catalog.get([id])).size).toBe(0);
    }
  });

  it('leaves an attribute that PocketBase sets as it is, when all are replaced', async () => {
    const file = await createFile(catalog, mine({ attributes: { width: 1 } }));
    const { seen } = file.attributes;
    expect(seen).toMatch(/Z$/);
    const cleared = await catalog.update(file.id, file.revision, { attributes: { width: 2, seen: null } });
    expect(cleared.attributes).toMatchObject({ width: 2, seen });
    const same = await catalog.update(file.id, cleared.revision, { attributes: { width: 3, seen: seen! } });
    expect(same.attributes).toMatchObject({ width: 3, seen });
    const other = { attributes: { seen: '2026-01-02 03:04:05.678Z' } };
    await expect(catalog.update(file.id, same.revision, other)).rejects.toMatchObject({
      ...{ reason: 'ATTRIBUTE_INVALID', metadata: { attribute: 'seen' } },
    });
  });

  it('sees what others write past the service, and never overwrites it unseen', async () => {
    const file = await createFile(catalog, mine({ attributes: { width: 1 } }));
    await admin.collection('files').update(file.id, { width: 2 });
    const seen = await getFile(catalog, file.id);
    expect(seen.attributes.width).toBe(2);
    expect(seen.revision).not.toBe(file.revision);
    await expect(catalog.update(file.id, file.revision, { name: 'lost?' })).rejects.toMatchObject({
      reason: 'CONCURRENT_CHANGE',
    });
    const changed = await catalog.update(file.id, seen.revision, { name: 'new' });
    expect(changed).toMatchObject({ name: 'new', attributes: { width: 2 } });
    // A hidden link counts too.
    await admin.collection('files').update(file.id, { url: 'https://elsewhere.example.com/x' });
    expect(await catalog.purge(file.id, changed.revision)).toBe(false);
    // Guests still write as the rules permit, but not the service's fields.
    const response = await fetch(`${server.url}/api/collections/files/records/${oldIds[9]}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ title: 'by a guest', revision: 99 }),
    });
    expect(response.status).toBe(200);
    expect(await getFile(catalog, oldIds[9]!)).toMatchObject({
      ...{ name: 'by a guest', revision: expect.stringMatching(/^0-/) },
    });
  });

  it('lets twenty writers change an old record one at a time', async () => {
    const { id, revision } = await getFile(catalog, oldIds[1]!);
    const writers = Array.from({ length: 20 }, (_, i) =>
      catalog.update(id, revision, { attributes: { width: 100 + i } }),
    );
    const results = await outcomes(writers);
    expect(results.filter((result) => result === 'ok')).toHaveLength(1);
    expect(results.filter((result) => result === 'CONCURRENT_CHANGE')).toHaveLength(19);
    expect((await getFile(catalog, id)).attributes.width).toBe(100 + results.indexOf('ok'));
    // The first location stays.
    expect((await admin.collection('files').getOne(id)).document).toMatch(/^old_/);
  });

  it('changes a record that somebody copied together with its count', async () => {
    let file = await createFile(catalog, mine());
    for (let i = 0; i < 3; i++) file = await catalog.update(file.id, file.revision, { name: `name ${i}` });
    const { id: _, ...fields } = await admin.collection('files').getOne(file.id);
    const copy = await admin.collection('files').create({ ...fields, request_key: '' });
    const { revision } = await getFile(catalog, copy.id);
    expect(revision).toMatch(/^3-/);
    const writers = Array.from({ length: 8 }, (_, i) =>
      catalog.update(copy.id, revision, { name: `writer ${i}` }),
    );
    expect((await outcomes(writers)).filter((result) => result === 'ok')).toHaveLength(1);
    const changed = await getFile(catalog, copy.id);
    expect(await catalog.purge(copy.id, changed.revision)).toBe(true);
    expect(await admin.collection('asset_revisions').getFullList({ filter: `id~"${copy.id}"` })).toEqual([]);
  });

  it('refuses a change of a record whose relation points nowhere, by its name', async () => {
    const lost = await admin.collection('projects').create({ title: 'lost' });
    const file = await createFile(catalog, mine({ relations: { project: [lost.id] } }));
    await admin.collection('projects').delete(lost.id);
    const { revision } = await getFile(catalog, file.id);
    const changed = await catalog.update(file.id, revision, { relations: { project: [projects[0]!] } });
    expect(changed.relations).toEqual({ project: [projects[0]] });
  });

  it('takes a field that was added while it runs', async () => {
    const { fields } = await admin.collections.getOne('files');
    await admin.collections.update('files', { fields: [...fields, { name: 'color', type: 'text' }] });
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const { id } = await createFile(catalog, mine({ attributes: { color: 'red' } }));
    expect((await getFile(catalog, id)).attributes.color).toBe('red');
    const other = openPocketBaseCatalog(options());
    expect((await getFile(other, id)).attributes.color).toBe('red');
    await other.close();
  });

  it('logs in again when its login is revoked, and never reads as a guest', async () => {
    // A new password invalidates all earlier tokens; the collection is public, so guests would see a part of it.
    const file = await createFile(catalog, mine());
    const revoke = async () => {
      const { items } = await admin.collection('_superusers').getList(1, 1);
      const passwords = { password: server.password, passwordConfirm: server.password };
      await admin.collection('_superusers').update(items[0]!.id, passwords);
      await admin.collection('_superusers').authWithPassword(server.email, server.password);
    };
    const one = openPocketBaseCatalog(options());
    // Guests see no hidden fields, so the revision would differ.
    const expectWhole = (record: FileRecord | undefined) => expect(record?.revision).toBe(file.revision);
    const filter = { createTimeFrom: file.createTime };
    const reads: (() => Promise<unknown>)[] = [
      async () => expectWhole(await getFile(one, file.id)),
      async () => expectWhole((await one.list({ filter, showDeleted: true, limit: 1 }))[0]),
      () => one.check(),
      () => one.uploads.takeClosed(new Date(), 1),
      () => createFile(one, mine()),
      () => one.update(file.id, file.revision, { name: 'again' }),
    ];
    await one.check();
    for (const read of reads) {
      await revoke();
      await read();
    }
    await revoke();
    // Concurrent requests share one login.
    await Promise.all(Array.from({ length: 20 }, () => getFile(one, oldIds[0]!)));
    await one.close();
  });

  it('is unavailable with a wrong password', async () => {
    const wrong = openPocketBaseCatalog({ ...options(), password: 'wrong-password' });
    const error = await wrong.get([oldIds[0]!]).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
    expect((error as Error).message).not.toContain(server.email);
  });

  it('outlives a server that is killed and started again', async () => {
    const file = await createFile(catalog, mine());
    const { id: reservationId } = await reserve(catalog);
    await server.kill();
    await expect(getFile(catalog, file.id)).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
    await expect(catalog.create(newFile(mine()), { reservationId })).rejects.toMatchObject({
      reason: 'CATALOG_UNAVAILABLE',
    });
    await server.start();
    expect(plain(await getFile(catalog, file.id))).toEqual(plain(file));
    expect((await catalog.create(newFile(mine()), { reservationId })).status).toBe('created');
  });
});
