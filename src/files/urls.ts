import type { FileRecord } from '../catalog/file-catalog.ts';
import { AssetError } from '../errors/asset-error.ts';
import { permissionDenied } from '../errors/callers.ts';
import { fileNotFound } from '../errors/records.ts';
import type { Caller } from '../identity/caller.ts';
import { AnswerRoom, ERROR_BYTES, noRoom } from './answer-room.ts';
import type { FileBytes } from './bytes.ts';
import type { FilesContext } from './context.ts';
import { grantId, recordGrant } from './grants.ts';
import { cleanName } from './names.ts';
import { lookUp, noteUse, type FileName } from './old-files.ts';
import { requestedBytes } from './requested-bytes.ts';
import { tell, tellUnknown, verdictOn } from './policy/guard.ts';
import { assertLive, getMany } from './records.ts';
import { dispositionOf, mayShowInline, servedType } from './url-response.ts';
import type { VariantRequest } from './variants.ts';

/** What a caller wants a URL for. */
export interface FileUrlRequest extends FileName, VariantRequest {
  /** Lifetime in whole seconds, limited by the usage policy; undefined for its default. */
  readonly ttlSeconds: number | undefined;
  /** True to let a browser show the file, if its type is safe. */
  readonly inline: boolean;
  /** Name under which a browser saves the file; empty for the file's own. */
  readonly downloadName: string;
}

/** A URL of a file's bytes. */
export interface FileUrl {
  readonly url: string;
  readonly expireTime: Date;
  readonly contentType: string;
  readonly sizeBytes: number;
}

/** Signs a URL for one file. Throws like {@link urlFor}. */
export async function fileUrl(
  context: FilesContext,
  caller: Caller,
  request: FileUrlRequest,
  signal: AbortSignal,
): Promise<FileUrl> {
  return urlFor(context, caller, await lookUp(context, request, signal), request, signal);
}

/**
 * Signs URLs for many files; the results are in the order of the requests. Those that do not fit into the response are
 * rejected with MESSAGE_TOO_LARGE.
 */
export async function fileUrls(
  context: FilesContext,
  caller: Caller,
  requests: readonly FileUrlRequest[],
  signal: AbortSignal,
): Promise<readonly PromiseSettledResult<FileUrl>[]> {
  const room = new AnswerRoom();
  const results: PromiseSettledResult<FileUrl>[] = [];
  let isFull = false;
  const unknown: string[] = [];
  using _told = { [Symbol.dispose]: () => tellUnknown(context, caller, unknown) };
  while (results.length < requests.length && !isFull) {
    const asked = requests.slice(
      results.length,
      results.length + room.next(requests.length - results.length),
    );
    const files = await getMany(
      context,
      asked.flatMap(({ fileId }) => (fileId === '' ? [] : [fileId])),
      signal,
    );
    const signed = await Promise.allSettled(
      asked.map(async (request) => {
        const isKnown = request.fileId !== '';
        const file = isKnown ? files.get(request.fileId) : await lookUp(context, request, signal);
        if (file !== undefined || !isKnown) return urlFor(context, caller, file, request, signal);
        unknown.push(request.fileId);
        throw verdictOn(context, caller, 'read', file).allowed
          ? fileNotFound(request.fileId)
          : permissionDenied('read');
      }),
    );
    for (const result of signed) {
      // Each later item must have room for at least an error.
      const others = (requests.length - results.length - 1) * ERROR_BYTES;
      isFull ||= !room.take(result.status === 'fulfilled' ? urlBytes(result.value) : ERROR_BYTES, others);
      if (isFull) break;
      results.push(result);
    }
  }
  const reason = noRoom('this URL does not fit with those before it: ask for it again');
  return [...results, ...requests.slice(results.length).map(() => ({ status: 'rejected', reason }) as const)];
}

