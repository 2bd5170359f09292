import type { FileCatalog, JsonValue } from '../../catalog/file-catalog.ts';
import { isAssetError } from '../../errors/asset-error.ts';
import { blobKey, pieceKey } from '../../files/bytes.ts';
import { pieceRevisions } from '../../files/upload/session-pieces.ts';
import { toSession, type Session } from '../../files/upload/session-state.ts';
import type { BlobStore } from '../../storage/blob-store.ts';

const PAGE = 200;

/** Open uploads with bytes in one store. */
export interface OpenUploads {
  readonly ids: readonly string[];
  /** When the last of them expires, if nobody goes on with it. */
  readonly until: Date;
}

/** The open uploads that have parts or pieces in a store. */
export async function openIn(
  catalog: FileCatalog,
  store: BlobStore,
  signal: AbortSignal,
): Promise<OpenUploads> {
  const ids: string[] = [];
  let until = new Date(0);
  for (let from: string | undefined; ;) {
    const { items, next } = await catalog.exportState('upload', from, PAGE, { signal });
    for (const { key: id, value } of items) {
      if (value.closed) continue;
      const expireTime = new Date(value.expireTime);
      if (!(await hasBytesIn(store, id, value, signal))) continue;
      ids.push(id);
      if (expireTime > until) until = expireTime;
    }
    if (next === undefined) return { ids, until };
    from = next;
  }
}

async function hasBytesIn(
  store: BlobStore,
  id: string,
  value: { readonly revision: number; readonly state: JsonValue; readonly expireTime: number },
  signal: AbortSignal,
): Promise<boolean> {
  let session: Session;
  try {
    session = toSession({ id, ...value, expireTime: new Date(value.expireTime) });
  } catch {
    // Of another release, or damaged: it may have bytes anywhere.
    return true;
  }
  const { multipartId } = session.state;
  if (multipartId !== undefined) {
    try {
      await store.listParts(blobKey(id), multipartId, { signal });
      return true;
    } catch (error) {
      if (!isAssetError(error, 'UPLOAD_EXPIRED')) throw error;
    }
  }
  for (const revision of pieceRevisions(session)) {
    if (await store.stat(pieceKey(id, revision), { signal })) return true;
  }
  return false;
}
