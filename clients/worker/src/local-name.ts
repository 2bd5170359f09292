import type { AssetFile } from '@asset-service/client-core';

/** Maximum file name of common file systems, in bytes of UTF-8. */
const MAX_BYTES = 255;

/** Maximum extension, with its dot, that is kept when a name is shortened. */
const MAX_EXTENSION_BYTES = 32;

/**
 * Characters with a meaning on Windows or in a terminal: control characters, separators, wildcards, the stream
 * separator `:`, line ends, and bidirectional controls. The joiners of emoji and of some scripts stay.
 */
const UNSAFE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}<>:"/\\|?*\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/** Device names on Windows, with any extension. */
const DEVICE = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:\.|\s*$)/i;

/**
 * A safe name for a file in a local directory. The uploader chose the name, so it is not trusted: the result stays
 * in the directory, is not hidden, is no command option, and has at most 255 bytes. The id if nothing remains.
 */
export function localFileName({ id, name }: Pick<AssetFile, 'id' | 'name'>): string {
  return shortened(harmless(name)) || shortened(harmless(id)) || 'file';
}

function harmless(name: string): string {
  const clean = name
    .normalize('NFC')
    .replaceAll(UNSAFE, '_')
    // A leading dot hides a file and a leading dash makes it an option; Windows drops trailing dots and spaces.
    .replace(/^[.\-\s]+/u, '')
    .replace(/[.\s]+$/u, '');
  return DEVICE.test(clean) ? `_${clean}` : clean;
}

/** Shortens a name between two grapheme clusters and keeps its extension. */
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
