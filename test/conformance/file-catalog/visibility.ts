import { beforeAll, describe, expect, it } from '@jest/globals';
import { setImmediate } from 'node:timers/promises';
import type {
  FileCatalog,
  FileFilter,
  FileRecord,
  ListCursor,
  VisibleFiles,
} from '../../../src/catalog/file-catalog.ts';
import { createFile, newId, type CatalogSubject } from './subject.ts';

/** Lists of what somebody may see. */
export function visibilityTests(catalog: () => FileCatalog, subject: () => CatalogSubject): void {
  async function walk(
    visibleTo: readonly VisibleFiles[],
    pageSize: number,
    filter: FileFilter = {},
    showDeleted = true,
  ): Promise<string[]> {
    const ids: string[] = [];
    let after: ListCursor | undefined;
    for (;;) {
      const query = { filter, visibleTo, showDeleted, limit: pageSize, ...(after && { after }) };
      const page = await catalog().list(query);
      ids.push(...page.map(({ id }) => id));
      after = page.at(-1);
      if (page.length < pageSize) return ids;
    }
  }

  describe('list of visible files', () => {
    const [me, you] = [`owner ${newId()}`, `owner ${newId()}`];
    const [open, closed] = [`usage ${newId()}`, `usage ${newId()}`];
    const files: FileRecord[] = [];
    let team: { readonly name: string; readonly id: string };
    let tag: { readonly name: string; readonly id: string };

    beforeAll(async () => {
      team = { name: 'project', id: subject().targets.project[8]! };
      tag = { name: 'tags', id: subject().targets.tags[8]! };
      for (const owner of [me, you]) {
        for (const usage of [open, closed]) {
          for (const relations of [{}, { project: [team.id] }, { project: [team.id], tags: [tag.id] }]) {
            const contentType = files.length % 2 === 0 ? 'image/png' : 'text/plain';
            files.push(await createFile(catalog(), { owner, usage, relations, contentType }));
          }
        }
      }
      const gone = files[3]!;
      files[3] = await catalog().update(gone.id, gone.revision, { deleteTime: new Date() });
      // Two of one millisecond are in the order of their ids.
      files.sort((a, b) => a.createTime.getTime() - b.createTime.getTime() || (a.id < b.id ? -1 : 1));
    });

    const isAmong = (file: FileRecord, part: VisibleFiles) =>
      (part.owner === undefined || part.owner === file.owner) &&
      (part.usages === undefined || part.usages.includes(file.usage)) &&
      !part.notUsages?.includes(file.usage) &&
      (!part.relation || (file.relations[part.relation.name] ?? []).includes(part.relation.id));

    const meets = (file: FileRecord, filter: FileFilter, showDeleted: boolean) =>
      (showDeleted || file.deleteTime === undefined) &&
      (filter.owner === undefined || filter.owner === file.owner) &&
      (filter.usage === undefined || filter.usage === file.usage) &&
      (filter.contentType === undefined || filter.contentType === file.contentType) &&
      (!filter.relation || (file.relations[filter.relation.name] ?? []).includes(filter.relation.id));

    it('meets one of the parts and the whole filter, however they combine', async () => {
      const rules: readonly (readonly VisibleFiles[])[] = [
        [],
        [{ owner: me }],
        [{ owner: me, usages: [open] }],
        [{ owner: me, notUsages: [open] }, { usages: [open] }],
        [{ usages: [open, closed] }, { owner: me }],
        [{ owner: me }, { relation: team }],
        [{ relation: team, usages: [closed] }, { relation: tag }, { owner: you, usages: [open] }],
        [
          { relation: team, notUsages: [closed, 'nothing'] },
          { owner: me, usages: [] },
        ],
      ];
      const filters: readonly FileFilter[] = [
        {},
        { owner: me },
        { owner: you },
        { usage: open },
        { usage: closed, owner: me },
        { relation: team },
        { relation: tag, usage: closed },
        { contentType: 'image/png' },
        { relation: { ...team, id: 'nowhere' } },
      ];
      const known = new Set(files.map(({ id }) => id));
      for (const [i, visibleTo] of rules.entries()) {
        await Promise.all(
          filters.map(async (filter, k) => {
            const showDeleted = (i + k) % 2 === 0;
            const found = (await walk(visibleTo, 5, filter, showDeleted)).filter((id) => known.has(id));
            const expected = files
              .filter(
                (file) => visibleTo.some((part) => isAmong(file, part)) && meets(file, filter, showDeleted),
              )
              .map(({ id }) => id)
              .reverse();
            expect({ visibleTo, filter, found }).toEqual({ visibleTo, filter, found: expected });
          }),
        );
      }
    });

    it('has every file once, though it meets several parts, on pages of any size', async () => {
      const visibleTo = [{ owner: me }, { usages: [open] }, { relation: team }];
      const whole = await walk(visibleTo, 100);
      expect(whole).toHaveLength(11);
      for (const size of [1, 2, 3, 11]) expect(await walk(visibleTo, size)).toEqual(whole);
    });

    it('has no file of a relation that the catalog has not, and the others all the same', async () => {
      const visibleTo = [{ relation: { name: 'nothing', id: newId() } }, { owner: you }];
      expect(await walk(visibleTo, 100)).toHaveLength(6);
    });

    it('takes no text for a query', async () => {
      for (const text of ['" || "a" = "a', `' or '1'='1`, '%', 'a\0b', '\ud800']) {
        const visibleTo = [{ owner: text }, { usages: [text] }, { relation: { name: 'project', id: text } }];
        expect(await walk(visibleTo, 100)).toEqual([]);
      }
    });

    it('lists the files that a hundred usages open', async () => {
      const many = Array.from({ length: 99 }, (_none, i) => `usage-${i}`);
      expect(await walk([{ usages: [...many, open] }], 100)).toHaveLength(6);
      const known = new Set(files.map(({ id }) => id));
      const all = await walk([{ owner: me, notUsages: many }], 100);
      expect(all.filter((id) => known.has(id))).toHaveLength(6);
    });

    it('is stable while files are added, seen and unseen', async () => {
      const [mine, theirs, shared] = [`owner ${newId()}`, `owner ${newId()}`, `usage ${newId()}`];
      const visibleTo = [{ owner: mine }, { usages: [shared] }];
      const kinds = [
        { owner: mine },
        { owner: theirs, usage: shared },
        { owner: mine, usage: shared },
        { owner: theirs },
      ];
      const lasting: string[] = [];
      for (let i = 0; i < 40; i++) {
        const { id } = await createFile(catalog(), kinds[i % 4]);
        if (i % 4 !== 3) lasting.push(id);
      }
      let writing = true;
      const writer = (async () => {
        for (let i = 0; i < 40; i++) await createFile(catalog(), kinds[i % 4]);
        writing = false;
      })();
      do {
        const seen = await walk(visibleTo, 7);
        expect(new Set(seen).size).toBe(seen.length);
        expect(seen).toEqual(expect.arrayContaining(lasting));
        // A catalog in this process answers at once: without a break the writer would never get its turn.
        await setImmediate();
      } while (writing);
      await writer;
      expect(await walk(visibleTo, 50)).toHaveLength(60);
    });
  });
}
