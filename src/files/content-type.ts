import { fileTypeFromBuffer, supportedMimeTypes } from 'file-type';
import mime from 'mime';
import { AssetError } from '../errors.ts';
import { detectMarkup } from './markup.ts';
import type { UsagePolicies } from './policy/usage-policies.ts';

/** How many bytes of a file are looked at to find its type: what `file-type` asks for. */
export const SNIFF_BYTES = 4100;

/**
 * Types that are written as another one: the detector names the container where it cannot see further
 * in, or the caller does. Each group holds names for what may be the same bytes.
 */
const SAME_BYTES: readonly RegExp[] = [
  /[/.+-]zip|officedocument|opendocument|epub|java-archive|android|msix|3mf|x-xpinstall|usdz|\.kmz/,
  /[/+]xml$|svg|html/,
  /x-cfb|msword|ms-excel|ms-powerpoint|vnd\.ms-|x-msi|ms-outlook|visio/,
  /mp4|quicktime|m4[abpv]|3gpp2?|heic|heif|avif|x-f4/,
  /ogg|opus|flac|speex/,
  /webm|matroska/,
  /gzip|tar/,
  /pdf|postscript|illustrator/,
  /x-ms-asf|x-ms-wm[av]|ms-asf/,
  /mpeg|mp2t|mp[123]|aac/,
  /tiff|x-(canon|nikon|sony|adobe|panasonic|fujifilm|olympus)/,
  /x-msdownload|dosexec|portable-executable|x-exe/,
  /wav|vnd\.wave/,
  /bmp|icon/,
];

/** The media type without parameters, in lower case. */
export function essence(contentType: string): string {
  return contentType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/**
 * Decides the media type of a file from what the caller says, its name and its first bytes.
 *
 * An empty `declared` is found out: from the bytes if they tell, else from the name if bytes of that
 * type carry no mark of their own, else `application/octet-stream`. A declared type stands unless the
 * bytes contradict it (WHATWG MIME Sniffing calls the marks "byte patterns").
 *
 * @param head - the first {@link SNIFF_BYTES} bytes, or all of a shorter file
 * @param proof - true to refuse a declared type that has a mark if the bytes do not carry it
 * @throws AssetError CONTENT_TYPE_MISMATCH
 */
export async function decideContentType(
  declared: string,
  name: string,
  head: Uint8Array,
  proof: boolean,
): Promise<string> {
  const detected = await detect(head);
  if (declared === '') return detected ?? fromName(name) ?? 'application/octet-stream';
  const type = essence(declared);
  if (contradicts(type, detected, head) || (proof && head.length > 0 && !detected && hasMark(type))) {
    const found = detected ?? 'of no type that can be recognised';
    throw new AssetError(
      'CONTENT_TYPE_MISMATCH',
      `content_type says ${type}, but the bytes are ${found}: declare the true type or leave it empty`,
      { metadata: { content_type: type, detected_type: detected ?? '' } },
    );
  }
  return declared;
}

/**
 * Decides the media type of a file like {@link decideContentType}, and holds it to the policy of its usage.
 *
 * @throws AssetError CONTENT_TYPE_MISMATCH, CONTENT_TYPE_NOT_ALLOWED, USAGE_UNKNOWN
 */
export async function allowedContentType(
  policies: UsagePolicies,
  file: { readonly contentType: string; readonly name: string; readonly usage: string },
  head: Uint8Array,
): Promise<string> {
  const proof = policies.restrictsTypes(file.usage);
  const contentType = await decideContentType(file.contentType, file.name, head, proof);
  policies.checkContentType(file.usage, contentType);
  return contentType;
}

async function detect(head: Uint8Array): Promise<string | undefined> {
  const found = await fileTypeFromBuffer(head).catch(() => undefined);
  // What the library knows as XML may be more than that.
  if (found && found.mime !== 'application/xml') return found.mime;
  return detectMarkup(head) ?? found?.mime;
}

function fromName(name: string): string | undefined {
  const type = mime.getType(name) ?? undefined;
  return type !== undefined && !hasMark(type) ? type : undefined;
}

function hasMark(type: string): boolean {
  return supportedMimeTypes.has(type);
}

/** A short mark such as `BM` may begin a text, so a text is contradicted only by bytes no text has. */
function contradicts(type: string, detected: string | undefined, head: Uint8Array): boolean {
  if (detected === undefined || detected === type) return false;
  if (SAME_BYTES.some((group) => group.test(type) && group.test(detected))) return false;
  if (hasMark(type)) return true;
  return isText(type) && head.includes(0);
}

function isText(type: string): boolean {
  return /^text\/|[/+](json|xml|yaml|javascript|csv)$/.test(type);
}
