import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Kysely, type CompiledQuery } from 'kysely';
import { SqlCatalog } from '../../../src/catalog/sql/sql-catalog.ts';
import type { FileFilter } from '../../../src/catalog/file-catalog.ts';
import type { SqlBackend } from '../../../src/catalog/sql/backend.ts';
import { migrateSql } from '../../../src/catalog/sql/migrate.ts';
import { contentTypeColumns, relationRows } from '../../../src/catalog/sql/rows.ts';
import type { Tables } from '../../../src/catalog/sql/tables.ts';
import { newId } from './subject.ts';

/** A database to ask for its plans. */
export interface ExplainSubject {
  readonly backend: SqlBackend;
  /** Runs a statement on a connection of its own. */
  execute(statement: string, values: readonly unknown[]): Promise<readonly object[]>;
  /** What stands before a query to have its plan. */
  readonly explain: string;
  /** True for a plan that reads a whole table or sorts. */
  isBad(plan: string): boolean;
  dispose(): Promise<void>;
}

const FILES = 6_000;

/** Indexes of filters together with an owner. */
const BY_OWNER: Readonly<Record<string, RegExp>> = {
  usage: /files_by_owner_and_usage/,
  relation: /file_relations_by_target_and_owner/,
  contentType: /files_by_owner_and_media_(type|kind)/,
  createTimeFrom: /files_by_owner\b/,
};

