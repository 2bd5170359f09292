import { describe, expect, it } from '@jest/globals';
import type { FileDescription } from '../../src/catalog/file-catalog.ts';
import { changeFromMask } from '../../src/files/update-mask.ts';

const nothing: FileDescription = {
  name: '',
  contentType: '',
  owner: '',
  usage: '',
  relations: {},
  attributes: {},
};
const current: FileDescription = {
  ...nothing,
  name: 'old.txt',
  relations: { project: ['p1'], task: ['t1'] },
  attributes: { title: 'old', pages: 3 },
};

describe('changeFromMask', () => {
  it('changes what the mask names and nothing else', () => {
    const wanted = { ...nothing, name: 'new.txt', owner: 'ann' };
    expect(changeFromMask(current, wanted, ['name'])).toEqual({ name: 'new.txt' });
    expect(changeFromMask(current, wanted, ['name', 'usage'])).toEqual({ name: 'new.txt', usage: '' });
  });

  it('without a mask changes every field that is not empty', () => {
    const wanted = { ...nothing, contentType: 'text/csv', attributes: { title: 'new' } };
    expect(changeFromMask(current, wanted, [])).toEqual({
      contentType: 'text/csv',
      attributes: { title: 'new', pages: null },
    });
    expect(changeFromMask(current, nothing, [])).toEqual({});
  });

  it('replaces a whole map, or one name of it', () => {
    const wanted = { ...nothing, relations: { project: ['p2'] }, attributes: { title: 'new' } };
    expect(changeFromMask(current, wanted, ['relations'])).toEqual({
      relations: { project: ['p2'], task: [] },
    });
    expect(changeFromMask(current, wanted, ['relations.project', 'attributes.pages'])).toEqual({
      relations: { project: ['p2'] },
      attributes: { pages: null },
    });
  });

  it('takes * for all writable fields', () => {
    expect(changeFromMask(current, nothing, ['*'])).toEqual({
      ...nothing,
      relations: { project: [], task: [] },
      attributes: { title: null, pages: null },
    });
  });

  it.each([
    ['size_bytes', 'FIELD_NOT_WRITABLE'],
    ['checksums.sha256', 'FIELD_NOT_WRITABLE'],
    ['id', 'FIELD_NOT_WRITABLE'],
    ['etag', 'FIELD_NOT_WRITABLE'],
    ['colour', 'FIELD_UNKNOWN'],
    ['name.first', 'FIELD_UNKNOWN'],
    ['relations.', 'FIELD_UNKNOWN'],
    ['', 'FIELD_UNKNOWN'],
    ['relations.project.ids', 'FIELD_UNKNOWN'],
    ['relations.project.ids.x', 'FIELD_UNKNOWN'],
    ['attributes.title.first', 'FIELD_UNKNOWN'],
    ['attributes.missing', 'FIELD_UNKNOWN'],
    ['relations.missing', 'FIELD_UNKNOWN'],
    ['attributes.constructor', 'FIELD_UNKNOWN'],
    ['relations.__proto__', 'FIELD_UNKNOWN'],
  ])('refuses the path %j with %s', (path, reason) => {
    expect(() => changeFromMask(current, nothing, [path])).toThrow(expect.objectContaining({ reason }));
  });

  describe('a mask whose names JSON has changed', () => {
    // What fieldMaskFromJson of protobuf-es and protojson of Go make of the path that the caller wrote.
    const bent = (path: string) => path.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const names = [
      'pageCount',
      'PageCount',
      'page2Count',
      'pageURL',
      'größeMax',
      'page.Count',
      'a',
      'page_count',
    ];

    it.each(names)('sets the attribute %s of the file', (name) => {
      const wanted = { ...nothing, attributes: { [name]: 7, other: 1 } };
      expect(changeFromMask(current, wanted, [bent(`attributes.${name}`)])).toEqual({
        attributes: { [name]: 7 },
      });
    });

    it.each(names)('clears the attribute %s of the record', (name) => {
      const before = { ...current, attributes: { [name]: 7 } };
      for (const wanted of [nothing, { ...nothing, attributes: { [name]: null } }]) {
        expect(changeFromMask(before, wanted, [bent(`attributes.${name}`)])).toEqual({
          attributes: { [name]: null },
        });
      }
    });

    it('means relations with capitals as well', () => {
      const wanted = { ...nothing, relations: { taskOwner: ['t2'] } };
      expect(changeFromMask(current, wanted, ['relations.task_owner'])).toEqual({
        relations: { taskOwner: ['t2'] },
      });
      const before = { ...current, relations: { taskOwner: ['t1'] } };
      expect(changeFromMask(before, nothing, ['relations.task_owner'])).toEqual({
        relations: { taskOwner: [] },
      });
    });

    it('is refused where it may mean two names', () => {
      const both = { ...nothing, attributes: { pageCount: 1, page_count: 2 } };
      const unknown = expect.objectContaining({ reason: 'FIELD_UNKNOWN' });
      expect(() => changeFromMask(current, both, ['attributes.page_count'])).toThrow(unknown);
      expect(() => changeFromMask(both, nothing, ['attributes.page_count'])).toThrow(unknown);
    });

    it('means the name that the file gives where the record has two', () => {
      const both = { ...nothing, attributes: { pageCount: 1, page_count: 2 } };
      const wanted = { ...nothing, attributes: { pageCount: null } };
      expect(changeFromMask(both, wanted, ['attributes.page_count'])).toEqual({
        attributes: { pageCount: null },
      });
    });
  });

  it('takes a mask with a capital as it is written', () => {
    const wanted = { ...nothing, attributes: { pageCount: 1, page_count: 2 } };
    expect(changeFromMask(current, wanted, ['attributes.page_count', 'attributes.pageCount'])).toEqual({
      attributes: { pageCount: 1, page_count: 2 },
    });
  });

  it('changes nothing without a mask where all that is given is empty', () => {
    const wanted = { ...nothing, attributes: { title: null }, relations: { project: [] } };
    expect(changeFromMask(current, wanted, [])).toEqual({});
  });
});
