import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type PocketBase from 'pocketbase';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pino from 'pino';
import { catalogDependency } from '../../src/app/catalog.ts';
import { openPocketBaseCatalog } from '../../src/catalog/pocketbase/pocketbase-catalog.ts';
import { UsagePolicies } from '../../src/files/policy/usage-policies.ts';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { adminOf } from './file-catalog/pocketbase-admin.ts';
import { createFile, newId } from './file-catalog/subject.ts';

type Field = Readonly<Record<string, unknown>> & { readonly name: string };

describe('sums of owners in pocketbase', () => {
  let dir: string;
  let server: PocketBaseServer;
  let admin: PocketBase;
  const catalogs: ReturnType<typeof openPocketBaseCatalog>[] = [];

  /** Fields that are words of SQL, a relation and a select among them. */
  const fields = { owner: 'group', usage: 'order', sizeBytes: 'values' };

  function open(hasQuotas: boolean | (() => boolean), collection = 'media') {
    const quotas = typeof hasQuotas === 'function' ? hasQuotas : () => hasQuotas;
    const catalog = openPocketBaseCatalog({ ...server, collection, fields, hasQuotas: quotas });
    catalogs.push(catalog);
    return catalog;
  }

  /** Adds a collection with ten owners and two usages; returns ids of owners. */
  async function addMedia(name: string): Promise<string[]> {
    const people = await admin.collections.create({ name: `people_of_${name}`, type: 'base' });
    const owner = { name: 'group', type: 'relation', collectionId: people.id, maxSelect: 1 };
    const usage = { name: 'order', type: 'select', values: ['photo', 'note'], maxSelect: 1 };
    const extra = { name: 'extra', type: 'text' };
    const size = { name: 'values', type: 'number' };
    await admin.collections.create({ name, type: 'base', fields: [owner, usage, size, extra] });
    return Promise.all(
      Array.from({ length: 10 }, async () => (await admin.collection(people.name).create({})).id),
    );
  }

  const change = async (
    collection: string,
    edit: (fields: Field[]) => object[],
    editIndexes: (indexes: string[]) => string[] = (indexes) => indexes,
  ) => {
    const { id, fields: all, indexes } = await admin.collections.getOne(collection);
    const body = { fields: edit(all), indexes: editIndexes(indexes) };
    await admin.collections.update(id, body);
  };
  // Indexes change too, as in the dashboard.
  const rename = (collection: string, from: string, to: string) =>
    change(
      collection,
      (all) => all.map((one) => (one.name === from ? { ...one, name: to } : one)),
      (indexes) => indexes.map((index) => index.replaceAll(`\`${from}\``, `\`${to}\``)),
    );
  const remove = (collection: string, lost: string) =>
    change(
      collection,
      (all) => all.filter(({ name }) => name !== lost),
      (indexes) => indexes.filter((index) => !index.includes(`\`${lost}\``)),
    );
  const findView = () => admin.collections.getOne('asset_totals').catch(() => undefined);

  beforeAll(async () => {
    dir = await makeDir('pocketbase-totals');
    server = await startPocketBase({ dir });
    admin = await adminOf(server);
  });

  afterAll(async () => {
    for (const catalog of catalogs) await catalog.close();
    await server?.dispose();
    await removeDir(dir);
  });

  it('come from pages until a migration adds a view, which a preview shows', async () => {
    const [ann, bob] = (await addMedia('media')) as [string, string];
    const plain = open(false);
    expect((await plain.migrate()).join()).not.toMatch(/asset_totals|group_order_values/);
    await createFile(plain, { owner: ann, usage: 'photo', sizeBytes: 5 });
    await createFile(plain, { owner: ann, usage: 'note', sizeBytes: 7 });
    await createFile(plain, { owner: bob, usage: 'note', sizeBytes: 100 });
    expect(await findView()).toBeUndefined();

    const quotas = open(true);
    const sums = async () => [
      await quotas.totalsOf(ann, undefined),
      await quotas.totalsOf(ann, 'photo'),
      await quotas.totalsOf(bob, 'photo'),
    ];
    const expected = [
      { files: 2, bytes: 12 },
      { files: 1, bytes: 5 },
      { files: 0, bytes: 0 },
    ];
    expect(await sums()).toEqual(expected);
    await quotas.check();
    const planned = await quotas.planMigration();
    expect(planned).toEqual([
      expect.stringMatching(/^would add index idx_asset_media_group_order_values: create index /),
      expect.stringMatching(/^would create view asset_totals: select .* for superusers alone$/),
    ]);
    expect(await quotas.migrate()).toEqual([
      'added index idx_asset_media_group_order_values',
      'created view asset_totals',
    ]);
    expect(await quotas.planMigration()).toEqual([]);
    expect(await sums()).toEqual(expected);
    await createFile(plain, { owner: ann, usage: 'photo', sizeBytes: 1 });
    expect(await quotas.totalsOf(ann, 'photo')).toEqual({ files: 2, bytes: 6 });
    // Also a service whose policies have no quota keeps it up to date.
    expect(await open(false).planMigration()).toEqual([]);
  });

  it('are read from the entries of the owner in an index', () => {
    const database = new DatabaseSync(join(dir, 'pb_data', 'data.db'), { readOnly: true });
    try {
      for (const condition of ['owner = ?', 'owner = ? and usage = ?']) {
        const statement = `explain query plan select * from asset_totals where ${condition} order by usage limit 1000`;
        const plan = database.prepare(statement).all(...condition.split('and').map(() => 'x'));
        const text = plan.map((row) => String(row['detail'])).join('\n');
        const used = condition === 'owner = ?' ? 'group=?' : 'group=? AND order=?';
        expect(text).toContain(`SEARCH f USING COVERING INDEX idx_asset_media_group_order_values (${used})`);
        expect(text).not.toMatch(/SCAN f\b/);
      }
    } finally {
      database.close();
    }
  });

  it('are for superusers alone, and an open rule is reported', async () => {
    const url = `${server.url}/api/collections/asset_totals/records`;
    expect((await fetch(url)).status).toBe(403);
    await admin.collections.update('asset_totals', { listRule: '' });
    const findings = await open(true).inspect({ relations: [], usages: [] });
    expect(findings.map(({ text }) => text).join()).toMatch(
      /listRule of the collection "asset_totals" is open/,
    );
    await admin.collections.update('asset_totals', { listRule: null });
  });

  it('let the product change the collection, but not lose what is summed up', async () => {
    await change('media', (all) => [...all, { name: 'added', type: 'text' }]);
    await remove('media', 'extra');
    await rename('media', 'added', 'renamed');
    await change('media', (all) =>
      all.map((one) => (one.name === 'order' ? { ...one, values: ['photo', 'note', 'new'] } : one)),
    );
    for (const name of ['group', 'order', 'values']) {
      await rename('media', name, 'elsewhere');
      await change('media', (all) => [...all, { name: `beside_${name}`, type: 'text' }]);
      await rename('media', 'elsewhere', name);
      const lost = change('media', (all) => all.filter((one) => one.name !== name));
      await expect(lost).rejects.toMatchObject({
        message: expect.stringContaining('asset_totals') as unknown,
      });
    }
    await admin.collections.update('media', { name: 'documents' });
    const renamed = open(true, 'documents');
    expect(await renamed.migrate()).toEqual(['changed view asset_totals']);
    await admin.collections.update('documents', { name: 'media' });
    expect(await open(true).migrate()).toEqual(['changed view asset_totals']);
  });

  it('come from pages again while the view is gone or about other files', async () => {
    const [ann] = (await addMedia('others')) as [string];
    const others = open(true, 'others');
    await others.migrate();
    await createFile(others, { owner: ann, usage: 'note', sizeBytes: 9 });
    expect(await others.totalsOf(ann, undefined)).toEqual({ files: 1, bytes: 9 });
    await open(true).migrate();
    expect((await findView())?.['viewQuery']).toContain('`media`');
    // It still believes that the view is its own.
    const fresh = open(true, 'others');
    expect(await fresh.totalsOf(ann, undefined)).toEqual({ files: 1, bytes: 9 });
    await fresh.migrate();
    expect(await fresh.totalsOf(ann, 'note')).toEqual({ files: 1, bytes: 9 });
    await admin.collections.delete('asset_totals');
    expect(await fresh.totalsOf(ann, 'note')).toEqual({ files: 1, bytes: 9 });
    await fresh.check();
    await remove('others', 'group');
    await admin.collections.delete('others');
  });

  it('refuse to take a collection of that name that is not the view', async () => {
    const { id } = await admin.collections.create({ name: 'asset_totals', type: 'base' });
    const texts = async (hasQuotas: boolean) => {
      const findings = await open(hasQuotas).inspect({ relations: [], usages: [] });
      return findings.filter(({ level }) => level === 'mistake').map(({ text }) => text);
    };
    expect(await texts(false)).toEqual([]);
    expect(await texts(true)).toEqual([expect.stringContaining('"asset_totals" is not the service\'s')]);
    await admin.collections.delete(id);
  });

  it('get the view as soon as a policy file in use has a quota', async () => {
    const policies = new UsagePolicies();
    const catalog = open(() => policies.hasQuotas);
    const dependency = catalogDependency(catalog, { policies, migrates: true }, pino({ level: 'silent' }));
    const check = () => dependency.check({ signal: AbortSignal.timeout(10_000) });
    await check();
    expect(await findView()).toBeUndefined();
    policies.replace({ usages: { note: { quota: { maxFilesPerOwner: 3 } } }, default: {} });
    await check();
    expect((await findView())?.['viewQuery']).toContain('`media`');
    expect(await catalog.totalsOf(newId(), undefined)).toEqual({ files: 0, bytes: 0 });
  });
});
