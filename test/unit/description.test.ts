import { describe, expect, it } from '@jest/globals';
import { afterChange, assertFits } from '../../src/files/description.ts';

const KiB = 1024;
const record = (attributes: Record<string, string>, relations: Record<string, string[]> = {}) => ({
  attributes,
  relations,
});
const ids = (count: number, length: number) =>
  Array.from({ length: count }, (_, i) => String(i).padStart(length, 'x'));

describe('assertFits', () => {
  it('counts attributes in bytes of UTF-8', () => {
    const overhead = Buffer.byteLength(JSON.stringify({ text: '' }));
    const room = 64 * KiB - overhead;
    const kanji = '漢'.repeat(Math.floor(room / 3));
    for (const text of ['x'.repeat(room), kanji]) expect(() => assertFits(record({ text }))).not.toThrow();
    const refused = expect.objectContaining({ reason: 'ATTRIBUTE_INVALID' });
    for (const text of ['x'.repeat(room + 1), `${kanji}漢`, '漢'.repeat(30_000), '\u0001'.repeat(20_000)]) {
      expect(() => assertFits(record({ text }))).toThrow(refused);
    }
  });

  it('takes 10,000 targets with ids as long as a UUID, and no more of either', () => {
    const targets = (count: number, length: number) =>
      Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`r${i}`, ids(count / 10, length)]));
    expect(() => assertFits(record({}, targets(10_000, 36)))).not.toThrow();
    const refused = expect.objectContaining({ reason: 'FIELD_INVALID' });
    expect(() => assertFits(record({}, targets(10_010, 4)))).toThrow(refused);
    expect(() => assertFits(record({}, targets(10_000, 60)))).toThrow(refused);
    expect(() =>
      assertFits(record({}, { kanji: ids(1_000, 10).map((id) => id + '漢'.repeat(200)) })),
    ).toThrow(refused);
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`r${i}`, ['x']]));
    expect(() => assertFits(record({}, many))).toThrow(refused);
  });

  it('sums a change up with what is there, and lets one that is too large shrink', () => {
    const half = 'x'.repeat(40 * KiB);
    const before = record({ a: half });
    const grown = afterChange(before, { attributes: { b: half } });
    expect(() => assertFits(grown, before)).toThrow(expect.objectContaining({ reason: 'ATTRIBUTE_INVALID' }));
    const old = record({ a: half, b: half });
    expect(() => assertFits(afterChange(old, { name: 'new' }), old)).not.toThrow();
    expect(() => assertFits(afterChange(old, { attributes: { c: '', b: 'shorter' } }), old)).not.toThrow();
    expect(() => assertFits(afterChange(old, { attributes: { c: 'x' } }), old)).toThrow();
    expect(afterChange(old, { attributes: { a: null }, relations: { r: [] } })).toEqual(record({ b: half }));
  });
});
