import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type PocketBase from 'pocketbase';
import { catalogDependency } from '../../src/app/catalog.ts';
import type { CatalogFinding, FileCatalog } from '../../src/catalog/file-catalog.ts';
import {
  openPocketBaseCatalog,
  type PocketBaseOptions,
} from '../../src/catalog/pocketbase/pocketbase-catalog.ts';
import { UsagePolicies } from '../../src/files/policy/usage-policies.ts';
import { openLog } from '../../src/telemetry/log.ts';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { addTargets, adminOf } from './file-catalog/pocketbase-admin.ts';
import { createFile, getFile } from './file-catalog/subject.ts';

/** Policy names of a service without usage policies. */
const NO_NAMES = { relations: [], usages: [] };

type Options = Omit<PocketBaseOptions, 'url' | 'email' | 'password'>;

/** A PocketBase and settings as in practice. */
describe('file catalog: pocketbase and settings that do not fit', () => {
  let server: PocketBaseServer;
  let admin: PocketBase;
  let count = 0;
  const opened: FileCatalog[] = [];

  beforeAll(async () => {
    server = await startPocketBase();
    admin = await adminOf(server);
  });

  afterAll(async () => {
    await Promise.all(opened.map((catalog) => catalog.close()));
    await server?.dispose();
  });

  function open(options: Options): FileCatalog {
    const { url, email, password } = server;
    const catalog = openPocketBaseCatalog({ url, email, password, ...options });
    opened.push(catalog);
    return catalog;
  }

  /** Adds a collection and returns its name. */
  async function addCollection(fields: object[], more: object = {}): Promise<string> {
    const name = `media_${++count}`;
    await admin.collections.create({ name, type: 'base', fields, ...more });
    return name;
  }

  /** Everything that a migration could change. */
  async function everything(): Promise<unknown> {
    const { updated: _, ...settings } = await admin.settings.getAll();
    return { collections: await admin.collections.getFullList({ sort: 'id' }), settings };
  }

  const texts = (findings: readonly CatalogFinding[], level: CatalogFinding['level']) =>
    findings.filter((finding) => finding.level === level).map(({ text }) => text);

  /**
   * Checks that the catalog does not work, that every way to check reports it, and that nothing changed. Returns
   * the report.
   */
  async function expectMistake(options: Options, ...told: string[]): Promise<FileCatalog> {
    const before = await everything();
    const catalog = open(options);
    const mistakes = texts(await catalog.inspect(NO_NAMES), 'mistake');
    expect(mistakes).toHaveLength(1);
    for (const part of told) expect(mistakes[0]).toContain(part);
    for (const work of [() => catalog.migrate(), () => catalog.planMigration()]) {
      await expect(work()).rejects.toMatchObject({
        reason: 'CATALOG_REFUSED',
        message: expect.stringContaining(mistakes[0]!) as unknown,
      });
    }
    expect(await everything()).toEqual(before);
    return catalog;
  }

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
      await admin.collections.create({ name: 'a_view', type: 'view', viewQuery: 'select id from media_1' });
      for (const [collection, why] of [
        ['a_view', 'type view'],
        ['users', 'type auth'],
        ['_mfas', 'belongs to PocketBase'],
        ['asset_uploads', 'its own state'],
      ] as const) {
        await expectMistake({ collection }, 'ASSET_POCKETBASE_COLLECTION', `"${collection}"`, why);
      }
      const { id } = await admin.collections.create({ name: 'asset_leases', type: 'base' });
      await expectMistake({}, '"asset_leases"', 'Rename it');
      await admin.collections.delete(id);
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
      const { fields } = await admin.collections.getOne(collection);
      const file = await createFile(open(options));
      await admin.collection(collection).update(file.id, { url: 'https://bucket.example.com/x' });
      await admin.collections.update(collection, {
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
      const { fields, indexes } = await admin.collections.getOne(collection);
      const renamed = fields.map((field: { name: string }) =>
        field.name === from ? { ...field, name: to } : field,
      );
      await admin.collections.update(collection, {
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
        await rename(collection, 'other', name);
        const again = open(options);
        expect(await again.migrate()).toEqual([]);
        expect((await getFile(again, file.id)).owner).toBe('ann');
      },
    );

    it('is no new and empty collection', async () => {
      await open({}).migrate();
      await admin.collections.update('files', { name: 'documents' });
      await expectMistake({}, 'collection files is gone', 'ASSET_POCKETBASE_COLLECTION=documents');
      await admin.collections.update('documents', { name: 'files' });
      expect(await open({}).migrate()).toEqual([]);
      await admin.collections.delete('files');
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
      await admin.settings.update({ batch: { enabled: false, maxRequests: 5, timeout: 3 } });
      await admin.collections.delete('asset_leases');
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
      const { batch } = await admin.settings.getAll();
      expect(batch).toMatchObject({ enabled: true, maxRequests: 33, timeout: 3 });
    });
  });

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
      expect(await admin.collection(collection).getOne(file.id)).toMatchObject(defaults);
      expect((await mended.update(file.id, file.revision, { name: 'b' })).name).toBe('b');
    });

    it('reports a default whose record does not exist', async () => {
      const { collectionId, ids } = await addTargets(admin, 'folders');
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
      expect(await admin.collection(collection).getOne(file.id)).toMatchObject({ folder: ids[0] });
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
      expect(await admin.collection(collection).getOne(id)).toMatchObject({ state: 'new', extra: '17' });
      expect((await createFile(catalog, { attributes: { state: 'old' } })).attributes).toEqual({
        state: 'old',
      });
    });

    it('tells of a unique index over what every new record leaves empty', async () => {
      const unique = (columns: string, where = '') => [
        `create unique index idx_u${++count} on media_x (${columns})${where}`,
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
      const { fields } = await admin.collections.getOne(collection);
      const more = { name: 'secure_name', type: 'text', hidden: true, required: true };
      await admin.collections.update(collection, { fields: [...fields, more] });
      const later = open({ collection });
      await expect(createFile(later)).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
      expect((await getFile(later, file.id)).id).toBe(file.id);
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

    await admin.collections.update(collection, { updateRule: '' });
    await check();
    await check();
    expect(lines).toEqual([
      expect.objectContaining({ level: 50, msg: expect.stringContaining('updateRule') as unknown }),
    ]);

    const { fields } = await admin.collections.getOne(collection);
    const renamed = fields.map((field: { name: string }) =>
      field.name === 'url' ? { ...field, name: 'link' } : field,
    );
    await admin.collections.update(collection, { fields: renamed });
    await expect(check()).rejects.toThrow('ASSET_POCKETBASE_HIDDEN_FIELDS');
    expect(lines[1]).toMatchObject({ level: 50, msg: expect.stringContaining('"url"') as unknown });
    await admin.collections.update(collection, { fields, updateRule: null });
    await check();
    expect(lines).toHaveLength(2);
  });

  it('tells of relations and usages that only the policies name', async () => {
    const { collectionId } = await addTargets(admin, 'accountants');
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
      await admin.collections.update('asset_uploads', { listRule: '', updateRule: anyone });
      const { collectionId } = await addTargets(admin, 'albums');
      await admin.collections.update('albums', { deleteRule: anyone });
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
      await admin.collections.update('albums', { deleteRule: null });
      await admin.collections.update('asset_uploads', { listRule: null, updateRule: null });
      expect(texts(await catalog.inspect(NO_NAMES), 'error')).toEqual([]);
    });
  });
});
