import { createRequire } from 'node:module';

/** CRC32C of bytes; `before` is the checksum of the preceding bytes. */
type Crc32c = (bytes: Uint8Array, before?: number) => number;

/** The Castagnoli polynomial, lowest power first (RFC 3720, appendix B.4). */
const POLYNOMIAL = 0x82f63b78;

/**
 * The native addon, which uses a processor instruction. Undefined if it is missing: in a bundle, on an unsupported
 * platform, after `npm install --omit=optional`. Loaded so that bundlers do not follow it.
 */
function loadNative(): Crc32c | undefined {
  try {
    const load = createRequire(import.meta.url);
    return (load('@node-rs/crc32') as { readonly crc32c: Crc32c }).crc32c;
  } catch {
    return undefined;
  }
}

/** Eight consecutive tables, to process eight bytes per step. */
function makeTables(): Uint32Array {
  const tables = new Uint32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let sum = byte;
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ POLYNOMIAL : sum >>> 1;
    tables[byte] = sum;
  }
  for (let entry = 256; entry < tables.length; entry++) {
    const previous = tables[entry - 256]!;
    tables[entry] = (previous >>> 8) ^ tables[previous & 255]!;
  }
  return tables;
}

let tables: Uint32Array | undefined;

/** CRC32C without the addon; ten times slower. */
export function crc32cInJavaScript(bytes: Uint8Array, before = 0): number {
  const t = (tables ??= makeTables());
  let sum = ~before;
  let at = 0;
  for (const end = bytes.length - 7; at < end; at += 8) {
    sum ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    sum =
      t[1792 + (sum & 255)]! ^
      t[1536 + ((sum >>> 8) & 255)]! ^
      t[1280 + ((sum >>> 16) & 255)]! ^
      t[1024 + (sum >>> 24)]! ^
      t[768 + bytes[at + 4]!]! ^
      t[512 + bytes[at + 5]!]! ^
      t[256 + bytes[at + 6]!]! ^
      t[bytes[at + 7]!]!;
  }
  for (; at < bytes.length; at++) sum = (sum >>> 8) ^ t[(sum ^ bytes[at]!) & 255]!;
  return ~sum >>> 0;
}

/** CRC32C of bytes as an unsigned 32-bit number; continues from `before` if given. */
export const crc32c: Crc32c = loadNative() ?? crc32cInJavaScript;
