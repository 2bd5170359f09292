import { describe, expect, it } from '@jest/globals';
import type { JsonValue } from '../../src/catalog/file-catalog.ts';
import { isSame, readTime, toValue } from '../../src/catalog/pocketbase/values.ts';

describe('times for PocketBase', () => {
  it.each([
    ['', ''],
    ['2026-01-02T03:04:05Z', '2026-01-02 03:04:05.000Z'],
    ['2026-01-02 03:04:05.678Z', '2026-01-02 03:04:05.678Z'],
    ['2026-01-02t03:04:05.6z', '2026-01-02 03:04:05.600Z'],
    ['2026-01-02T03:04:05.678000+00:00', '2026-01-02 03:04:05.678Z'],
    ['2026-01-02T03:04:05+02:00', '2026-01-02 01:04:05.000Z'],
    ['2026-01-01T00:00:00-23:59', '2026-01-01 23:59:00.000Z'],
    ['2024-02-29T23:59:59.999Z', '2024-02-29 23:59:59.999Z'],
    ['0001-01-01T00:00:00.001Z', '0001-01-01 00:00:00.001Z'],
    ['0099-12-31T00:00:00Z', '0099-12-31 00:00:00.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31 23:59:59.999Z'],
  ])('%s is %s', (text, kept) => {
    expect(readTime(text)).toBe(kept);
  });

  it.each([
    ...['Invoice 5', '5', '2026', '2026-01', '2026-01-02', '12345', '1767323045678', 'now', '@now', ' '],
    ...['2026-01-02T03:04Z', '2026-01-02T03:04:05', '2026-01-02 03:04:05.678', '2026-01-02T03:04:05+0200'],
    ...['2024-02-30T00:00:00Z', '2023-02-29T00:00:00Z', '2026-04-31T00:00:00Z', '2026-13-01T00:00:00Z'],
    ...['2026-00-01T00:00:00Z', '2026-01-00T00:00:00Z', '2026-01-02T24:00:00Z', '2026-01-02T03:60:00Z'],
    ...['2016-12-31T23:59:60Z', '2026-01-02T03:04:05+24:00', '2026-01-02T03:04:05+01:60'],
    ...['2026-01-02T03:04:05.6789Z', '2026-01-02T03:04:05.678000001Z', '2026-01-02T03:04:05.Z'],
    ...['0001-01-01T00:00:00Z', '0000-12-31T00:00:00Z', '0001-01-01T00:00:00+01:00'],
    ...['9999-12-31T23:59:59-01:00', '+012026-01-02T03:04:05Z', '-0001-01-02T03:04:05Z'],
    ...[
      'Fri, 02 Jan 2026 03:04:05 GMT',
      '02.01.2026',
      '01/02/2026',
      '2026-01-02T03:04:05Z ',
      '２026-01-02T03:04:05Z',
    ],
  ])('%s is refused', (text) => {
    expect(readTime(text)).toBeUndefined();
  });
});

describe('values for PocketBase', () => {
  const multiple = { maxSelect: 3 };
  it.each<[string, object, JsonValue, unknown]>([
    ['json', {}, 'true', '"true"'],
    ['json', {}, { a: [1] }, { a: [1] }],
    ['number', {}, 1.5, 1.5],
    ['bool', {}, false, false],
    ['text', {}, '12', '12'],
    ['select', {}, '["a"]', ['["a"]']],
    ['select', {}, '', []],
    ['select', multiple, ['b', 'a'], ['b', 'a']],
    ['select', multiple, [], []],
    ['geoPoint', {}, { lon: 1, lat: 2 }, { lon: 1, lat: 2 }],
    ['number', {}, null, null],
  ])('%s %j takes %j', (type, options, value, sent) => {
    expect(toValue({ name: 'x', type, ...options }, value)).toEqual(sent);
  });

  it.each<[string, object, JsonValue]>([
    ['number', {}, '1'],
    ['number', {}, true],
    ['bool', {}, 1],
    ['bool', {}, 'true'],
    ['text', {}, 1],
    ['text', {}, true],
    ['text', {}, ['a']],
    ['editor', {}, {}],
    ['email', {}, 1],
    ['url', {}, ['https://example.com']],
    ['select', {}, ['a']],
    ['select', {}, 1],
    ['select', multiple, 'a'],
    ['select', multiple, ['a', 'a']],
    ['select', multiple, ['a', '']],
    ['select', multiple, ['a', 1]],
    ['date', {}, 1_767_323_045_678],
    ['date', {}, { seconds: 1 }],
    ['geoPoint', {}, { lon: 1 }],
    ['geoPoint', {}, { lon: 1, lat: '2' }],
    ['geoPoint', {}, { lon: 1, lat: 2, alt: 3 }],
    ['geoPoint', {}, [1, 2]],
    ['autodate', {}, '2026-01-02T03:04:05Z'],
    ['autodate', {}, null],
  ])('%s %j refuses %j, and says what it takes', (type, options, value) => {
    const call = () => toValue({ name: 'x', type, ...options }, value);
    expect(call).toThrow(
      expect.objectContaining({ reason: 'ATTRIBUTE_INVALID', metadata: { attribute: 'x' } }),
    );
    expect(call).toThrow(/: it takes .+/);
  });

  it('knows an answer for what was sent, in whatever form it comes', () => {
    const field = (type: string, maxSelect = 1) => ({ name: 'x', type, maxSelect });
    const same: [string, unknown, unknown][] = [
      ['date', '2026-01-02T03:04:05.000Z', '2026-01-02 03:04:05.000Z'],
      ['select', ['a'], 'a'],
      ['relation', [], ''],
      ['json', { a: 1, b: { c: 1, d: 2 } }, { b: { d: 2, c: 1 }, a: 1 }],
      ['json', '"text"', 'text'],
      ['json', null, null],
      ['number', null, 0],
      ['bool', null, false],
      ['geoPoint', null, { lon: 0, lat: 0 }],
      ['geoPoint', { lat: 2, lon: 1 }, { lon: 1, lat: 2 }],
      ['text', 'a ', 'a '],
    ];
    for (const [type, sent, answered] of same)
      expect([type, isSame(field(type), sent, answered)]).toEqual([type, true]);
    const different: [string, unknown, unknown][] = [
      ['date', '2026-01-02T03:04:05.001Z', '2026-01-02 03:04:05.000Z'],
      ['date', '', '2026-01-02 03:04:05.000Z'],
      ['date', '2026-01-02T03:04:05.001Z', ''],
      ['select', ['a', 'b'], ['b', 'a']],
      ['relation', ['a'], ''],
      ['json', [1, 2], [2, 1]],
      ['json', '"1"', 1],
      ['number', 0, undefined],
      ['text', 'a ', 'a'],
      ['text', '1', 1],
      ['text', null, 'a'],
    ];
    for (const [type, sent, answered] of different) {
      expect([type, sent, isSame(field(type), sent, answered)]).toEqual([type, sent, false]);
    }
  });
});
