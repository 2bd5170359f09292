import { supportedMimeTypes } from 'file-type';
import mime from 'mime';
import { contentTypeMismatch } from '../../errors/records.ts';
import { detectType, zipEntries } from './detect.ts';
import { essence, hasContainer, isContainer, isGeneric, isText, relationOf } from './media-types.ts';
import type { ContentRules } from '../policy/usage-policies.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import { readBytes, type FileBytes } from '../bytes.ts';

export { essence } from './media-types.ts';

/** Number of bytes from which the type of a file is detected: what `file-type` needs. */
export const SNIFF_BYTES = 4100;

/** How a declared type must be proved: not at all, by the bytes if the type has a signature, or by the bytes always. */
type Proof = 'none' | 'mark' | 'any';

/**
 * Decides the media type of a file from the declared type, the name and the first bytes.
 *
 * - If the declared type is empty or generic (`application/octet-stream`), the type is detected from the bytes, or else
 *   taken from the name if that type has no signature (WHATWG MIME Sniffing: "byte pattern").
 * - If the declared type is another name of the detected one (`image/jpg`), or a related format, the detected type counts.
 * - Any other declared type stays, unless the bytes contradict it.
 *
 * @param head - the first {@link SNIFF_BYTES} bytes, or all of a shorter file
 * @param proof - further requirement; with more than `none` the detected type counts whatever is declared
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
      // A text may start with a short signature such as `BM`, so only bytes that no text has contradict a text type.
      if (isText(type) && looksLikeText(head)) return declared;
      if (hasMark(type) || isText(type)) throw contentTypeMismatch(type, { detected: shown });
      // A format that the policy names may be stored in a container.
      return proof === 'none' || (proof === 'mark' && isContainer(shown)) ? declared : detected;
  }
}

/**
 * Decides the media type of a file like {@link decideContentType}, and checks it against the policy of its usage.
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

/** True if files of this type have a signature in their first bytes. */
function hasMark(type: string): boolean {
  return supportedMimeTypes.has(type) || hasContainer(type);
}

/** Entries at the start of the archive of an office document. */
const OFFICE_ENTRY = /^(\[Content_Types\]\.xml|(_rels|docProps|word|xl|ppt|visio|customXml)\/)/;

/** True if the container may hold this format, which its first bytes do not tell. */
function mayBeInContainer(type: string, container: string, head: Uint8Array): boolean {
  // The library detects these by their root element, which is in the first bytes.
  if (/svg|html/.test(type)) return false;
  if (container !== 'application/zip' || !/officedocument|macroenabled/.test(type)) return true;
  return zipEntries(head).every((entry) => OFFICE_ENTRY.test(entry));
}

function looksLikeText(head: Uint8Array): boolean {
  const isWide = (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff);
  return isWide || !head.includes(0);
}

/** The first {@link SNIFF_BYTES} bytes of some content, or all of shorter content. */
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

/** The first bytes of a stored file that is not empty. */
export async function readHead(store: BlobStore, fileId: string, signal: AbortSignal): Promise<Uint8Array> {
  return readHeadOf({ read: (range, call) => readBytes(store, fileId, call, range) }, signal);
}

/** The first bytes of a file that is not empty, in the store or in the old system. */
export async function readHeadOf(bytes: Pick<FileBytes, 'read'>, signal: AbortSignal): Promise<Uint8Array> {
  const content = await bytes.read({ offset: 0, length: SNIFF_BYTES }, { signal });
  return Buffer.concat((await content.toArray()) as Uint8Array[]);
}