/**
 * Signs a URL for a file whose record was read. Records the rule that permits it with the grant; a refusal is recorded
 * alone.
 *
 * @throws AssetError PERMISSION_DENIED, FILE_NOT_FOUND, FILE_DELETED, DISPOSITION_NOT_ALLOWED, FILE_NOT_MOVED,
 *   BLOB_MISSING, and those of {@link Variants.open}
 */
async function urlFor(
  context: FilesContext,
  caller: Caller,
  file: FileRecord | undefined,
  request: FileUrlRequest,
  signal: AbortSignal,
): Promise<FileUrl> {
  const verdict = verdictOn(context, caller, 'read', file);
  if (!verdict.allowed) {
    tell(context, caller, 'read', file?.id ?? request.fileId, verdict);
    throw permissionDenied('read');
  }
  if (file === undefined) throw fileNotFound(request.fileId);
  noteUse(context, caller, request);
  const bytes = await requestedBytes(context, assertLive(file), request, signal);
  return signFor(context, caller, { file, bytes }, request, verdict.rule);
}

/**
 * The lifetime starts at the beginning of a window of half the ttl, so that all calls within one window get the same
 * URL. A cache may keep the response for the other half, which is the least that is left.
 */
async function signFor(
  context: FilesContext,
  caller: Caller,
  { file, bytes }: { readonly file: FileRecord; readonly bytes: FileBytes },
  request: FileUrlRequest,
  why: string,
): Promise<FileUrl> {
  const policy = context.policies.ofExisting(file.usage);
  if (request.inline && policy.disposition === 'attachment') throw attachmentOnly(file.usage);
  const { min, max, default: usual } = policy.urlLifetimeSeconds;
  const ttlSeconds = Math.min(Math.max(request.ttlSeconds ?? usual, min), max);
  const windowSeconds = Math.max(1, Math.floor(ttlSeconds / 2));
  const issued = Math.floor(bytes.now().getTime() / 1000 / windowSeconds) * windowSeconds;
  const { variant = '' } = request;
  const isVariant = variant !== '';
  const ownType = bytes.contentType ?? file.contentType;
  const inline = request.inline && mayShowInline(isVariant ? ownType : file.contentType);
  const contentType = servedType(ownType);
  const downloadName = cleanName(request.downloadName, 'download_name');
  const names = isVariant
    ? [file.name, file.id].map((name) => variantName(name, contentType))
    : [file.name, file.id];
  const contentDisposition = dispositionOf(inline, [downloadName, ...names]);
  const id = grantId([
    file.id,
    ...(isVariant ? [variant] : []),
    issued,
    ttlSeconds,
    contentType,
    contentDisposition,
  ]);
  const { url, expireTime } = await bytes.signUrl({
    issuedAt: new Date(issued * 1000),
    ttlSeconds,
    contentType,
    contentDisposition,
    cacheControl: `max-age=${ttlSeconds - windowSeconds}, immutable`,
    grantId: id,
  });
  const disposition = inline ? 'inline' : 'attachment';
  const facts = { disposition, ...(isVariant && { variant }) };
  recordGrant(context, caller, { id, of: { fileId: file.id }, expireTime, why, facts });
  return {
    url,
    expireTime,
    contentType,
    sizeBytes: bytes.sizeBytes,
  };
}

/** The name of a file with the extension of a variant's media type; empty if it has no name. */
function variantName(name: string, contentType: string): string {
  if (name === '') return '';
  return `${name.replace(/\.[A-Za-z0-9]{1,8}$/, '')}.${contentType.slice('image/'.length)}`;
}

function attachmentOnly(usage: string): AssetError {
  return new AssetError(
    'DISPOSITION_NOT_ALLOWED',
    `files of usage "${usage}" may only be saved: ask for an attachment`,
    { metadata: { usage } },
  );
}

/** Maximum size of a URL in a response, with all fields, in bytes. */
function urlBytes({ url, contentType }: FileUrl): number {
  return 256 + Buffer.byteLength(url) + Buffer.byteLength(contentType);
}