/** Every query that grows with the number of files is answered from an index, in its order. */
export function explainTests(kind: string, start: () => Promise<ExplainSubject>): void {
  describe(`plans of ${kind}`, () => {
    let subject: ExplainSubject;
    let db: Kysely<Tables>;
    let catalog: SqlCatalog;
    const sent: CompiledQuery[] = [];

    beforeAll(async () => {
      subject = await start();
      await migrateSql(subject.backend);
      db = new Kysely<Tables>({ dialect: subject.backend.openDialect() });
      const files = Array.from({ length: FILES }, (_, i) => ({
        ...{
          id: newId(),
          name: 'x',
          sha256: null,
          crc32c: null,
          created_by: '',
          created_for: '',
          attributes: '{}',
          size_bytes: 1,
        },
        ...contentTypeColumns(i % 30 === 0 ? 'image/png' : `kind-${i % 30}/type-${i % 60}`),
        ...{ owner: `owner ${i % 100}`, usage: `usage ${i % 20}` },
        ...{ create_time: i, update_time: i, revision: 1, request_key: `key ${i}` },
        ...(i % 50 === 0 ? { delete_time: i, purge_time: i } : { delete_time: null, purge_time: null }),
      }));
      const relations = files.flatMap((file, i) =>
        relationRows(file, { project: [`project ${i % 100}`], tags: [`tag ${i % 10}`] }),
      );
      const open = Array.from({ length: 1_000 }, (_, i) => ({
        ...{ id: newId(), file_ids: '[]', expire_time: i, closed: i % 100 === 0 ? 1 : 0 },
      }));
      for (let i = 0; i < FILES; i += 500) {
        await db
          .insertInto('files')
          .values(files.slice(i, i + 500))
          .execute();
        await db
          .insertInto('file_relations')
          .values(relations.slice(i * 2, i * 2 + 1_000))
          .execute();
      }
      await db.insertInto('reservations').values(open).execute();
      await subject.execute('analyze', []);
      catalog = new SqlCatalog(recording(subject.backend, sent));
    });

    afterAll(async () => {
      await catalog.close();
      await db.destroy();
      await subject.dispose();
    });

    /** The plans of every statement that the catalog sends for a call, one below the other. */
    async function plansOf(call: (catalog: SqlCatalog) => Promise<unknown>): Promise<string> {
      sent.length = 0;
      await call(catalog);
      const statements = sent.filter(({ sql }) => /^\s*(select|update|delete|with)\b/.test(sql));
      expect(statements.length).toBeGreaterThan(0);
      const plans: string[] = [];
      for (const { sql, parameters } of statements) {
        const rows = await subject.execute(`${subject.explain} ${sql}`, parameters);
        plans.push(...rows.map((row) => Object.values(row).at(-1) as string));
      }
      return plans.join('\n');
    }

    async function expectIndexed(call: (catalog: SqlCatalog) => Promise<unknown>): Promise<string> {
      const text = await plansOf(call);
      expect({ text, bad: subject.isBad(text) }).toEqual({ text, bad: false });
      return text;
    }

    const filters: Record<string, FileFilter> = {
      'no filter': {},
      owner: { owner: 'owner 7' },
      usage: { usage: 'usage 7' },
      relation: { relation: { name: 'project', id: 'project 7' } },
      'a common relation': { relation: { name: 'tags', id: 'tag 7' } },
      'content type': { contentType: 'image/png' },
      'content types of a kind': { contentType: 'image/*' },
      time: { createTimeFrom: new Date(1_000), createTimeTo: new Date(5_000) },
    };

    // Each filter with an owner is bounded by both, so that what is rare is found at once as well.
    for (const [name, filter] of Object.entries(filters)) {
      if (name !== 'owner') filters[`${name} and owner`] = { ...filter, owner: 'owner 7' };
    }

    it.each(Object.entries(filters))('a list by %s reads an index in order', async (_, filter) => {
      const after = { createTime: new Date(3_000), id: 'm' };
      for (const page of [{ showDeleted: false }, { showDeleted: true, after }]) {
        const text = await expectIndexed((one) => one.list({ filter, limit: 50, ...page }));
        for (const [key, index] of Object.entries(BY_OWNER)) {
          if (filter.owner !== undefined && key in filter) expect(text).toMatch(index);
        }
      }
    });

    it('a list of what somebody may see reads an index for each way to see it', async () => {
      const visibleTo = [
        { owner: 'owner 7', notUsages: ['usage 3'] },
        { usages: ['usage 1', 'usage 2'] },
        { relation: { name: 'project', id: 'project 7' } },
      ];
      const page = { filter: {}, showDeleted: false, limit: 50 };
      const own = await plansOf((one) => one.list({ ...page, visibleTo: visibleTo.slice(0, 1) }));
      expect(own).toContain('files_by_owner');
      // SQLite sorts the targets of one file, which has a name of its own in its plan.
      expect(own).not.toMatch(/Seq Scan|Bitmap|\bSort\b|SCAN files|TEMP B-TREE FOR (?!json_group_array)/);
      const text = await plansOf((one) => one.list({ ...page, visibleTo }));
      for (const index of ['files_by_owner', 'files_by_usage', 'file_relations_by_target']) {
        expect(text).toContain(index);
      }
      expect(text).not.toMatch(/Seq Scan|SCAN (files|file_relations)/);
    });

    it('the records that are to be purged come from an index', async () => {
      await expectIndexed((one) => one.listPurgeable(new Date(500), 100));
      const after = { time: new Date(300), id: 'm' };
      await expectIndexed((one) => one.listPurgeable(new Date(500), 100, { after }));
    });

    it.each([undefined, 'usage 7'])('what an owner has of usage %s comes from an index', async (usage) => {
      await expectIndexed((one) => one.totalsOf('owner 7', usage));
    });

    it('so do the holds that are past, and records by request key', async () => {
      await expectIndexed((one) => one.uploads.listPast(new Date(500), 100));
      const after = { time: new Date(300), id: 'm' };
      await expectIndexed((one) => one.uploads.listPast(new Date(500), 100, { after }));
      await expectIndexed((one) => one.findByRequestKey('key 7'));
    });
  });
}

/** A backend that writes down the statements that are compiled for it. */
function recording(backend: SqlBackend, sent: CompiledQuery[]): SqlBackend {
  return {
    ...backend,
    openDialect() {
      const dialect = backend.openDialect();
      return {
        createDriver: () => dialect.createDriver(),
        createAdapter: () => dialect.createAdapter(),
        createIntrospector: (db) => dialect.createIntrospector(db),
        createQueryCompiler() {
          const compiler = dialect.createQueryCompiler();
          return {
            compileQuery(...given) {
              const query = compiler.compileQuery(...given);
              sent.push(query);
              return query;
            },
          };
        },
      };
    },
  };
}
