import { beforeAll, describe, expect, it } from '@jest/globals';
import { setImmediate } from 'node:timers/promises';
import type { FileCatalog, FileFilter, FileRecord, ListCursor } from '../../../src/catalog/file-catalog.ts';
import { createFile, newId, plain, type CatalogSubject } from './subject.ts';

/** Lists: filters, order and pages. */
export function listTests(catalog: () => FileCatalog, subject: () => CatalogSubject): void {
  async function walk(filter: FileFilter, pageSize: number, showDeleted = false): Promise<FileRecord[]> {
    const files: FileRecord[] = [];
    let after: ListCursor | undefined;
    for (;;) {
      const page = await catalog().list({ filter, showDeleted, limit: pageSize, ...(after && { after }) });
      files.push(...page);
      after = page.at(-1);
      if (page.length < pageSize) return files;
    }
  }

  const ids = (files: readonly FileRecord[]) => files.map((file) => file.id);

  describe('list', () => {
    // Separate owners and usages exclude the files of other tests.
    const mine = { owner: `owner ${newId()}`, usage: `usage ${newId()}` };
    const other = { owner: `owner ${newId()}`, usage: `usage ${newId()}` };
    const files: FileRecord[] = [];

    beforeAll(async () => {
      const { project, tags } = subject().targets;
      const kinds = [
        { ...mine, contentType: 'image/png', relations: { project: [project[5]!] } },
        { ...mine, contentType: 'image/jpeg; q=1', relations: { tags: [tags[5]!, tags[6]!] } },
        { ...mine, contentType: 'IMAGE/PNG', relations: { project: [project[6]!], tags: [tags[6]!] } },
        { ...mine, usage: other.usage, contentType: 'imagery/png' },
        {
          ...mine,
          owner: other.owner,
          contentType: 'image/png ; x=y',
          relations: { project: [project[5]!] },
        },
        { ...mine, contentType: 'text/plain', relations: { tags: [tags[5]!] } },
        { ...mine, contentType: 'image/pngx' },
        { ...other, contentType: 'image/svg+xml', relations: { project: [project[5]!], tags: [tags[5]!] } },
      ];
      for (const kind of kinds) {
        files.push(await createFile(catalog(), kind));
        // Times must differ for the tests of time.
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      const deleted = await createFile(catalog(), { ...mine, contentType: 'image/png' });
      files.push(await catalog().update(deleted.id, deleted.revision, { deleteTime: new Date() }));
    });

    /** Whether a file matches a filter, computed from the contract and not from any catalog. */
    function meets(file: FileRecord, filter: FileFilter, showDeleted: boolean): boolean {
      const type = file.contentType.split(';')[0]!.trim().toLowerCase();
      const wanted = filter.contentType;
      return (
        (showDeleted || file.deleteTime === undefined) &&
        (filter.owner === undefined || file.owner === filter.owner) &&
        (filter.usage === undefined || file.usage === filter.usage) &&
        (!filter.relation || (file.relations[filter.relation.name] ?? []).includes(filter.relation.id)) &&
        (!wanted || (wanted.endsWith('/*') ? type.startsWith(wanted.slice(0, -1)) : type === wanted)) &&
        (!filter.createTimeFrom || file.createTime >= filter.createTimeFrom) &&
        (!filter.createTimeTo || file.createTime < filter.createTimeTo)
      );
    }

    it('meets every filter, alone and combined with every other', async () => {
      const { project, tags } = subject().targets;
      const choices: FileFilter[][] = [
        [{}, { owner: mine.owner }],
        [{}, { usage: mine.usage }],
        [
          {},
          { relation: { name: 'project', id: project[5]! } },
          { relation: { name: 'tags', id: tags[5]! } },
        ],
        [{}, { contentType: 'image/png' }, { contentType: 'image/*' }],
        [
          {},
          { createTimeFrom: files[2]!.createTime },
          { createTimeTo: files[5]!.createTime },
          { createTimeFrom: files[1]!.createTime, createTimeTo: files[6]!.createTime },
        ],
      ];
      const combined = choices.reduce<FileFilter[]>(
        (done, next) => done.flatMap((filter) => next.map((part) => ({ ...filter, ...part }))),
        [{}],
      );
      expect(combined).toHaveLength(144);
      const known = new Set(ids(files));
      await Promise.all(
        combined.map(async (filter, i) => {
          const showDeleted = i % 2 === 0;
          const found = (await walk(filter, 400, showDeleted)).filter((file) => known.has(file.id));
          const expected = files.filter((file) => meets(file, filter, showDeleted)).reverse();
          expect({ filter, found: ids(found) }).toEqual({ filter, found: ids(expected) });
        }),
      );
    });

    it('compares with the first and the last time of a Timestamp, and later', async () => {
      const first = new Date('0001-01-01T00:00:00Z');
      const last = new Date('9999-12-31T23:59:59.999Z');
      // The last nanosecond in whole milliseconds.
      const later = new Date('+010000-01-01T00:00:00Z');
      for (const [filter, count] of [
        [{ createTimeFrom: first, createTimeTo: last }, 1],
        [{ createTimeFrom: first, createTimeTo: later }, 1],
        [{ createTimeTo: first }, 0],
        [{ createTimeFrom: last }, 0],
        [{ createTimeFrom: later }, 0],
      ] as const) {
        const page = await catalog().list({ filter, showDeleted: true, limit: 1 });
        expect([filter, page.length]).toEqual([filter, count]);
      }
    });

    it('gives whole records, newest first', async () => {
      const found = await walk({ owner: mine.owner }, 100, true);
      const expected = files.filter((file) => file.owner === mine.owner).reverse();
      expect(found.map(plain)).toEqual(expected.map(plain));
    });

    it('cuts pages of any size without a gap or a repetition', async () => {
      const whole = ids(await walk({ owner: mine.owner }, 100, true));
      for (const size of [1, 2, 3, 7, 8])
        expect(ids(await walk({ owner: mine.owner }, size, true))).toEqual(whole);
      const filter = { relation: { name: 'tags', id: subject().targets.tags[5]! } };
      expect(ids(await walk(filter, 1))).toEqual(ids(await walk(filter, 100)));
    });

    it('leaves deleted files out unless they are asked for', async () => {
      const deleted = files.at(-1)!.id;
      expect(ids(await walk({ owner: mine.owner }, 100))).not.toContain(deleted);
      expect(ids(await walk({ owner: mine.owner }, 100, true))).toContain(deleted);
    });

    it('finds nothing by an id that looks like a query', async () => {
      for (const text of ['%', '_', '" || "a" = "a', `' or '1'='1`, '{:owner}', '*']) {
        for (const filter of [
          { owner: text },
          { usage: text },
          { contentType: text },
          { contentType: `${text}/*` },
        ]) {
          expect(await catalog().list({ filter, showDeleted: true, limit: 5 })).toEqual([]);
        }
        const relation = { name: 'project', id: text };
        expect(await catalog().list({ filter: { relation }, showDeleted: true, limit: 5 })).toEqual([]);
      }
    });

    it('refuses a relation that the catalog has not, where it can tell', async () => {
      const filter = { relation: { name: 'nothing', id: 'nowhere' } };
      const list = catalog().list({ filter, showDeleted: false, limit: 5 });
      if (subject().exceptions.hasNoSchema !== undefined) expect(await list).toEqual([]);
      else
        await expect(list).rejects.toMatchObject({
          reason: 'RELATION_UNKNOWN',
          metadata: { relation: 'nothing' },
        });
    });

    it('finds a file of an owner by its relation after the owner has changed', async () => {
      const relation = { name: 'project', id: subject().targets.project[6]! };
      const [before, after] = [`owner ${newId()}`, `owner ${newId()}`];
      const file = await createFile(catalog(), { owner: before, relations: { project: [relation.id] } });
      const of = async (owner: string) => ids(await walk({ owner, relation }, 5));
      expect([await of(before), await of(after)]).toEqual([[file.id], []]);
      const changed = await catalog().update(file.id, file.revision, { owner: after });
      expect([await of(before), await of(after)]).toEqual([[], [file.id]]);
      await catalog().update(file.id, changed.revision, { relations: { project: [relation.id] } });
      expect(await of(after)).toEqual([file.id]);
    });

    it('is stable while 200 files are added and removed', async () => {
      const owner = `owner ${newId()}`;
      const lasting: string[] = [];
      const passing: FileRecord[] = [];
      for (let i = 0; i < 30; i++) {
        const [stays, goes] = await Promise.all([
          createFile(catalog(), { owner }),
          createFile(catalog(), { owner }),
        ]);
        lasting.push(stays.id);
        passing.push(goes);
      }
      let writing = true;
      const writer = (async () => {
        const add = async () => void (await createFile(catalog(), { owner }));
        for (let i = 0; i < 34; i++) {
          const gone = passing[i % passing.length]!;
          await Promise.all([
            add(),
            add(),
            add(),
            add(),
            i < 30 ? catalog().purge(gone.id, gone.revision) : add(),
          ]);
        }
        writing = false;
      })();
      let walks = 0;
      do {
        const seen = ids(await walk({ owner }, 7));
        expect(new Set(seen).size).toBe(seen.length);
        expect(seen).toEqual(expect.arrayContaining(lasting));
        walks++;
        // An in-process catalog answers at once: without a pause the writer would never run.
        await setImmediate();
      } while (writing);
      await writer;
      expect(walks).toBeGreaterThan(0);
      expect(ids(await walk({ owner }, 50))).toHaveLength(30 + 34 * 4 + 4);
    });

    it('orders files of one moment by id', async () => {
      const owner = `owner ${newId()}`;
      await Promise.all(Array.from({ length: 25 }, () => createFile(catalog(), { owner })));
      const found = await walk({ owner }, 100);
      const sorted = [...found].sort(
        (a, b) => b.createTime.getTime() - a.createTime.getTime() || (a.id < b.id ? 1 : -1),
      );
      expect(ids(found)).toEqual(ids(sorted));
      expect(ids(await walk({ owner }, 2))).toEqual(ids(sorted));
    });
  });
}
