import { describe, expect, it } from '@jest/globals';
import { cleanName, downloadNameOf } from '../../src/files/names.ts';

describe('cleanName', () => {
  it.each([
    ['', ''],
    ['report.pdf', 'report.pdf'],
    ['with "quotes" & a;b=c, (1).txt', 'with "quotes" & a;b=c, (1).txt'],
    ['..hidden', '..hidden'],
    ['  spaces  ', 'spaces'],
    ['Gru\u0308\u00dfe.txt', 'Gr\u00fc\u00dfe.txt'],
    ['\u1112\u1161\u11ab.txt', '\ud55c.txt'],
    ['invoice\u202efdp.exe', 'invoicefdp.exe'],
    ['\u2066a\u2069\u200f\u061c.txt', 'a.txt'],
    ['a\u200b\ufeff\u2060\u00adb', 'ab'],
    ['a\ue000\uf8ff\u{f0000}b', 'ab'],
    ['\u3164a\u115f\ufff9b', 'ab'],
    ['\u2764\ufe0f.png', '\u2764\ufe0f.png'],
    ['\u0600\u0661', '\u0600\u0661'],
    ['a\ufdd0\uffffb', 'ab'],
    ['a\ud800b', 'ab'],
    ['\u{e0061}tag\u{e0062}', 'tag'],
    ['\u{1f468}\u200d\u{1f469}\u200d\u{1f467}.png', '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}.png'],
    ['\u0646\u0627\u0645\u0647\u200c\u0647\u0627.txt', '\u0646\u0627\u0645\u0647\u200c\u0647\u0627.txt'],
    ['x'.repeat(255), 'x'.repeat(255)],
    ['\u{1f34f}'.repeat(255), '\u{1f34f}'.repeat(255)],
  ])('keeps %j as %j', (name, clean) => {
    expect(cleanName(name, 'name')).toBe(clean);
    expect(cleanName(clean, 'name')).toBe(clean);
  });

  it.each([
    ...['a\u0000b', 'a\r\nSet-Cookie: x=1', 'a\u007f', 'a\u0085b', 'a\u009b31mb', 'a\u2028b', 'a\u2029b'],
    ...['../../etc/passwd', '/etc/passwd', 'a/b', 'C:\\fakepath\\x.png', '..\\x', 'a\u200b/b'],
    ...['.', '..', ' ', '\u202e', '.\u200b.', '\u200d', '\ue000'],
    ...['x'.repeat(256), '\u{1f34f}'.repeat(256), '\u{1d160}'.repeat(90)],
  ])('refuses %j', (name) => {
    expect(() => cleanName(name, 'download_name')).toThrow(
      expect.objectContaining({ reason: 'FIELD_INVALID', metadata: { field: 'download_name' } }),
    );
  });
});

describe('downloadNameOf', () => {
  it.each([
    ['2024/12 offer', '2024_12 offer'],
    ['..\\..\\x', '.._.._x'],
    ['a\r\nb\u202ec', 'a__bc'],
  ])('makes of the recorded %j the name %j', (name, shown) => {
    expect(downloadNameOf(name)).toBe(shown);
  });
});
