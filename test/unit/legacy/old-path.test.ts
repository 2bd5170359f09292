import { describe, expect, it } from '@jest/globals';
import { keysOf, parseLayouts } from '../../../src/legacy/layout.ts';
import { readOldPath } from '../../../src/legacy/old-path.ts';
import { ODD_NAMES } from '../../support/legacy/contents.ts';

const LAYOUTS = parseLayouts('{id}/{secure_name}, {collection_id}/{id}/{file}');
const ID = 'abcdefghij01234';

function fieldsOf(secureName: string, file?: string) {
  return {
    ...{ id: [ID], collection_id: ['pbc_1'], collection_name: ['files'], secure_name: [secureName] },
    ...(file === undefined ? {} : { file: [file] }),
  };
}

function keyOf(path: string, secureName: string, file?: string): string | undefined {
  const fields = fieldsOf(secureName, file);
  const asked = readOldPath(path, LAYOUTS);
  return asked.ids.includes(ID) ? asked.keyAmong(keysOf(LAYOUTS, fields), fields) : undefined;
}

describe('a layout', () => {
  const fields = { ...fieldsOf('my-secure_name.v2.txt'), collection_id: ['pbc_1'] };
  // All of ASCII that a template may contain.
  const signs = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index));
  it.each(signs.filter((sign) => !/[{},/]/.test(sign)))('may have %j between two fields', (sign) => {
    for (const template of [
      `{id}${sign}{secure_name}`,
      `x/{secure_name}${sign}{id}`,
      `{collection_id}${sign}{id}${sign}{secure_name}`,
    ]) {
      const layouts = parseLayouts(template);
      const [key] = keysOf(layouts, fields);
      // Blanks at the ends of a template do not count; these are within.
      expect(key).toBe(template.replace(/\{(\w+)\}/g, (_, name: string) => fields[name as 'id'][0]!));
      expect(readOldPath(key!, layouts).ids).toContain(ID);
    }
  });

  it.each(['sub/name.txt', 'a/b/c/d.txt', 'thumbs_x/y'])('may have a field with slashes: %s', (name) => {
    for (const template of [
      '{id}/{secure_name}',
      '{collection_id}/{id}/{secure_name}',
      'x/{id}_{secure_name}',
    ]) {
      const layouts = parseLayouts(template);
      const [key] = keysOf(layouts, fieldsOf(name));
      for (const path of [key!, `/bucket/${key}`, `https://s3.example/bucket/${encodeURI(key!)}?x=1`]) {
        const asked = readOldPath(path, layouts);
        expect(asked.ids).toContain(ID);
        expect(asked.keyAmong([key!], fieldsOf(name))).toBe(key);
      }
    }
  });

  it('may be of a collection with ids of another form', () => {
    const layouts = parseLayouts('{id}-{secure_name}');
    expect(readOldPath('Order 7-a-b.txt', layouts).ids).toContain('Order 7');
  });
});

describe('a path of the old system', () => {
  it.each(ODD_NAMES)('names the file with the object %s, escaped or not, in every form', (name) => {
    const key = `${ID}/${name}`;
    const escaped = `${ID}/${encodeURIComponent(name)}`;
    const paths = [key, `/${key}`, `bucket/${key}`, escaped, `/bucket/${escaped}`];
    const urls = [
      `http://s3:8333/bucket/${escaped}`,
      `https://bucket.s3.example/${escaped}?X-Amz-Expires=1#top`,
    ];
    for (const path of [...paths, ...urls]) expect([path, keyOf(path, name)]).toEqual([path, key]);
  });

  it('names a file of PocketBase by collection id or name, with a query or a thumb', () => {
    const key = `pbc_1/${ID}/a_b1.png`;
    const paths = [
      `/api/files/pbc_1/${ID}/a_b1.png`,
      `/api/files/files/${ID}/a_b1.png?thumb=100x100&token=x`,
      `https://pb.example/base/api/files/files/${ID}/a_b1.png`,
      `pbc_1/${ID}/a_b1.png`,
      `pbc_1/${ID}/thumbs_a_b1.png/100x100_a_b1.png`,
    ];
    for (const path of paths) expect([path, keyOf(path, 'x', 'a_b1.png')]).toEqual([path, key]);
  });

  it.each([
    [`${ID}/other.txt`, 'another name'],
    [`${ID}/secret.txt/more`, 'more behind it'],
    [`${ID}/SECRET.txt`, 'other capitals'],
    [`${ID}`, 'no name'],
    [`/api/files/others/${ID}/a_b1.png`, 'another collection'],
    [`/api/files/files/${ID}/a_b2.png`, 'another file of the record'],
    [`aaaaaaaaaaaaaaa/secret.txt`, 'another record'],
    ['', 'nothing'],
    ['%', 'half an escape'],
  ])('names nothing: %s (%s)', (path) => {
    expect(keyOf(path, 'secret.txt', 'a_b1.png')).toBeUndefined();
  });

  it('tells its form', () => {
    const kinds = ['a/b', '/api/files/a/b/c', 'https://x/api/files/a/b/c', 'http://x/a/b'].map(
      (path) => readOldPath(path, LAYOUTS).kind,
    );
    expect(kinds).toEqual(['bucket', 'api', 'url', 'url']);
  });

  it('prefers an exact name, and takes one in another normal form of Unicode', () => {
    const [nfc, nfd] = ['é.txt'.normalize('NFC'), 'é.txt'.normalize('NFD')];
    expect(keyOf(`${ID}/${nfd}`, nfc)).toBe(`${ID}/${nfc}`);
    const fields = fieldsOf(nfd);
    const both = [`${ID}/${nfc}`, `${ID}/${nfd}`];
    expect(readOldPath(`${ID}/${nfd}`, LAYOUTS).keyAmong(both, fields)).toBe(`${ID}/${nfd}`);
  });

  it('ends for a path that is made to be long', () => {
    // With a search that backtracks this would run into the time limit of the test.
    expect(readOldPath('/thumbs_'.repeat(500) + '%'.repeat(96), LAYOUTS).ids.length).toBeLessThanOrEqual(8);
    expect(readOldPath('a/'.repeat(2_000), LAYOUTS).ids.length).toBeLessThanOrEqual(8);
  });
});

describe('layouts', () => {
  it('give no key where a field is empty, and one for each value of a field with several', () => {
    expect(keysOf(LAYOUTS, { id: [ID], collection_id: ['c'] })).toEqual([]);
    expect(keysOf(LAYOUTS, { id: [ID], collection_id: ['c'], file: ['a', 'b'] })).toEqual([
      `c/${ID}/a`,
      `c/${ID}/b`,
    ]);
  });

  it('give no key that leads elsewhere as a path', () => {
    for (const name of ['..', '../other/file', 'a/./b', '.', 'a//b'])
      expect(keysOf(LAYOUTS, fieldsOf(name))).toEqual([]);
  });

  it.each([
    ['{secure_name}', 'has no {id}'],
    ['{id}/{secure_name', 'brace without its other half'],
    ['{id}/{}', 'names no field in {}'],
    ['{id}/{id}', 'twice'],
    ['/{id}', 'begins with a slash'],
  ])('refuse %s', (template, why) => {
    expect(() => parseLayouts(template)).toThrow(why);
  });
});
