import { describe, expect, it } from '@jest/globals';
import { decideContentType } from '../../src/files/content-type/content-type.ts';

const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489', 'hex');
const ZIP = Buffer.from('504b03040a0000000000000000000000000000000000000000000000000001000000610000', 'hex');
const EXE = Buffer.concat([Buffer.from('MZ'), Buffer.alloc(64)]);
const JPEG = Buffer.from('ffd8ffe000104a46494600010100000100010000', 'hex');
const WAV = Buffer.concat([Buffer.from('RIFF'), Buffer.alloc(4), Buffer.from('WAVEfmt '), Buffer.alloc(16)]);
const AVI = Buffer.concat([Buffer.from('RIFF'), Buffer.alloc(4), Buffer.from('AVI LIST'), Buffer.alloc(16)]);
const MP3 = Buffer.concat([Buffer.from('fffb9064', 'hex'), Buffer.alloc(600)]);
const PDF = Buffer.from('%PDF-1.7\n%%EOF');
const GZIP = Buffer.from('1f8b0800000000000003', 'hex');
const ICON = Buffer.concat([Buffer.from('000001000100', 'hex'), Buffer.alloc(16)]);
const RAR = Buffer.concat([Buffer.from('526172211a0700', 'hex'), Buffer.alloc(16)]);
const DOCX = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document';

/** The first box of an ISO media file of this brand. */
const ftyp = (brand: string) =>
  Buffer.concat([Buffer.from('00000018', 'hex'), Buffer.from(`ftyp${brand}`), Buffer.alloc(12)]);

/** An archive of empty entries with these names. */
function zip(...names: string[]): Buffer {
  return Buffer.concat(
    names.map((name) => {
      const header = Buffer.alloc(30);
      header.write('PK\x03\x04', 'latin1');
      header.writeUInt16LE(10, 4);
      header.writeUInt16LE(name.length, 26);
      return Buffer.concat([header, Buffer.from(name)]);
    }),
  );
}

