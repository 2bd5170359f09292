import { fileTypeFromBuffer } from 'file-type';
import { detectMarkup } from '../markup.ts';

/**
 * The type that the first bytes of a file show, as `file-type` names it; undefined if they show none.
 *
 * @param head - the first bytes, or all of a shorter file
 */
export async function detectType(head: Uint8Array): Promise<string | undefined> {
  const found = await fileTypeFromBuffer(head).catch(() => undefined);
  if (found === undefined) return detectMarkup(head);
  switch (found.mime) {
    case 'application/xml':
      // What the library knows as XML may be more than that.
      return detectMarkup(head) ?? found.mime;
    case 'application/zip':
      return zipType(head) ?? found.mime;
    case 'application/x-cfb':
      return compoundType(head) ?? found.mime;
    default:
      return found.mime;
  }
}

/** Entries that make an archive a program, wherever they stand in it. */
const PROGRAMS: readonly [entry: RegExp, type: string][] = [
  [/^(AndroidManifest\.xml|classes\d*\.dex|resources\.arsc)$/, 'application/vnd.android.package-archive'],
  [/^META-INF\/MANIFEST\.MF$|\.class$/, 'application/java-archive'],
];

/** The library stops at the first entry that it knows; a program may stand behind it. */
function zipType(head: Uint8Array): string | undefined {
  const names = zipEntries(head);
  return PROGRAMS.find(([entry]) => names.some((name) => entry.test(name)))?.[1];
}

/** Names of the entries of an archive whose headers lie in its first bytes. */
export function zipEntries(head: Uint8Array): string[] {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  const names: string[] = [];
  for (let at = bytes.indexOf('PK\x03\x04'); at >= 0; at = bytes.indexOf('PK\x03\x04', at + 4)) {
    if (at + 30 > bytes.length) break;
    const length = bytes.readUInt16LE(at + 26);
    names.push(bytes.toString('utf8', at + 30, at + 30 + length));
  }
  return names;
}

const ENTRY_BYTES = 128;

/** Names in the directory of a compound file (MS-CFB) that tell which program wrote it. */
const STREAMS: readonly [name: string, type: string][] = [
  ['WordDocument', 'application/msword'],
  ['Workbook', 'application/vnd.ms-excel'],
  ['Book', 'application/vnd.ms-excel'],
  ['PowerPoint Document', 'application/vnd.ms-powerpoint'],
  ['VisioDocument', 'application/vnd.visio'],
  ['__properties_version1.0', 'application/vnd.ms-outlook'],
];

/** Class of a Windows Installer package, patch or transform, without its first byte, which tells which of them. */
const INSTALLER_CLASS = Buffer.from('100c0000000000c000000000000046', 'hex');

/** The format within a compound file, if its directory lies in the first bytes. */
function compoundType(head: Uint8Array): string | undefined {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  if (bytes.length < 512) return undefined;
  const sectorBytes = 2 ** Math.min(bytes.readUInt16LE(30), 16);
  const start = (bytes.readUInt32LE(48) + 1) * sectorBytes;
  for (let at = start; at + ENTRY_BYTES <= Math.min(bytes.length, start + sectorBytes); at += ENTRY_BYTES) {
    // The first entry is the root, whose class is that of the whole file.
    if (at === start && bytes.subarray(at + 81, at + 96).equals(INSTALLER_CLASS)) return 'application/x-msi';
    const nameBytes = Math.max(0, Math.min(bytes.readUInt16LE(at + 64), 64) - 2);
    const name = bytes.toString('utf16le', at, at + nameBytes);
    const type = STREAMS.find(([stream]) => stream === name)?.[1];
    if (type !== undefined) return type;
  }
  return undefined;
}
