import { create as createContentDisposition } from 'content-disposition';
import { essence } from './content-type/content-type.ts';
import { downloadNameOf } from './names.ts';

/**
 * Types that a browser may show inline: it knows them, and they cannot run code in the reader's session. Listed by
 * name, because browsers treat everything that ends with `+xml` as a document with scripts. Browsers' PDF viewers
 * isolate a document's scripts.
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
 * Types that a browser executes under their own name: as a page, a script of another page, or a worker. SVG is not
 * included: as an attachment it is shown only in `<img>`, where scripts do not run.
 */
const RUNS =
  /^(text\/(html|xml|xsl|(x-)?(java|ecma|live|j)script[\d.]*)|application\/(xml|xml-dtd|(x-)?(java|ecma)script|wasm|x-shockwave-flash|xslt\+xml)|multipart\/.*|message\/.*|(?!image\/svg\+xml$).*\+xml)$/;

/** True if a browser may show this type inline. */
export function mayShowInline(contentType: string): boolean {
  return INLINE.has(essence(contentType));
}

/**
 * The `Content-Type` of a URL's response. Types that browsers execute become `application/octet-stream`. Only the
 * parameter charset stays: a comma in another one would start a second type for a browser.
 */
export function servedType(contentType: string): string {
  const type = essence(contentType);
  if (type === '' || RUNS.test(type)) return 'application/octet-stream';
  const charset = /;\s*charset="?([\w.:-]+)"?\s*(?:;|$)/i.exec(contentType)?.[1];
  return charset === undefined ? type : `${type}; charset=${charset.toLowerCase()}`;
}

/** The `Content-Disposition` (RFC 6266, RFC 8187) with the first non-empty name. */
export function dispositionOf(inline: boolean, names: readonly string[]): string {
  const name = names.map(downloadNameOf).find((one) => one !== '');
  return createContentDisposition(name, { type: inline ? 'inline' : 'attachment' });
}
