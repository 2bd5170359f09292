import { create as createContentDisposition } from 'content-disposition';
import { essence } from './content-type.ts';
import { downloadNameOf } from './names.ts';

/**
 * Types that a browser may show in place: it knows them, and they cannot run code in the reader's session. Each by its
 * name, since a browser takes whatever ends in `+xml` for a document with scripts. The viewers that browsers have for
 * PDF keep the scripts of a document to that document.
 */
const INLINE = new Set([
  ...['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif', 'image/apng', 'image/bmp'],
  ...['image/heic', 'image/heif', 'image/tiff', 'image/jxl', 'image/x-icon', 'image/vnd.microsoft.icon'],
  ...[
    'audio/mpeg',
    'audio/mp4',
    'audio/x-m4a',
    'audio/aac',
    'audio/ogg',
    'audio/opus',
    'audio/wav',
    'audio/x-wav',
  ],
  ...['audio/vnd.wave', 'audio/flac', 'audio/x-flac', 'audio/webm'],
  ...['video/mp4', 'video/webm', 'video/ogg', 'video/quicktime', 'video/mpeg', 'video/x-m4v', 'video/3gpp'],
  ...['video/x-matroska', 'application/pdf', 'text/plain'],
]);

/**
 * Types that a browser runs where it is given them under their own name: as a page, as a script of another page, or as
 * a worker. SVG is not among them: as an attachment it is shown in `<img>` alone, where its scripts are dead.
 */
const RUNS =
  /^(text\/(html|xml|xsl|(x-)?(java|ecma|live|j)script[\d.]*)|application\/(xml|xml-dtd|(x-)?(java|ecma)script|wasm|x-shockwave-flash|xslt\+xml)|multipart\/.*|message\/.*|(?!image\/svg\+xml$).*\+xml)$/;

/** True if a browser may show this type in place of saving it. */
export function mayShowInline(contentType: string): boolean {
  return INLINE.has(essence(contentType));
}

/**
 * The `Content-Type` that a URL answers with. What browsers run becomes `application/octet-stream`. Of the parameters
 * only the charset stays: a comma in one would begin another type for a browser.
 */
export function servedType(contentType: string): string {
  const type = essence(contentType);
  if (type === '' || RUNS.test(type)) return 'application/octet-stream';
  const charset = /;\s*charset="?([\w.:-]+)"?\s*(?:;|$)/i.exec(contentType)?.[1];
  return charset === undefined ? type : `${type}; charset=${charset.toLowerCase()}`;
}

/** The `Content-Disposition` (RFC 6266, RFC 8187) with the first name that is not empty. */
export function dispositionOf(inline: boolean, names: readonly string[]): string {
  const name = names.map(downloadNameOf).find((one) => one !== '');
  return createContentDisposition(name, { type: inline ? 'inline' : 'attachment' });
}
