import { describe, expect, it } from '@jest/globals';
import { parse } from 'content-disposition';
import { dispositionOf, mayShowInline, servedType } from '../../src/files/url-response.ts';

describe('a URL', () => {
  it.each([
    ['image/png', true, 'image/png'],
    ['IMAGE/PNG', true, 'image/png'],
    ['video/mp4; codecs="avc1, mp4a"', true, 'video/mp4'],
    ['application/pdf', true, 'application/pdf'],
    ['text/plain', true, 'text/plain'],
    ['text/plain; charset=UTF-8', true, 'text/plain; charset=utf-8'],
    ['text/plain;charset="utf-8";x=y', true, 'text/plain; charset=utf-8'],
    // A browser takes the last of several types.
    ['image/png; x, text/html', true, 'image/png'],
    ['text/plain; charset=utf-8, text/html', true, 'text/plain'],
    ['image/svg+xml', false, 'image/svg+xml'],
    ['application/json', false, 'application/json'],
    ['text/css', false, 'text/css'],
    ['text/csv', false, 'text/csv'],
    ['application/zip', false, 'application/zip'],
    ['application/x-unheard-of', false, 'application/x-unheard-of'],
    ['text/html', false, 'application/octet-stream'],
    ['text/html; charset=utf-8', false, 'application/octet-stream'],
    ['application/xhtml+xml', false, 'application/octet-stream'],
    ['image/png+xml', false, 'application/octet-stream'],
    ['image/svg2+xml', false, 'application/octet-stream'],
    ['audio/x+xml', false, 'application/octet-stream'],
    ['text/xml', false, 'application/octet-stream'],
    ['application/xml', false, 'application/octet-stream'],
    ['application/rss+xml', false, 'application/octet-stream'],
    ['text/javascript', false, 'application/octet-stream'],
    ['application/x-javascript', false, 'application/octet-stream'],
    ['text/javascript1.5', false, 'application/octet-stream'],
    ['application/wasm', false, 'application/octet-stream'],
    ['multipart/x-mixed-replace', false, 'application/octet-stream'],
    ['message/rfc822', false, 'application/octet-stream'],
    ['', false, 'application/octet-stream'],
  ])('of %j may be inline: %s, and answers with %s', (contentType, inline, served) => {
    expect(mayShowInline(contentType)).toBe(inline);
    expect(servedType(contentType)).toBe(served);
  });

  it.each([
    ['report.pdf', 'report.pdf'],
    ['a "quoted" \\ name.txt', 'a "quoted" _ name.txt'],
    ['a\r\nSet-Cookie: x=1', 'a__Set-Cookie: x=1'],
    ['x"; filename="y.exe', 'x"; filename="y.exe'],
    ["x'; filename*=UTF-8''y.exe", "x'; filename*=UTF-8''y.exe"],
    ['100%41.txt', '100%41.txt'],
    ['\u00fcml\u00e4ut \u{1f34f}.txt', '\u00fcml\u00e4ut \u{1f34f}.txt'],
    ['\u202e', 'the-id'],
  ])('offers the name %j as %j', (name, read) => {
    const header = dispositionOf(false, ['', name, 'the-id']);
    expect(header).toMatch(/^[\x20-\x7e]*$/);
    expect(parse(header)).toMatchObject({ type: 'attachment', parameters: { filename: read } });
    expect(dispositionOf(true, [name])).toMatch(/^inline/);
  });
});
