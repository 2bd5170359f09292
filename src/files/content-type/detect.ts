import { fileTypeFromBuffer } from 'file-type';
import { detectMarkup } from './markup.ts';

/**
 * The type of the first bytes of a file, in the names of `file-type`; undefined if unknown.
 *
 * @param head - the first bytes, or the whole of a shorter file
 */
export async function detectType(head: Uint8Array): Promise<string | undefined> {
  const found = await fileTypeFromBuffer(head).catch(() => undefined);
  if (found === undefined) return detectMarkup(head);
  switch (found.mime) {
    case 'application/xml':
      // The library reports XML formats only as XML.
      return detectMarkup(head) ?? found.mime;
    case 'application/zip':
      return zipType(head) ?? found.mime;
    case 'application/x-cfb':
      return compoundType(head) ?? found.mime;
    default:
      return found.mime;
  }
}

/** Entries that make an archive a program, at any position. */
const PROGRAMS: readonly [entry: RegExp, type: string][] = [
  [/^(AndroidManifest\.xml|classes\d*\.dex|resources\.arsc)$/, 'application/vnd.android.package-archive'],
  [/^META-INF\/MANIFEST\.MF$|\.class$/, 'application/java-archive'],
];

/** The library stops at the first known entry; a program's entry may come later. */
function zipType(head: Uint8Array): string | undefined {
  const names = zipEntries(head);
  return PROGRAMS.find(([entry]) => names.some((name) => entry.test(name)))?.[1];
}

/** Names of the archive entries whose headers are in the first bytes. */
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

/** Names in the directory of a compound file (MS-CFB) by the program that writes them. */
const STREAMS: readonly [name: string, type: string][] = [
  ['WordDocument', 'application/msword'],
  ['Workbook', 'application/vnd.ms-excel'],
  ['Book', 'application/vnd.ms-excel'],
  ['PowerPoint Document', 'application/vnd.ms-powerpoint'],
  ['VisioDocument', 'application/vnd.visio'],
  ['__properties_version1.0', 'application/vnd.ms-outlook'],
];

/**
 * Class id of a Windows Installer package, patch or transform, without its first byte, which distinguishes them.
 */
const INSTALLER_CLASS = Buffer.from('100c0000000000c000000000000046', 'hex');

/** The format of a compound file, if its directory is in the first bytes. */
function compoundType(head: Uint8Array): string | undefined {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  if (bytes.length < 512) return undefined;
  const sectorBytes = 2 ** Math.min(bytes.readUInt16LE(30), 16);
  const start = (bytes.readUInt32LE(48) + 1) * sectorBytes;
  for (let at = start; at + ENTRY_BYTES <= Math.min(bytes.length, start + sectorBytes); at += ENTRY_BYTES) {
    // The first entry is the root; its class is that of the file.
    if (at === start && bytes.subarray(at + 81, at + 96).equals(INSTALLER_CLASS)) return 'application/x-msi';
    const nameBytes = Math.max(0, Math.min(bytes.readUInt16LE(at + 64), 64) - 2);
    const name = bytes.toString('utf16le', at, at + nameBytes);
    const type = STREAMS.find(([stream]) => stream === name)?.[1];
    if (type !== undefined) return type;
  }
  return undefined;
}
