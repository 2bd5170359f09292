import { parse as parseContentDisposition } from 'content-disposition';
import type { FileRecord } from '../catalog/file-catalog.ts';
import { essence, isGeneric } from '../files/content-type/media-types.ts';
import type { BlobProperties } from '../storage/blob.ts';
import type { ObjectInfo } from '../storage/object-reader.ts';

/** A header of an old object that readers of the service do not get as readers of the old bucket do. */
export type HeaderDifference =
  'content-encoding' | 'content-language' | 'disposition' | 'cache-control' | 'metadata';

/** The differences of one file, with the values of the old object. */
export type HeaderDifferences = Readonly<Partial<Record<HeaderDifference, string>>>;

/** Longest value in a report, in characters. */
const MAX_VALUE = 200;

/** Instructions that the service does not give: its URLs may be cached as long as they live. */
const RESTRICTS = /\b(no-store|no-cache|private|must-revalidate|max-age=0)\b/i;

/**
 * The content type that a moved file has: that of the record, with the charset of the object where the record names
 * none. UTF-8 is left out, because PocketBase writes it on every text, whatever is in it.
 */
export function contentTypeOf(
  file: Pick<FileRecord, 'contentType'>,
  info: Pick<ObjectInfo, 'contentType'>,
): string {
  const charset = charsetOf(info.contentType);
  const isSame = essence(file.contentType) === essence(info.contentType);
  if (!isSame || charset === undefined || charset === 'utf-8' || file.contentType.includes(';')) {
    return file.contentType;
  }
  return `${file.contentType.trim()}; charset=${charset}`;
}

/** What a blob with the bytes of an object is stored with: all headers of the object. */
export function propertiesOf(file: FileRecord, info: ObjectInfo): BlobProperties {
  const ofObject = isGeneric(essence(info.contentType)) ? '' : info.contentType;
  const contentType = [ofObject, file.contentType].find((type) => /^[ -~]+$/.test(type));
  return { contentType: contentType ?? 'application/octet-stream', headers: info.headers };
}

/**
 * What readers get otherwise than from the old bucket. Type, disposition and cache control of a URL are those of the
 * service, from the record.
 *
 * @param keepsHeaders - whether the store of the service keeps the other headers
 */
export function differencesOf(file: FileRecord, info: ObjectInfo, keepsHeaders: boolean): HeaderDifferences {
  const { contentEncoding, contentLanguage, contentDisposition, cacheControl, metadata } = info.headers;
  const told: Record<HeaderDifference, string | undefined> = {
    // A URL gives it with the bytes; DownloadFile has no place for it.
    'content-encoding': contentEncoding,
    'content-language': keepsHeaders ? undefined : contentLanguage,
    disposition: isOtherName(contentDisposition, file.name) ? contentDisposition : undefined,
    'cache-control': RESTRICTS.test(cacheControl ?? '') ? cacheControl : undefined,
    metadata: keepsHeaders || metadata === undefined ? undefined : Object.keys(metadata).join(', '),
  };
  return Object.fromEntries(
    Object.entries(told).flatMap(([name, value]) => (value ? [[name, value.slice(0, MAX_VALUE)]] : [])),
  );
}

/** True unless the header says what the service says: an attachment with the name of the file. */
function isOtherName(contentDisposition: string | undefined, name: string): boolean {
  if (contentDisposition === undefined) return false;
  try {
    const { type, parameters } = parseContentDisposition(contentDisposition);
    return type !== 'attachment' || (parameters['filename'] ?? name).normalize() !== name.normalize();
  } catch {
    return true;
  }
}

function charsetOf(contentType: string): string | undefined {
  return /;\s*charset="?([\w.:-]+)"?\s*(?:;|$)/i.exec(contentType)?.[1]?.toLowerCase();
}
