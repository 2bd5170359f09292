import { afterAll, beforeAll, expect } from '@jest/globals';
import type PocketBase from 'pocketbase';
import type { CatalogFinding, FileCatalog } from '../../../src/catalog/file-catalog.ts';
import { openPocketBaseCatalog } from '../../../src/catalog/pocketbase/pocketbase-catalog.ts';
import type { PocketBaseOptions } from '../../../src/catalog/pocketbase/setup.ts';
import { startPocketBase, type PocketBaseServer } from '../../support/pocketbase.ts';
import { adminOf } from './pocketbase-admin.ts';

/** Policy names of a service without usage policies. */
export const NO_NAMES = { relations: [], usages: [] };

/** Settings of a catalog on the PocketBase of the suite. */
export type Options = Omit<PocketBaseOptions, 'url' | 'email' | 'password'>;

/** The texts of the findings of a level. */
export const texts = (findings: readonly CatalogFinding[], level: CatalogFinding['level']) =>
  findings.filter((finding) => finding.level === level).map(({ text }) => text);

/** Starts one PocketBase for the tests of a suite; returns what adds collections to it and opens catalogs on it. */
export function pocketBaseSetups() {
  let server: PocketBaseServer;
  let client: PocketBase;
  let count = 0;
  const opened: FileCatalog[] = [];

  beforeAll(async () => {
    server = await startPocketBase();
    client = await adminOf(server);
  });

  afterAll(async () => {
    await Promise.all(opened.map((catalog) => catalog.close()));
    await server?.dispose();
  });

  const admin = () => client;

  function open(options: Options): FileCatalog {
    const { url, email, password } = server;
    const catalog = openPocketBaseCatalog({ url, email, password, ...options });
    opened.push(catalog);
    return catalog;
  }

  /** Adds a collection and returns its name. */
  async function addCollection(fields: object[], more: object = {}): Promise<string> {
    const name = `media_${++count}`;
    await admin().collections.create({ name, type: 'base', fields, ...more });
    return name;
  }

  /** Everything that a migration could change. */
  async function everything(): Promise<unknown> {
    const { updated: _, ...settings } = await admin().settings.getAll();
    return { collections: await admin().collections.getFullList({ sort: 'id' }), settings };
  }

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

  return { admin, open, addCollection, everything, expectMistake };
}
