import type { AssetFile } from '@asset-service/client-core';

/** Longest file name that common file systems take, in bytes of UTF-8. */
const MAX_BYTES = 255;

/** Longest ending, with its dot, that is kept when a name is cut. */
const MAX_EXTENSION_BYTES = 32;

/**
 * What Windows or a terminal reads as something else than a part of a name: control characters, separators, wildcards, a
 * stream's `:`, ends of lines, and characters that turn the direction of writing. The joiners of emoji and of some scripts stay.
 */
const UNSAFE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}<>:"/\\|?*\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/** Names of devices on Windows, whatever ending stands behind them. */
const DEVICE = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:\.|\s*$)/i;

/**
 * The name under which a file may be kept in a local directory. Whoever uploaded the file chose its name, so it never leads out of
 * the directory, is never hidden, is never taken for an option of a command, and is at most 255 bytes long; it is the id of the
 * file where nothing else is left.
 */
export function localFileName({ id, name }: Pick<AssetFile, 'id' | 'name'>): string {
  return shortened(harmless(name)) || shortened(harmless(id)) || 'file';
}

function harmless(name: string): string {
  const clean = name
    .normalize('NFC')
    .replaceAll(UNSAFE, '_')
    // A dot hides a file and a dash makes it an option; Windows drops dots and spaces at the end.
    .replace(/^[.\-\s]+/u, '')
    .replace(/[.\s]+$/u, '');
  return DEVICE.test(clean) ? `_${clean}` : clean;
}

/** Cuts a name between two characters, as people see them, and keeps its ending. */
function shortened(name: string): string {
  if (Buffer.byteLength(name) <= MAX_BYTES) return name;
  const [extension = ''] = /(?:\.[^.\s]+)$/u.exec(name) ?? [];
  const kept = Buffer.byteLength(extension) <= MAX_EXTENSION_BYTES ? extension : '';
  const room = MAX_BYTES - Buffer.byteLength(kept);
  let stem = '';
  for (const { segment } of new Intl.Segmenter().segment(name.slice(0, name.length - kept.length))) {
    if (Buffer.byteLength(stem) + Buffer.byteLength(segment) > room) break;
    stem += segment;
  }
  stem = stem.replace(/[.\s]+$/u, '');
  return stem === '' ? '' : stem + kept;
}
