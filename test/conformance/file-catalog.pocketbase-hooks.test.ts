import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type PocketBase from 'pocketbase';
import type { FileCatalog, FileChange } from '../../src/catalog/file-catalog.ts';
import { openPocketBaseCatalog } from '../../src/catalog/pocketbase/pocketbase-catalog.ts';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { adminOf } from './file-catalog/pocketbase-admin.ts';
import { createFile, getFile, newFile, newId, outcomes, plain, reserve } from './file-catalog/subject.ts';

/**
 * Hooks of a product. The name of a record selects the hook and its effect: `create:403`. For changes the name
 * before the change counts.
 */
const HOOKS = `
function act(what, e, name) {
  const [on, how] = name.split(':');
  if (on !== what) return e.next();
  const text = 'the hook says no to ' + name;
  const errors = {
    'bad request': () => new BadRequestError(text),
    'a field': () => new BadRequestError(text, { note: new ValidationError('too_rude', 'Too rude') }),
    'a hidden field': () => new BadRequestError(text, { internal: new ValidationError('too_rude', 'Too rude') }),
    unauthorized: () => new UnauthorizedError(text),
    forbidden: () => new ForbiddenError(text),
    'not found': () => new NotFoundError(text),
    'too many': () => new TooManyRequestsError(text),
    'a plain error': () => new Error(text),
    after: () => new BadRequestError(text),
  };
  if (how === 'nothing') return;
  if (how === 'owner' || how === 'late owner') e.record.set('owner', 'somebody else');
  if (how === 'note') e.record.set('note', e.record.getString('note').toUpperCase());
  if (how === 'fill') { e.record.set('owner', 'the default'); e.record.set('note', 'filled'); }
  if (how === 'after' || how === 'owner' || how === 'late owner' || how === 'note' || how === 'fill') e.next();
  const status = Number(how);
  if (status) throw new ApiError(status, text);
  if (errors[how]) throw errors[how]();
}
`;
const ON = (event: string, what: string, name: string) =>
  `${event}((e) => { ${HOOKS} act('${what}', e, ${name}); }, 'files');`;
const SOURCE = [
  ON('onRecordCreateRequest', 'create', `e.record.getString('name')`),
  ON('onRecordUpdateRequest', 'update', `e.record.original().getString('name')`),
  ON('onRecordDeleteRequest', 'delete', `e.record.getString('name')`),
  ON('onRecordCreate', 'model create', `e.record.getString('name')`),
  `onRecordAfterCreateSuccess((e) => { if (['committed', 'create:late owner'].includes(e.record.getString('name'))) throw new BadRequestError('late'); e.next(); }, 'files');`,
  `onRecordAfterUpdateSuccess((e) => { if (e.record.getString('name') === 'committed late') throw new Error('late'); e.next(); }, 'files');`,
].join('\n');

const REFUSING = [
  ...['bad request', 'forbidden', 'not found', 'a plain error', '402', '404', '405', '409', '410'],
  ...['413', '418', '422', '451'],
];
const FAILING = ['unauthorized', 'too many', '401', '429', '500', '502', '503', '504'];

