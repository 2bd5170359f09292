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
  ])('refuses the path %j with %s', (path, reason) => {
    expect(() => changeFromMask(current, nothing, [path])).toThrow(expect.objectContaining({ reason }));
  });

  it('finds nothing in what every object inherits', () => {
    expect(changeFromMask(current, nothing, ['attributes.constructor', 'relations.constructor'])).toEqual({
      attributes: { constructor: null },
      relations: { constructor: [] },
    });
  });
});
