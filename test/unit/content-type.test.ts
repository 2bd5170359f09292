import { describe, expect, it } from '@jest/globals';
import { decideContentType } from '../../src/files/content-type.ts';

const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489', 'hex');
const ZIP = Buffer.from('504b03040a0000000000000000000000000000000000000000000000000001000000610000', 'hex');
const EXE = Buffer.concat([Buffer.from('MZ'), Buffer.alloc(64)]);
const text = (value: string) => Buffer.from(value);

describe('decideContentType', () => {
  it.each([
    ['', 'a.png', PNG, 'image/png'],
    ['', 'notes.txt', text('hello'), 'text/plain'],
    ['', 'picture.png', text('no mark of a picture'), 'application/octet-stream'],
    ['', '', text('hello'), 'application/octet-stream'],
    ['', 'x', text('<!DOCTYPE html><script>1</script>'), 'text/html'],
    ['image/png', '', PNG, 'image/png'],
    ['IMAGE/PNG; q=1', '', PNG, 'IMAGE/PNG; q=1'],
    ['application/octet-stream', '', PNG, 'application/octet-stream'],
    ['text/plain', '', text('BMW is a car, and BM begins a bitmap'), 'text/plain'],
    ['application/vnd.oasis.opendocument.text', '', ZIP, 'application/vnd.oasis.opendocument.text'],
    ['image/svg+xml', '', text('<?xml version="1.0"?><svg/>'), 'image/svg+xml'],
    ['application/json', '', text('{}'), 'application/json'],
    ['', 'x', text('<!-- x --><svg xmlns="http://www.w3.org/2000/svg"/>'), 'image/svg+xml'],
    ['', 'x', text('<?xml version="1.0"?><note/>'), 'application/xml'],
    ['text/plain', '', text('<script>a source is a text too</script>'), 'text/plain'],
    ['image/png', '', Buffer.alloc(0), 'image/png'],
  ])('takes %j with name %j as %#', async (declared, name, head, expected) => {
    expect(await decideContentType(declared, name, head, false)).toBe(expected);
  });

  it.each([
    ['a program as a picture', 'image/png', EXE],
    ['markup as a picture', 'image/png', text('  <html><script>alert(1)</script>')],
    ['markup without a doctype as a picture', 'image/gif', text('<!-- --><img src=x onerror=alert(1)>')],
    ['markup in UTF-16 as a picture', 'image/jpeg', Buffer.from('\ufeff<script>1', 'utf16le')],
    ['SVG behind a comment as a picture', 'image/png', text('\ufeff<!-- --><svg/>')],
    [
      'markup as an office document',
      'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
      text('<html>'),
    ],
    ['a gzip as a zip', 'application/zip', Buffer.from('1f8b0800000000000003', 'hex')],
    ['a picture as JSON', 'application/json', PNG],
    ['a picture as another one', 'image/gif', PNG],
  ])('refuses %s', async (_name, declared, head) => {
    await expect(decideContentType(declared, '', head, false)).rejects.toMatchObject({
      reason: 'CONTENT_TYPE_MISMATCH',
    });
  });

  it('asks for a mark where the policy restricts types', async () => {
    const noMark = text('just some words');
    expect(await decideContentType('image/png', '', noMark, false)).toBe('image/png');
    await expect(decideContentType('image/png', '', noMark, true)).rejects.toMatchObject({
      reason: 'CONTENT_TYPE_MISMATCH',
    });
    expect(await decideContentType('text/csv', '', text('a,b'), true)).toBe('text/csv');
  });
});
