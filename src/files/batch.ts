import type { FileRecord } from '../catalog/file-catalog.ts';
import { AnswerRoom, ERROR_BYTES, noRoom, readMany, recordBytes } from './answer-room.ts';
import type { Caller } from '../identity/caller.ts';
import type { FilesContext } from './context.ts';
import { lookUp } from './old-files.ts';
import { may, tellUnknown, verdictOn } from './policy/guard.ts';
import { urlFor, type FileUrl, type FileUrlRequest } from './read.ts';
import { permissionDenied } from '../errors/callers.ts';
import { fileNotFound } from '../errors/records.ts';

/**
 * Records of many files, and the ids that name none which the caller may see, each in the order asked.
 *
 * @throws AssetError MESSAGE_TOO_LARGE (metadata: max_bytes, max_files) if they do not fit into one answer
 */
export async function getFiles(
  context: FilesContext,
  caller: Caller,
  fileIds: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly files: readonly FileRecord[]; readonly missing: readonly string[] }> {
  const room = new AnswerRoom();
  const files: FileRecord[] = [];
  const missing: string[] = [];
  const unknown: string[] = [];
  using _told = { [Symbol.dispose]: () => tellUnknown(context, caller, unknown) };
  for (let at = 0; at < fileIds.length;) {
    const ids = fileIds.slice(at, at + room.next(fileIds.length - at));
    const found = await getMany(context, ids, signal);
    for (const [index, id] of ids.entries()) {
      const file = found.get(id);
      if (file === undefined) unknown.push(id);
      const isSeen = file !== undefined && may(context, caller, 'read', id, file);
      if (!room.take(isSeen ? recordBytes(file) : Buffer.byteLength(id) + 8)) {
        const fitting = String(at + index);
        throw noRoom(`the records do not fit: ask for at most ${fitting} of these files`, {
          max_files: fitting,
        });
      }
      if (isSeen) files.push(file);
      else missing.push(id);
    }
    at += ids.length;
  }
  return { files, missing };
}

/**
 * Signs URLs for many files; the results are in the order asked. Those that have no room in the answer any more are rejected
 * with MESSAGE_TOO_LARGE.
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
      // Each that comes after it has at least the room of an error.
      const others = (requests.length - results.length - 1) * ERROR_BYTES;
      isFull ||= !room.take(result.status === 'fulfilled' ? urlBytes(result.value) : ERROR_BYTES, others);
      if (isFull) break;
      results.push(result);
    }
  }
  const reason = noRoom('this URL does not fit with those before it: ask for it again');
  return [...results, ...requests.slice(results.length).map(() => ({ status: 'rejected', reason }) as const)];
}

function getMany(
  { catalog }: FilesContext,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, FileRecord>> {
  return readMany(signal, () => catalog.get([...new Set(ids)], { signal }));
}

/** With its time, size and the names of all fields. */
function urlBytes({ url, contentType }: FileUrl): number {
  return 256 + Buffer.byteLength(url) + Buffer.byteLength(contentType);
}
