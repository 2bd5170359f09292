import { describe, expect, it } from '@jest/globals';
import { addTargets } from './file-catalog/pocketbase-admin.ts';
import { NO_NAMES, pocketBaseSetups, texts } from './file-catalog/pocketbase-setups.ts';
import { createFile, getFile } from './file-catalog/subject.ts';

/** A collection whose own rules refuse the records of the service, or let others change them. */
describe('file catalog: pocketbase and a collection whose rules do not fit', () => {
  const { addCollection, admin, expectMistake, open } = pocketBaseSetups();

  describe('fields that cannot be filled', () => {
    it.each<[string, object, string[]]>([
      ['a hidden text', { name: 'secure_name', type: 'text', hidden: true }, ['{"secure_name":"-"}']],
      ['a hidden number', { name: 'rank', type: 'number', hidden: true }, ['{"rank":1}']],
      ['a hidden flag', { name: 'ok', type: 'bool', hidden: true }, ['{"ok":true}']],
      ['a hidden address', { name: 'link', type: 'url', hidden: true }, ['{"link":"https://example.com"}']],
      ['a hidden mail', { name: 'mail', type: 'email', hidden: true }, ['{"mail":"nobody@example.com"}']],
      [
        'a hidden time',
        { name: 'taken', type: 'date', hidden: true },
        ['{"taken":"2000-01-01 00:00:00.000Z"}'],
      ],
      ['a hidden place', { name: 'place', type: 'geoPoint', hidden: true }, ['{"place":{"lon":1,"lat":1}}']],
      ['a hidden value', { name: 'extra', type: 'json', hidden: true }, ['{"extra":{"a":1}}']],
      [
        'a hidden choice',
        { name: 'kind', type: 'select', values: ['old', 'new'], hidden: true },
        ['{"kind":"old"}'],
      ],
    ])('tells of %s that is required, and takes a default', async (_, field, [example]) => {
      const collection = await addCollection([{ ...field, required: true }]);
      const { name } = field as { name: string };
      const told = [`${collection}.${name} is required`, 'optional', 'ASSET_POCKETBASE_DEFAULTS', example!];
      const catalog = await expectMistake({ collection }, ...told);
      await expect(createFile(catalog)).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });

      const defaults = JSON.parse(example!) as Record<string, string | number>;
      const mended = open({ collection, defaults });
      expect(texts(await mended.inspect(NO_NAMES), 'mistake')).toEqual([]);
      await mended.migrate();
      const file = await createFile(mended);
      expect(await admin().collection(collection).getOne(file.id)).toMatchObject(defaults);
      expect((await mended.update(file.id, file.revision, { name: 'b' })).name).toBe('b');
    });

    it('reports a default whose record does not exist', async () => {
      const { collectionId, ids } = await addTargets(admin(), 'folders');
      const field = { name: 'folder', type: 'relation', collectionId, maxSelect: 1, required: true };
      const collection = await addCollection([{ ...field, hidden: true }]);
      const lost = await open({ collection, defaults: { folder: 'missing00000000' } }).inspect(NO_NAMES);
      expect(texts(lost, 'mistake')).toEqual([
        expect.stringMatching(/ASSET_POCKETBASE_DEFAULTS: "folder" is "missing00000000", and there is no/),
      ]);
      const catalog = open({ collection, defaults: { folder: ids[0]! } });
      expect(texts(await catalog.inspect(NO_NAMES), 'mistake')).toEqual([]);
      await catalog.migrate();
      const file = await createFile(catalog);
      expect(await admin().collection(collection).getOne(file.id)).toMatchObject({ folder: ids[0] });
    });

    it('tells of a password that is required, which can have no default', async () => {
      const collection = await addCollection([{ name: 'pin', type: 'password', required: true }]);
      const told = `${collection}.pin is required, and no upload can fill it. Make it optional in PocketBase.`;
      await expectMistake({ collection }, told);
    });

    it.each(['delete_time', 'purge_time', 'request_key', 'revision', 'created_for'])(
      'tells of %s that is required',
      async (name) => {
        const type = { revision: 'number', delete_time: 'date', purge_time: 'date' }[name] ?? 'text';
        const collection = await addCollection([{ name, type, hidden: true, required: true }]);
        await expectMistake({ collection }, `${collection}.${name} is required`, 'Make it optional');
      },
    );

    it('warns of a size that is required, which no empty file has', async () => {
      const collection = await addCollection([{ name: 'size', type: 'number', required: true }]);
      const catalog = open({ collection, fields: { sizeBytes: 'size' } });
      expect(await catalog.inspect(NO_NAMES)).toEqual([
        { level: 'warning', text: expect.stringContaining(`${collection}.size is required`) as unknown },
      ]);
      await catalog.migrate();
      await createFile(catalog, { sizeBytes: 1 });
    });

    it('takes what a caller, PocketBase or a migration fills', async () => {
      const collection = await addCollection([
        { name: 'title', type: 'text', required: true },
        { name: 'token', type: 'text', required: true, hidden: true, autogeneratePattern: '[a-z]{8}' },
        { name: 'document', type: 'file', required: true, maxSelect: 1 },
        { name: 'owner', type: 'text', required: true },
      ]);
      const catalog = open({ collection });
      expect(texts(await catalog.inspect(NO_NAMES), 'mistake')).toEqual([]);
      await catalog.migrate();
      await createFile(catalog, { owner: 'ann', attributes: { title: 'x' } });
    });

    it('lets a caller give another value than the default', async () => {
      const collection = await addCollection([
        { name: 'state', type: 'text', required: true },
        { name: 'extra', type: 'json', hidden: true, required: true },
      ]);
      const catalog = open({ collection, defaults: { state: 'new', extra: '17' } });
      await catalog.migrate();
      const { id } = await createFile(catalog);
      expect(await admin().collection(collection).getOne(id)).toMatchObject({ state: 'new', extra: '17' });
      expect((await createFile(catalog, { attributes: { state: 'old' } })).attributes).toEqual({
        state: 'old',
      });
    });

    it('tells of a unique index over what every new record leaves empty', async () => {
      let indexes = 0;
      const unique = (columns: string, where = '') => [
        `create unique index idx_u${++indexes} on media_x (${columns})${where}`,
      ];
      const fields = [
        { name: 'secure_name', type: 'text', hidden: true },
        { name: 'url', type: 'url', required: true },
        { name: 'title', type: 'text' },
      ];
      const hiddenFields = ['url'];
      for (const columns of ['`secure_name`', 'url', 'url, secure_name']) {
        const collection = await addCollection(fields, { indexes: unique(columns) });
        await expectMistake({ collection, hiddenFields }, 'has a unique index', 'Drop the index');
      }
      for (const index of [unique('title'), unique('url', " where url != ''"), unique('url, title')]) {
        const collection = await addCollection(fields, { indexes: index });
        const catalog = open({ collection, hiddenFields });
        expect(texts(await catalog.inspect(NO_NAMES), 'mistake')).toEqual([]);
      }
    });

    it('reports ids of another form', async () => {
      const id = { name: 'id', type: 'text', system: true, primaryKey: true, required: true };
      const long = { ...id, min: 20, max: 20, pattern: '^[a-z0-9]+$', autogeneratePattern: '[a-z0-9]{20}' };
      const collection = await addCollection([long]);
      await expectMistake({ collection }, `${collection}.id does not take the ids`);
    });

    it('goes on reading when such a field is added while it runs', async () => {
      const collection = await addCollection([]);
      const catalog = open({ collection });
      await catalog.migrate();
      const file = await createFile(catalog);
      const { fields } = await admin().collections.getOne(collection);
      const more = { name: 'secure_name', type: 'text', hidden: true, required: true };
      await admin().collections.update(collection, { fields: [...fields, more] });
      const later = open({ collection });
      await expect(createFile(later)).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
      expect((await getFile(later, file.id)).id).toBe(file.id);
    });
  });

  describe('ways around the service', () => {
    const anyone = '@request.auth.id != ""';

    it('finds none in the collections that the service creates', async () => {
      const catalog = open({});
      await catalog.migrate();
      expect(await catalog.inspect(NO_NAMES)).toEqual([]);
    });

    it('reports each rule by its name and text', async () => {
      const rules = {
        listRule: '',
        viewRule: anyone,
        createRule: anyone,
        updateRule: anyone,
        deleteRule: '',
      };
      const collection = await addCollection([{ name: 'owner', type: 'text' }], rules);
      const findings = await open({ collection }).inspect(NO_NAMES);
      expect(texts(findings, 'mistake')).toEqual([]);
      const [create, update, del, ...others] = texts(findings, 'error');
      expect(others).toEqual([]);
      expect(create).toContain(`createRule of the collection "${collection}" is open to ${anyone}. `);
      expect(update).toMatch(/updateRule .* owner/);
      expect(del).toMatch(/deleteRule .* everybody, signed in or not.* bytes .* stay/);
      const [list, view, ...more] = texts(findings, 'warning');
      expect([list, view, more]).toEqual([
        expect.stringContaining('listRule'),
        expect.stringContaining('viewRule'),
        [],
      ]);
    });

    it('reports open collections of the service, cascades and unprotected files', async () => {
      await open({}).migrate();
      await admin().collections.update('asset_uploads', { listRule: '', updateRule: anyone });
      const { collectionId } = await addTargets(admin(), 'albums');
      await admin().collections.update('albums', { deleteRule: anyone });
      const collection = await addCollection([
        { name: 'album', type: 'relation', collectionId, maxSelect: 1, cascadeDelete: true },
        { name: 'document', type: 'file', maxSelect: 1 },
        { name: 'sealed', type: 'file', maxSelect: 1, protected: true },
      ]);
      const catalog = open({ collection });
      const findings = await catalog.inspect(NO_NAMES);
      const errors = texts(findings, 'error');
      expect(errors).toEqual([
        expect.stringMatching(`relation ${collection}.album deletes in cascade.*"albums"`),
        expect.stringMatching('listRule of the collection "asset_uploads"'),
        expect.stringMatching('updateRule of the collection "asset_uploads"'),
      ]);
      expect(texts(findings, 'warning')).toEqual([
        expect.stringMatching(`${collection}.document is not protected`),
      ]);
      await admin().collections.update('albums', { deleteRule: null });
      await admin().collections.update('asset_uploads', { listRule: null, updateRule: null });
      expect(texts(await catalog.inspect(NO_NAMES), 'error')).toEqual([]);
    });
  });
});
