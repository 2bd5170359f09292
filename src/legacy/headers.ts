import { parse as parseContentDisposition } from 'content-disposition';
import type { FileRecord } from '../catalog/file-catalog.ts';
import { essence, isGeneric } from '../files/content-type/media-types.ts';
import type { BlobProperties } from '../storage/blob.ts';
import type { ObjectInfo } from '../storage/object-reader.ts';

/** A header whose value differs between the old bucket and the service. */
export type HeaderDifference =
  'content-encoding' | 'content-language' | 'disposition' | 'cache-control' | 'metadata';

/** The differences of one file, with the values of the old object. */
export type HeaderDifferences = Readonly<Partial<Record<HeaderDifference, string>>>;

/** Longest value in a report, in characters. */
const MAX_VALUE = 200;

/** Cache directives that the service does not send: its URLs may be cached until they expire. */
const RESTRICTS = /\b(no-store|no-cache|private|must-revalidate|max-age=0)\b/i;

/**
 * The content type of a moved file: that of the record, with the charset of the object if the record has none. UTF-8 is
 * ignored, because PocketBase sets it for every text regardless of the content.
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

/** The properties of the blob that an object is copied to: all headers of the object. */
export function propertiesOf(file: FileRecord, info: ObjectInfo): BlobProperties {
  const ofObject = isGeneric(essence(info.contentType)) ? '' : info.contentType;
  const contentType = [ofObject, file.contentType].find((type) => /^[ -~]+$/.test(type));
  return { contentType: contentType ?? 'application/octet-stream', headers: info.headers };
}

/**
 * Headers that readers get with other values than from the old bucket. The service derives type, disposition and cache
 * control of a URL from the record.
 *
 * @param keepsHeaders - whether the store of the service keeps the other headers
 */
export function differencesOf(file: FileRecord, info: ObjectInfo, keepsHeaders: boolean): HeaderDifferences {
  const { contentEncoding, contentLanguage, contentDisposition, cacheControl, metadata } = info.headers;
  const told: Record<HeaderDifference, string | undefined> = {
    // A URL has this header; DownloadFile has no field for it.
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

/** False if the header is equal to that of the service: an attachment with the name of the file. */
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