/** A compound file (MS-CFB) with a root entry and one stream. */
function compound(stream?: string): Buffer {
  const bytes = Buffer.alloc(1024);
  bytes.write('d0cf11e0a1b11ae1', 'hex');
  bytes.writeUInt16LE(9, 30);
  // Where the directory lies: in the sector after the header, or far behind.
  bytes.writeUInt32LE(stream === undefined ? 1000 : 0, 48);
  const entry = (at: number, name: string) => {
    bytes.write(name, at, 'utf16le');
    bytes.writeUInt16LE(name.length * 2 + 2, at + 64);
  };
  entry(512, 'Root Entry');
  if (stream === 'installer') bytes.write('84100c0000000000c000000000000046', 512 + 80, 'hex');
  else if (stream !== undefined) entry(640, stream);
  return bytes;
}

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
    // A type that says nothing is found out, except for the name: who sends it means to say nothing.
    ['application/octet-stream', '', PNG, 'image/png'],
    ['binary/octet-stream', '', JPEG, 'image/jpeg'],
    ['application/octet-stream', 'notes.txt', text('hello'), 'application/octet-stream'],
    // Other names of what the bytes are.
    ['application/x-zip-compressed', '', ZIP, 'application/zip'],
    ['application/x-zip', '', ZIP, 'application/zip'],
    ['image/jpg', '', JPEG, 'image/jpeg'],
    ['image/pjpeg', '', JPEG, 'image/jpeg'],
    ['image/x-png', '', PNG, 'image/png'],
    ['application/png', '', PNG, 'image/png'],
    ['audio/x-wav', '', WAV, 'audio/wav'],
    ['audio/wave', '', WAV, 'audio/wav'],
    ['audio/vnd.wave', '', WAV, 'audio/wav'],
    ['audio/mp3', '', MP3, 'audio/mpeg'],
    ['audio/x-mpeg', '', MP3, 'audio/mpeg'],
    ['application/x-pdf', '', PDF, 'application/pdf'],
    ['application/x-gzip', '', GZIP, 'application/gzip'],
    ['image/vnd.microsoft.icon', '', ICON, 'image/x-icon'],
    ['video/x-msvideo', '', AVI, 'video/vnd.avi'],
    ['text/rtf', '', text('{\\rtf1 x}'), 'application/rtf'],
    ['application/x-rar-compressed', '', RAR, 'application/x-rar-compressed'],
    ['application/vnd.rar', '', RAR, 'application/x-rar-compressed'],
    // Formats that are taken for each other: what the bytes are.
    ['video/mp4', '', ftyp('qt  '), 'video/quicktime'],
    ['audio/mp4', '', ftyp('M4A '), 'audio/x-m4a'],
    ['image/heif', '', ftyp('heic'), 'image/heic'],
    ['image/svg', '', text('<svg/>'), 'image/svg+xml'],
    ['image/png+xml', '', text('<svg/>'), 'image/png+xml'],
    // A container that does not say what it holds.
    ['audio/mp4', '', ftyp('isom'), 'audio/mp4'],
    ['application/x-tgz', '', GZIP, 'application/gzip'],
    ['application/msword', '', compound(), 'application/msword'],
    ['application/rss+xml', '', text('<?xml version="1.0"?><rss/>'), 'application/rss+xml'],
    ['text/plain', '', text('BMW is a car, and BM begins a bitmap'), 'text/plain'],
    ['application/vnd.oasis.opendocument.text', '', ZIP, 'application/vnd.oasis.opendocument.text'],
    ['image/svg+xml', '', text('<?xml version="1.0"?><svg/>'), 'image/svg+xml'],
    ['application/json', '', text('{}'), 'application/json'],
    ['', 'x', text('<!-- x --><svg xmlns="http://www.w3.org/2000/svg"/>'), 'image/svg+xml'],
    ['', 'x', text('<?xml version="1.0"?><note/>'), 'application/xml'],
    ['text/plain', '', text('<script>a source is a text too</script>'), 'text/plain'],
    ['image/png', '', Buffer.alloc(0), 'image/png'],
  ])('takes %j with name %j as %#', async (declared, name, head, expected) => {
    expect(await decideContentType(declared, name, head, 'none')).toBe(expected);
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
    ['a JAR as an office document', DOCX, zip('META-INF/MANIFEST.MF', 'a/B.class')],
    ['a JAR behind an office document', DOCX, zip('word/document.xml', 'META-INF/MANIFEST.MF')],
    ['an Android package as an office document', DOCX, zip('AndroidManifest.xml', 'classes.dex')],
    ['PostScript as PDF', 'application/pdf', text('%!PS-Adobe-3.0\n%%EOF')],
    ['a film as a picture', 'image/heic', ftyp('isom')],
    ['HTML as SVG', 'image/svg+xml', text('<!doctype html><svg xmlns="http://www.w3.org/2000/svg">')],
    ['an installer as a text document', 'application/msword', compound('installer')],
    ['a spreadsheet as a text document', 'application/msword', compound('Workbook')],
  ])('refuses %s', async (_name, declared, head) => {
    await expect(decideContentType(declared, '', head, 'none')).rejects.toMatchObject({
      reason: 'CONTENT_TYPE_MISMATCH',
    });
  });

  it('requires a signature where the policy restricts types', async () => {
    const noMark = text('just some words');
    expect(await decideContentType('image/png', '', noMark, 'none')).toBe('image/png');
    await expect(decideContentType('image/png', '', noMark, 'mark')).rejects.toMatchObject({
      reason: 'CONTENT_TYPE_MISMATCH',
    });
    expect(await decideContentType('text/csv', '', text('a,b'), 'mark')).toBe('text/csv');
  });

  it('takes a type that only a wildcard allows if the bytes show it', async () => {
    expect(await decideContentType('image/png', '', PNG, 'any')).toBe('image/png');
    expect(await decideContentType('image/jpg', '', JPEG, 'any')).toBe('image/jpeg');
    expect(await decideContentType('image/svg+xml', '', text('<svg/>'), 'any')).toBe('image/svg+xml');
    expect(await decideContentType('text/markdown', '', text('# a'), 'any')).toBe('text/markdown');
    expect(await decideContentType('application/json', '', text('{}'), 'any')).toBe('application/json');
    // What the bytes are takes the place of what nobody knows.
    expect(await decideContentType('image/x-unheard-of', '', PNG, 'any')).toBe('image/png');
    expect(await decideContentType('image/png+xml', '', text('<svg/>'), 'any')).toBe('image/svg+xml');
    expect(await decideContentType('image/x-unheard-of', '', EXE, 'any')).toBe('application/x-msdownload');
  });

  it.each([
    ['image/x-unheard-of', text('alert(1)')],
    ['image/svg+xml', text('alert(1)')],
    ['image/svg+xml', text('<?xml version="1.0"?><note/>')],
    ['text/plain', Buffer.from([1, 0, 2])],
    ['application/x-unheard-of', text('anything')],
    ['video/x-unheard-of', Buffer.from([1, 2, 3])],
  ])('refuses %s under a wildcard without proof', async (declared, head) => {
    await expect(decideContentType(declared, '', head, 'any')).rejects.toMatchObject({
      reason: 'CONTENT_TYPE_MISMATCH',
    });
  });

  it.each([
    ['application/msword', text('alert(1)')],
    [DOCX, text('alert(1)')],
    [DOCX, zip('anything.bin')],
    ['image/svg+xml', text('alert(1)')],
  ])('refuses %s under a policy that names it, without its container', async (declared, head) => {
    await expect(decideContentType(declared, '', head, 'mark')).rejects.toMatchObject({
      reason: 'CONTENT_TYPE_MISMATCH',
    });
  });

  it('takes XML without a declaration under a policy that names it', async () => {
    for (const type of ['text/xml', 'application/rss+xml', 'text/html']) {
      expect(await decideContentType(type, '', text('<note>1</note>'), 'mark')).toBe(type);
    }
  });

  it('takes an office document whose archive begins like one', async () => {
    const head = zip('_rels/.rels', 'docProps/app.xml', 'word/document.xml');
    expect(await decideContentType(DOCX, '', head, 'mark')).toBe(DOCX);
  });

  it('keeps a format of an operator in a container', async () => {
    const vendor = 'application/vnd.example.project';
    expect(await decideContentType(vendor, '', ZIP, 'mark')).toBe(vendor);
    expect(await decideContentType(vendor, '', EXE, 'mark')).toBe('application/x-msdownload');
  });
});
