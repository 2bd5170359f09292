import { describe, expect, it } from '@jest/globals';
import { catalogDependency } from '../../src/app/catalog.ts';
import { UsagePolicies } from '../../src/files/policy/usage-policies.ts';
import { openLog } from '../../src/telemetry/log.ts';
import { addTargets } from './file-catalog/pocketbase-admin.ts';
import { NO_NAMES, pocketBaseSetups, texts, type Options } from './file-catalog/pocketbase-setups.ts';
import { createFile, getFile } from './file-catalog/subject.ts';

/** Settings that name a collection, its fields and its policies, right and wrong. */
describe('file catalog: pocketbase and settings that do not fit', () => {
  const { addCollection, admin, everything, expectMistake, open } = pocketBaseSetups();

  describe('names', () => {
    it('creates only the default collection, and only if no setting names fields', async () => {
      await addCollection([{ name: 'title', type: 'text' }]);
      await expectMistake(
        { collection: 'medai_1' },
        ...['ASSET_POCKETBASE_COLLECTION', '"medai_1"', 'Did you mean "media_1"?'],
      );
      await expectMistake({ fields: { name: 'title' } }, 'ASSET_POCKETBASE_FIELDS', '"files"', 'media_1');
      await expectMistake({ hiddenFields: ['url'] }, 'ASSET_POCKETBASE_HIDDEN_FIELDS', '"files"');
      await expectMistake({ defaults: { a: 1 } }, 'ASSET_POCKETBASE_DEFAULTS', '"files"');
      expect(texts(await open({}).inspect(NO_NAMES), 'mistake')).toEqual([]);
    });

    it('takes no collection that cannot hold files', async () => {
      await admin().collections.create({ name: 'a_view', type: 'view', viewQuery: 'select id from media_1' });
      for (const [collection, why] of [
        ['a_view', 'type view'],
        ['users', 'type auth'],
        ['_mfas', 'belongs to PocketBase'],
        ['asset_uploads', 'its own state'],
      ] as const) {
        await expectMistake({ collection }, 'ASSET_POCKETBASE_COLLECTION', `"${collection}"`, why);
      }
      const { id } = await admin().collections.create({ name: 'asset_leases', type: 'base' });
      await expectMistake({}, '"asset_leases"', 'Rename it');
      await admin().collections.delete(id);
    });

    it.each<[string, Options, string[]]>([
      [
        'a misspelt field',
        { fields: { name: 'titel' } },
        ['ASSET_POCKETBASE_FIELDS: "name"', '"titel"', 'Did you mean "title"?', 'user'],
      ],
      [
        'a field that only the service would have',
        { fields: { revision: 'asset_rev' } },
        ['ASSET_POCKETBASE_FIELDS: "revision"', '"asset_rev"', 'number, whole numbers, at least 0, hidden'],
      ],
      [
        'a misspelt hidden field',
        { hiddenFields: ['URL'] },
        ['ASSET_POCKETBASE_HIDDEN_FIELDS', '"URL"', 'Did you mean "url"?'],
      ],
      [
        'a misspelt default',
        { defaults: { secure_nam: '-' } },
        ['ASSET_POCKETBASE_DEFAULTS', '"secure_nam"', 'Did you mean "secure_name"?'],
      ],
      [
        'a default of another type',
        { defaults: { width: '1' } },
        ['ASSET_POCKETBASE_DEFAULTS', '"width" is of type number', '"1"'],
      ],
      [
        'a default that its field refuses',
        { defaults: { url: '-' } },
        ['ASSET_POCKETBASE_DEFAULTS', '"url" is of type url, and its rules refuse "-"'],
      ],
      [
        'a default that is too long',
        { defaults: { short: 'abcde' } },
        ['ASSET_POCKETBASE_DEFAULTS', '"short" is of type text, and its rules refuse "abcde"'],
      ],
      [
        'a default that is none of the choices',
        { defaults: { labels: ['a', 'c'] } },
        ['ASSET_POCKETBASE_DEFAULTS', '"labels" is of type select', '["a","c"]'],
      ],
      [
        'a default for a field of its own',
        { fields: { name: 'title' }, defaults: { title: '-' } },
        ['ASSET_POCKETBASE_DEFAULTS', '"title" is where the name of a file is'],
      ],
      [
        'a field of a type that cannot hold it',
        { fields: { sha256: 'width' } },
        ['.width is of type number and cannot hold sha256', 'ASSET_POCKETBASE_FIELDS'],
      ],
      [
        'a field that holds several values',
        { fields: { usage: 'labels' } },
        ['.labels holds several values, and usage is one'],
      ],
      [
        'a field that is too short',
        { fields: { crc32c: 'short' } },
        ['.short takes 4 characters, and crc32c has 8'],
      ],
      [
        'a field that users could write',
        { fields: { request_key: 'title' } },
        ['.title must be hidden', 'request_key'],
      ],
    ])('tells of %s', async (_, options, told) => {
      const collection = await addCollection([
        { name: 'title', type: 'text' },
        { name: 'user', type: 'text' },
        { name: 'url', type: 'url' },
        { name: 'width', type: 'number' },
        { name: 'short', type: 'text', max: 4 },
        { name: 'labels', type: 'select', values: ['a', 'b'], maxSelect: 2 },
        { name: 'secure_name', type: 'text', hidden: true },
      ]);
      const catalog = await expectMistake({ collection, ...options }, ...told);
      // It is the operator's mistake, not the caller's.
      await expect(createFile(catalog)).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
    });

    it('adds what is missing under its default name, also where the setting gives that', async () => {
      const collection = await addCollection([{ name: 'title', type: 'text' }]);
      const catalog = open({ collection, fields: { name: 'title', contentType: 'content_type' } });
      expect(await catalog.migrate()).toContain(`added field ${collection}.content_type`);
    });

    it('tells no legacy link of a hidden field that is renamed while it runs', async () => {
      const collection = await addCollection([{ name: 'url', type: 'url' }]);
      const options = { collection, hiddenFields: ['url'] };
      await open(options).migrate();
      const { fields } = await admin().collections.getOne(collection);
      const file = await createFile(open(options));
      await admin().collection(collection).update(file.id, { url: 'https://bucket.example.com/x' });
      await admin().collections.update(collection, {
        fields: fields.map((field: { name: string }) =>
          field.name === 'url' ? { ...field, name: 'link' } : field,
        ),
      });
      await expect(getFile(open(options), file.id)).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
    });
  });

  describe('fields renamed while the service did not run', () => {
    /** Like the dashboard, which also renames in indexes. */
    const rename = async (collection: string, from: string, to: string) => {
      const { fields, indexes } = await admin().collections.getOne(collection);
      const renamed = fields.map((field: { name: string }) =>
        field.name === from ? { ...field, name: to } : field,
      );
      await admin().collections.update(collection, {
        fields: renamed,
        indexes: indexes.map((index: string) => index.replaceAll(`\`${from}\``, `\`${to}\``)),
      });
    };

    it.each(['owner', 'sha256', 'delete_time', 'request_key', 'content_type', 'created'])(
      'is no new and empty field: %s',
      async (name) => {
        const collection = await addCollection([{ name: 'width', type: 'number' }]);
        const options = { collection };
        await open(options).migrate();
        const file = await createFile(open(options), { owner: 'ann', attributes: { width: 1 } });
        await rename(collection, name, 'other');
        const setting = `ASSET_POCKETBASE_FIELDS='{"${name === 'created' ? 'create_time' : name}":"other"}'`;
        await expectMistake(options, `field ${collection}.${name} is gone`, 'renamed to "other"', setting);
        const fields = { [name === 'created' ? 'create_time' : name]: 'other' };
        const followed = open({ collection, fields });
        expect(await followed.migrate()).toEqual([]);
        expect((await getFile(followed, file.id)).owner).toBe('ann');
        await rename(collection, 'other', name);
        const again = open(options);
        expect(await again.migrate()).toEqual([]);
        expect((await getFile(again, file.id)).owner).toBe('ann');
      },
    );

    it('is no new and empty collection', async () => {
      await open({}).migrate();
      await admin().collections.update('files', { name: 'documents' });
      await expectMistake({}, 'collection files is gone', 'ASSET_POCKETBASE_COLLECTION=documents');
      expect(await open({ collection: 'documents' }).migrate()).toEqual([]);
      await admin().collections.update('documents', { name: 'files' });
      expect(await open({}).migrate()).toEqual([]);
      await admin().collections.delete('files');
      // What was really removed may be created again.
      expect(await open({}).migrate()).toContain('created collection files');
    });

    it('is not reported where the service was never used', async () => {
      const collection = await addCollection([{ name: 'name', type: 'text' }]);
      await rename(collection, 'name', 'title');
      expect(await open({ collection }).migrate()).toContain(`added field ${collection}.name`);
    });
  });

  describe('a preview', () => {
    it('lists everything that a migration then does, and changes nothing', async () => {
      const collection = await addCollection(
        [
          { name: 'url', type: 'url', required: true },
          { name: 'sha256', type: 'text' },
        ],
        { indexes: ['create index idx_product on media_x (url)'] },
      );
      const catalog = open({ collection, hiddenFields: ['url'] });
      await admin().settings.update({ batch: { enabled: false, maxRequests: 5, timeout: 3 } });
      await admin().collections.delete('asset_leases');
      const before = await everything();
      const planned = await catalog.planMigration();
      expect(await everything()).toEqual(before);

      expect(planned).toEqual(
        expect.arrayContaining([
          `would add field ${collection}.content_type: text, at most 255`,
          `would add field ${collection}.request_key: text, at most 64, hidden`,
          `would make ${collection}.url optional: new files have no location`,
          expect.stringMatching(`^would add index idx_asset_${collection}_owner: create index .*owner`),
          expect.stringMatching(
            '^would create collection asset_leases: .*holder.*create unique index .*for superusers alone$',
          ),
          expect.stringMatching('^would enable batch requests in the settings'),
          expect.stringMatching(
            '^would raise the limit of batch requests in the settings: .* 33 .*before 5$',
          ),
        ]),
      );
      expect(planned.join()).not.toContain('sha256');
      const did = await catalog.migrate();
      const past = { add: 'added', create: 'created', enable: 'enabled', make: 'made', raise: 'raised' };
      const asDone = (line: string) =>
        line
          .replace(/^would (\w+)/, (_, verb: keyof typeof past) => past[verb])
          .replace(/^((?:added|created|enabled|raised)[^:]*):.*/, '$1');
      expect(planned.map(asDone)).toEqual(did);
      expect(await catalog.planMigration()).toEqual([]);
      const { batch } = await admin().settings.getAll();
      expect(batch).toMatchObject({ enabled: true, maxRequests: 33, timeout: 3 });
    });
  });

  it('is inspected while the service runs: new findings are logged once, and a mistake makes it count as down', async () => {
    const collection = await addCollection([{ name: 'url', type: 'url' }]);
    const lines: { level: number; msg: string }[] = [];
    const log = openLog('warn', {
      write: (line) => void lines.push(JSON.parse(line) as (typeof lines)[0]),
    });
    const catalog = open({ collection, hiddenFields: ['url'] });
    const dependency = catalogDependency(
      catalog,
      { policies: new UsagePolicies(), migrates: true, inspectEveryMs: 0 },
      log,
    );
    const check = () => dependency.check({ signal: AbortSignal.timeout(5_000) });
    await check();
    expect(lines).toEqual([]);

    await admin().collections.update(collection, { updateRule: '' });
    await check();
    await check();
    expect(lines).toEqual([
      expect.objectContaining({ level: 50, msg: expect.stringContaining('updateRule') as unknown }),
    ]);

    const { fields } = await admin().collections.getOne(collection);
    const renamed = fields.map((field: { name: string }) =>
      field.name === 'url' ? { ...field, name: 'link' } : field,
    );
    await admin().collections.update(collection, { fields: renamed });
    await expect(check()).rejects.toThrow('ASSET_POCKETBASE_HIDDEN_FIELDS');
    expect(lines[1]).toMatchObject({ level: 50, msg: expect.stringContaining('"url"') as unknown });
    await admin().collections.update(collection, { fields, updateRule: null });
    await check();
    expect(lines).toHaveLength(2);
  });

  it('tells of relations and usages that only the policies name', async () => {
    const { collectionId } = await addTargets(admin(), 'accountants');
    const collection = await addCollection([
      { name: 'accountants', type: 'relation', collectionId, maxSelect: 5 },
      { name: 'usage', type: 'select', values: ['avatar', 'invoice'], maxSelect: 1 },
    ]);
    const catalog = open({ collection });
    const known = { relations: ['accountants'], usages: ['avatar'] };
    expect(await catalog.inspect(known)).toEqual([]);
    const unknown = { relations: ['acountants', 'usage'], usages: ['avatar', 'avatr'] };
    const [relation, field, usage, ...more] = texts(await catalog.inspect(unknown), 'error');
    expect(relation).toMatch(/^ASSET_POLICY_FILE: .*"acountants".* Did you mean "accountants"\?/);
    expect(field).toMatch(/^ASSET_POLICY_FILE: .*"usage"/);
    expect(usage).toContain(`ASSET_POLICY_FILE: the usage "avatr" is no choice of ${collection}.usage`);
    expect(more).toEqual([]);
  });
});
