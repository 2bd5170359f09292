import { supportedMimeTypes } from 'file-type';
import mime from 'mime';
import { contentTypeMismatch } from '../../errors/records.ts';
import { detectType, zipEntries } from './detect.ts';
import { essence, hasContainer, isContainer, isGeneric, isText, relationOf } from './media-types.ts';
import type { ContentRules } from '../policy/usage-policies.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import { readBytes, type FileBytes } from '../bytes.ts';

export { essence } from './media-types.ts';

/** How many bytes of a file are looked at to find its type: what `file-type` asks for. */
export const SNIFF_BYTES = 4100;

/** How a type has to be proved: not at all, by the bytes if it has a mark, or by the bytes in any case. */
type Proof = 'none' | 'mark' | 'any';

/**
 * Decides the media type of a file from what the caller says, its name and its first bytes.
 *
 * A `declared` type that is empty or says nothing (`application/octet-stream`) is found out: from the bytes if they tell,
 * else from the name if bytes of that type carry no mark of their own. Another name for what the bytes are
 * (`image/jpg`), or a format of the same kind, becomes what the bytes are. Any other declared type stands unless the bytes
 * contradict it (WHATWG MIME Sniffing calls the marks "byte patterns").
 *
 * @param head - the first {@link SNIFF_BYTES} bytes, or all of a shorter file
 * @param proof - what it takes beside that; with more than `none` a type that the bytes show holds, whatever is declared
 * @throws AssetError CONTENT_TYPE_MISMATCH
 */
export async function decideContentType(
  declared: string,
  name: string,
  head: Uint8Array,
  proof: Proof,
): Promise<string> {
  const detected = await detectType(head);
  const type = essence(declared);
  if (isGeneric(type)) {
    return detected ?? (declared === '' ? (fromName(name) ?? 'application/octet-stream') : declared);
  }
  if (head.length === 0) return declared;
  if (detected === undefined) {
    const isProved = proof === 'none' || !hasMark(type);
    if (isProved && (proof !== 'any' || (isText(type) && looksLikeText(head)))) return declared;
    throw contentTypeMismatch(type, { detected: undefined });
  }
  const shown = essence(detected);
  if (shown === type) return declared;
  switch (relationOf(type, shown)) {
    case 'same':
      return detected;
    case 'member':
      if (proof !== 'none' && !mayBeInContainer(type, shown, head)) {
        throw contentTypeMismatch(type, { detected: shown });
      }
      return declared;
    case 'contradiction':
      throw contentTypeMismatch(type, { detected: shown });
    case 'unrelated':
      // A short mark such as `BM` may begin a text, so a text is contradicted only by bytes that no text has.
      if (isText(type) && looksLikeText(head)) return declared;
      if (hasMark(type) || isText(type)) throw contentTypeMismatch(type, { detected: shown });
      // A format that an operator names may be kept in a container as well.
      return proof === 'none' || (proof === 'mark' && isContainer(shown)) ? declared : detected;
  }
}

/**
 * Decides the media type of a file like {@link decideContentType}, and holds it to the policy of its usage.
 *
 * @throws AssetError CONTENT_TYPE_MISMATCH, CONTENT_TYPE_NOT_ALLOWED, USAGE_UNKNOWN
 */
export async function allowedContentType(
  rules: ContentRules,
  file: { readonly contentType: string; readonly name: string },
  head: Uint8Array,
): Promise<string> {
  const contentType = await decideContentType(
    file.contentType,
    file.name,
    head,
    rules.proofOf(file.contentType),
  );
  rules.checkContentType(contentType);
  return contentType;
}

function fromName(name: string): string | undefined {
  const type = mime.getType(name) ?? undefined;
  return type !== undefined && !hasMark(type) ? type : undefined;
}

/** True if files of this type can be told by their first bytes. */
function hasMark(type: string): boolean {
  return supportedMimeTypes.has(type) || hasContainer(type);
}

/** Entries with which the archive of an office document begins. */
const OFFICE_ENTRY = /^(\[Content_Types\]\.xml|(_rels|docProps|word|xl|ppt|visio|customXml)\/)/;

/** True if nothing speaks against a format in a container that does not say which it is. */
function mayBeInContainer(type: string, container: string, head: Uint8Array): boolean {
  // The library tells these by their root element, which stands in the first bytes.
  if (/svg|html/.test(type)) return false;
  if (container !== 'application/zip' || !/officedocument|macroenabled/.test(type)) return true;
  return zipEntries(head).every((entry) => OFFICE_ENTRY.test(entry));
}

function looksLikeText(head: Uint8Array): boolean {
  const isWide = (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff);
  return isWide || !head.includes(0);
}

/** The bytes at the beginning of some content that tell its type, or all of a shorter one. */
export async function headOf(chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const head: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    if (length >= SNIFF_BYTES) break;
    head.push(chunk);
    length += chunk.byteLength;
  }
  return (head.length === 1 ? head[0]! : Buffer.concat(head)).subarray(0, SNIFF_BYTES);
}

/** The same of a file that is not empty, from the store. */
export async function readHead(store: BlobStore, fileId: string, signal: AbortSignal): Promise<Uint8Array> {
  return readHeadOf({ read: (range, call) => readBytes(store, fileId, call, range) }, signal);
}

/** The same of a file that is not empty, wherever it lies. */
export async function readHeadOf(bytes: Pick<FileBytes, 'read'>, signal: AbortSignal): Promise<Uint8Array> {
  const content = await bytes.read({ offset: 0, length: SNIFF_BYTES }, { signal });
  return Buffer.concat((await content.toArray()) as Uint8Array[]);
}