describe('file catalog: pocketbase with hooks that refuse', () => {
  let server: PocketBaseServer;
  let admin: PocketBase;
  let catalog: FileCatalog;
  let logins = 0;

  beforeAll(async () => {
    server = await startPocketBase({
      hooks: `${SOURCE}\nonRecordAuthWithPasswordRequest((e) => { $app.store().set('logins', ($app.store().get('logins') || 0) + 1); e.next(); }, '_superusers');
      routerAdd('GET', '/logins', (e) => e.json(200, { logins: $app.store().get('logins') }));`,
    });
    admin = await adminOf(server);
    await admin.collections.create({
      name: 'files',
      type: 'base',
      fields: [
        { name: 'note', type: 'text' },
        { name: 'meta', type: 'json' },
        { name: 'internal', type: 'text', hidden: true },
      ],
    });
    catalog = openPocketBaseCatalog({ url: server.url, email: server.email, password: server.password });
    await catalog.migrate();
    logins = await countLogins();
  });

  afterAll(async () => {
    await catalog.close();
    await server.dispose();
  });

  const countLogins = async () =>
    ((await (await fetch(`${server.url}/logins`)).json()) as { logins: number }).logins;
  const open = async (id: string) => {
    const expireTime = new Date(Date.now() + 3_600_000);
    await catalog.uploads.open({ id, state: { of: id }, expireTime });
  };
  const failure = async (call: Promise<unknown>) => {
    const error: unknown = await call.then(
      () => 'ok',
      (reason: unknown) => reason,
    );
    return error as { reason: string; message: string; cause?: Error; retryAfterMs?: number };
  };

  it.each(REFUSING)('a new file: %s is a refusal, with the text for the log', async (how) => {
    const name = `create:${how}`;
    const id = newId();
    const error = await failure(createFile(catalog, { id, name }));
    expect(error).toMatchObject({ reason: 'CATALOG_REFUSED' });
    expect(error.message).not.toContain('hook');
    if (how !== 'a plain error') expect(error.cause?.message).toContain(`he hook says no to ${name}`);
    expect((await catalog.get([id])).size).toBe(0);
    const session = newId();
    await open(session);
    const created = catalog.create(newFile({ id: session, name }), { upload: { revision: 1 } });
    expect(await failure(created)).toMatchObject({ reason: 'CATALOG_REFUSED' });
    expect(await catalog.uploads.get(session)).toMatchObject({ revision: 1 });
  });

  it.each(FAILING)('a new file: %s is an outage', async (how) => {
    const id = newId();
    expect(await failure(createFile(catalog, { id, name: `create:${how}` }))).toMatchObject({
      ...{ reason: 'CATALOG_UNAVAILABLE', retryAfterMs: 1_000 },
    });
    expect((await catalog.get([id])).size).toBe(0);
  });

  it('tells which attribute a hook names', async () => {
    await expect(createFile(catalog, { name: 'create:a field' })).rejects.toMatchObject({
      ...{ reason: 'ATTRIBUTE_INVALID', metadata: { attribute: 'note' } },
    });
    await expect(createFile(catalog, { name: 'model create:bad request' })).rejects.toMatchObject({
      reason: 'CATALOG_REFUSED',
    });
  });

  it('never tells the name of a field that callers do not see', async () => {
    const error = await failure(createFile(catalog, { name: 'create:a hidden field' }));
    expect(error).toMatchObject({ reason: 'CATALOG_REFUSED', metadata: {} });
    expect(error.message).not.toContain('internal');
    expect(error.cause?.message).toContain('(internal: too_rude)');
  });

  it('refuses only the requests of a batch that a hook refuses', async () => {
    const { id: reservationId } = await reserve(catalog);
    const names = ['create:409', 'a', 'b', 'create:forbidden', 'create:nothing', 'c', 'committed', 'd'];
    const creating = names.map((name) => catalog.create(newFile({ name }), { reservationId }));
    const [refused, ok] = ['CATALOG_REFUSED', 'ok'];
    const results = await outcomes(creating);
    expect(results).toEqual([refused, ok, ok, refused, refused, ok, ok, ok]);
  });

  it.each(REFUSING)('a change, a delete, an undelete and a purge: %s is a refusal', async (how) => {
    const file = await createFile(catalog, { name: `update:${how}` });
    const time = new Date();
    const changes: FileChange[] = [
      { name: 'other' },
      { deleteTime: time, purgeTime: time },
      { deleteTime: null, purgeTime: null },
    ];
    for (const change of changes) {
      const error = await failure(catalog.update(file.id, file.revision, change));
      expect(error).toMatchObject({ reason: 'CATALOG_REFUSED' });
      expect(plain(await getFile(catalog, file.id))).toEqual(plain(file));
    }
    const doomed = await createFile(catalog, { name: `delete:${how}` });
    expect(await failure(catalog.purge(doomed.id, doomed.revision))).toMatchObject({
      reason: 'CATALOG_REFUSED',
    });
    const changed = await catalog.update(doomed.id, doomed.revision, { name: 'free' });
    expect(await catalog.purge(doomed.id, changed.revision)).toBe(true);
  });

  it.each(FAILING)('a change and a purge: %s is an outage', async (how) => {
    const outage = { reason: 'CATALOG_UNAVAILABLE', retryAfterMs: 1_000 };
    const file = await createFile(catalog, { name: `update:${how}` });
    expect(await failure(catalog.update(file.id, file.revision, { name: 'other' }))).toMatchObject(outage);
    const doomed = await createFile(catalog, { name: `delete:${how}` });
    expect(await failure(catalog.purge(doomed.id, doomed.revision))).toMatchObject(outage);
    expect(plain(await getFile(catalog, doomed.id))).toEqual(plain(doomed));
  });

  it('distinguishes a hook that silently skips the write from success', async () => {
    const id = newId();
    const refused = { reason: 'CATALOG_REFUSED' };
    expect(await failure(createFile(catalog, { id, name: 'create:nothing' }))).toMatchObject(refused);
    expect((await catalog.get([id])).size).toBe(0);
    for (const what of ['update', 'delete']) {
      let file = await createFile(catalog, { name: `${what}:nothing` });
      // With and without earlier changes, which are counted differently.
      for (let changes = 0; changes < 3; changes++) {
        const change = { name: 'free' };
        const call =
          what === 'update'
            ? catalog.update(file.id, file.revision, change)
            : catalog.purge(file.id, file.revision);
        expect(await failure(call)).toMatchObject(refused);
        expect(plain(await getFile(catalog, file.id))).toEqual(plain(file));
        if (what === 'delete') file = await catalog.update(file.id, file.revision, { owner: `${changes}` });
      }
      expect(
        await admin.collection('asset_leftovers').getFullList({ filter: `file_ids~"${file.id}"` }),
      ).toEqual([]);
    }
  });

  it('never reports a value as kept that a hook changed', async () => {
    const [id, requestKey] = [newId(), newId()];
    const owner = { reason: 'CATALOG_REFUSED', metadata: { field: 'owner' } };
    const note = { reason: 'ATTRIBUTE_INVALID', metadata: { attribute: 'note' } };
    await expect(createFile(catalog, { id, name: 'create:owner' }, requestKey)).rejects.toMatchObject(owner);
    const attributes = { note: 'quiet' };
    await expect(createFile(catalog, { name: 'create:note', attributes })).rejects.toMatchObject(note);
    expect((await catalog.get([id])).size).toBe(0);
    expect((await createFile(catalog, {}, requestKey)).owner).toBe('owner-1');

    const session = newId();
    await open(session);
    const options = { upload: { revision: 1 } };
    const created = catalog.create(newFile({ id: session, name: 'create:owner' }), options);
    await expect(created).rejects.toMatchObject(owner);
    expect((await catalog.get([session])).size).toBe(0);
    const [leftover] = await admin
      .collection('asset_leftovers')
      .getFullList({ filter: `file_ids~"${session}"` });
    expect(leftover).toMatchObject({ file_ids: [session] });

    const meta = 'true';
    const before = await createFile(catalog, { name: 'update:owner', attributes: { note: 'a', meta } });
    const change = { owner: 'other', attributes: { note: 'b', meta: { b: 1 } } };
    await expect(catalog.update(before.id, before.revision, change)).rejects.toMatchObject(owner);
    const after = await getFile(catalog, before.id);
    expect(after).toMatchObject({ name: 'update:owner', attributes: { note: 'a', meta } });
  });

  it('lets a hook fill in missing fields', async () => {
    const file = await createFile(catalog, { name: 'create:fill', owner: '' });
    expect(file).toMatchObject({ owner: 'the default', attributes: { note: 'filled' } });
  });

  it('is not misled by a hook that fails after the commit', async () => {
    const [id, requestKey] = [newId(), newId()];
    const created = await createFile(catalog, { id, name: 'committed' }, requestKey);
    expect(plain((await catalog.findByRequestKey(requestKey))!)).toEqual(plain(created));
    const session = newId();
    await open(session);
    const options = { upload: { revision: 1 } };
    const finished = await catalog.create(newFile({ id: session, name: 'committed' }), options);
    expect(finished.status).toBe('created');
    // A changed write is undone.
    const changing = createFile(catalog, { name: 'create:late owner' }, newId());
    await expect(changing).rejects.toMatchObject({ reason: 'CATALOG_REFUSED', metadata: { field: 'owner' } });
    const file = await getFile(catalog, id);
    const changed = await catalog.update(id, file.revision, { name: 'committed late' });
    expect(changed.name).toBe('committed late');
    expect(plain(await getFile(catalog, id))).toEqual(plain(changed));
  });

  it('works where the settings allow fewer requests per batch', async () => {
    const { batch } = await admin.settings.getAll();
    const { id: reservationId } = await reserve(catalog);
    const create = () => catalog.create(newFile(), { reservationId });
    await admin.settings.update({ batch: { ...batch, maxRequests: 5 } });
    expect(await outcomes(Array.from({ length: 12 }, create))).toEqual(Array(12).fill('ok'));
    await admin.settings.update({ batch: { ...batch, maxRequests: 1 } });
    expect(await outcomes([create()])).toEqual(['CATALOG_UNAVAILABLE']);
    await admin.settings.update({ batch });
    expect(await outcomes([create()])).toEqual(['ok']);
  });

  it('never logs in again because of a hook', async () => {
    expect(logins).toBeGreaterThan(1);
    expect(await countLogins()).toBe(logins);
  });
});
