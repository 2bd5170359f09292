import { describe, expect, it } from '@jest/globals';
import { detectMarkup } from '../../src/files/content-type/markup.ts';

const utf8 = (text: string) => Buffer.from(text, 'utf8');
const utf16le = (text: string) => Buffer.from(text, 'utf16le');
const utf16be = (text: string) => Buffer.from(text, 'utf16le').swap16();
const BOM = '\ufeff';
const SVG = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>';

describe('detectMarkup', () => {
  it.each([
    ['HTML with a doctype', utf8('<!DOCTYPE html><p>'), 'text/html'],
    ['an old doctype', utf8('<!doctype HTML PUBLIC "-//W3C//DTD HTML 4.01//EN"><p>'), 'text/html'],
    ['HTML without a doctype', utf8('<script>alert(1)</script>'), 'text/html'],
    ['HTML in capitals', utf8('<SCRIPT SRC=//x>'), 'text/html'],
    ['an image that fails', utf8('<img src=x onerror=alert(1)>'), 'text/html'],
    ['a slash instead of white space', utf8('<img/src=x/onerror=alert(1)>'), 'text/html'],
    ['a heading', utf8('\n\t <h1>hello'), 'text/html'],
    ['a link', utf8('<a href="javascript:alert(1)">x</a>'), 'text/html'],
    ['a comment before', utf8('<!-- harmless --><body onload=alert(1)>'), 'text/html'],
    ['a comment without end', utf8(`<!--${'x'.repeat(4096)}`), 'text/html'],
    ['a declaration before', utf8('<!x><script>1</script>'), 'text/html'],
    ['zeros before', utf8('\0\0<script>1</script>'), 'text/html'],
    ['a BOM', utf8(`${BOM}<html>`), 'text/html'],
    ['UTF-16LE with a BOM', utf16le(`${BOM}<html><script>1`), 'text/html'],
    ['UTF-16BE with a BOM', utf16be(`${BOM} <script>1`), 'text/html'],
    ['UTF-16LE without a BOM', utf16le(' <script>1'), 'text/html'],
    ['UTF-16BE without a BOM', utf16be('\n<script>1'), 'text/html'],
    ['a tag at the end', utf8('<script'), 'text/html'],
    [
      'XHTML',
      utf8('<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml">'),
      'application/xhtml+xml',
    ],
    [
      'an XML with a page in it',
      utf8('<?xml version="1.0"?><a><script xmlns="http://www.w3.org/1999/xhtml">1</script></a>'),
      'application/xhtml+xml',
    ],
    ['SVG', utf8(SVG), 'image/svg+xml'],
    ['SVG behind comments and a BOM', utf8(`${BOM}<!-- a --><!-- b -->\n${SVG}`), 'image/svg+xml'],
    ['SVG behind instructions', utf8(`<?xml version="1.0"?><?x y?><!-- -->${SVG}`), 'image/svg+xml'],
    ['SVG with a doctype', utf8('<!DOCTYPE svg PUBLIC "x" "y" [<!ENTITY a "b">]><svg>'), 'image/svg+xml'],
    ['SVG with a prefix', utf8('<x:svg xmlns:x="http://www.w3.org/2000/svg"/>'), 'image/svg+xml'],
    ['SVG in UTF-16', utf16le(`${BOM}<?xml version="1.0"?>${SVG}`), 'image/svg+xml'],
    ['XML', utf8('<?xml version="1.0"?><note/>'), 'application/xml'],
    ['XML by its namespace', utf8('<note xmlns="urn:x"/>'), 'application/xml'],
  ])('finds %s', (_name, head, type) => {
    expect(detectMarkup(head)).toBe(type);
  });

  it.each([
    ['nothing', ''],
    ['text', 'hello <b>'],
    ['a comparison', '<3 you'],
    ['an arrow', '<- there'],
    ['a mail address', '<someone@example.com>'],
    ['a placeholder', '<name> goes here'],
    ['white space', ' '.repeat(4100)],
    ['JSON', '{"a":"<script>"}'],
  ])('takes %s for no markup', (_name, text) => {
    expect(detectMarkup(utf8(text))).toBeUndefined();
    expect(detectMarkup(utf16le(text))).toBeUndefined();
  });
});
