import type { Readable } from 'node:stream';
import type { BlobRange } from '../storage/blob.ts';
import { blobPages } from '../storage/blob-reads.ts';
import type { BlobStore, SignedUrl, SignedUrlOptions, StoreCall } from '../storage/blob-store.ts';
import type { ReservationPool, SlotOutcome } from './upload/reservations.ts';

/** How long it may take to remove what a call left behind, in milliseconds. */
const CLEANUP_TIMEOUT_MS = 10_000;

const PIECES_PER_PAGE = 1_000;

/**
 * The key of a file's blob. It depends on the id only, so it is stored nowhere. Its first segment distinguishes it from
 * other objects in the bucket.
 */
export function blobKey(fileId: string): string {
  return `assets/${fileId.slice(0, 2)}/${fileId}`;
}

/** The key of a piece of an upload; its first segment differs from that of files. */
export function pieceKey(uploadId: string, revision: number): string {
  return `uploads/${uploadId.slice(0, 2)}/${uploadId}/${revision}`;
}

/** Prefix of everything that was derived from files. */
export const DERIVED_PREFIX = 'variants/';

/**
 * The key of what was derived from a file: a rendition, the record of a failure, a thumbhash.
 *
 * @param name - says what it is; see `renditions.ts`. It comes first, so that all of one definition can be listed.
 */
export function derivedKey(name: string, fileId: string): string {
  return `${DERIVED_PREFIX}${name}/${fileId.slice(0, 2)}/${fileId}`;
}

/** The name and the file id of a {@link derivedKey}; undefined for another key. */
export function derivedOf(key: string): { readonly name: string; readonly fileId: string } | undefined {
  const [, name = '', fileId = ''] = /^variants\/([a-z0-9-]+)\/[^/]+\/([a-z0-9]{15})$/.exec(key) ?? [];
  return key === derivedKey(name, fileId) ? { name, fileId } : undefined;
}

const PATTERNS = {
  blob: /^assets\/[a-z0-9]{2}\/([a-z0-9]{15})$/,
  piece: /^uploads\/[a-z0-9]{2}\/([a-z0-9]{15})\/(\d+)$/,
};

/** The id of a key; undefined for a key in another format, which may belong to somebody else. */
export function idOfKey(kind: keyof typeof PATTERNS, key: string): string | undefined {
  const [, id = '', revision] = PATTERNS[kind].exec(key) ?? [];
  const expected = kind === 'blob' ? blobKey(id) : pieceKey(id, Number(revision));
  return key === expected ? id : undefined;
}

/** The bytes of a file, in the store or in the old system. */
export interface FileBytes {
  readonly sizeBytes: number;
  /** Content type stored with the bytes, if it counts instead of the record's. */
  readonly contentType?: string;
  read(range: BlobRange, call: StoreCall): Promise<Readable>;
  signUrl(options: SignedUrlOptions): Promise<SignedUrl>;
  /** The clock for the lifetime of signed URLs. */
  now(): Date;
}

/** The bytes of a file that the service stored. */
export function storedBytes(
  store: BlobStore,
  { id, sizeBytes }: { readonly id: string; readonly sizeBytes: number },
): FileBytes {
  const key = blobKey(id);
  return {
    sizeBytes,
    read: (range, call) => store.read(key, range, call),
    signUrl: (options) => store.signUrl(key, options),
    now: () => store.now(),
  };
}

/** Reads the blob of an id. Rejects like {@link BlobStore.read}. */
export function readBytes(
  store: BlobStore,
  id: string,
  call: StoreCall,
  range?: BlobRange,
): Promise<Readable> {
  return store.read(blobKey(id), range, call);
}

/** Size of the blob of an id; undefined if there is none. */
export async function sizeOfBytes(
  store: BlobStore,
  id: string,
  call: StoreCall,
): Promise<number | undefined> {
  return (await store.stat(blobKey(id), call))?.sizeBytes;
}

/** Which data of an id to remove. */
export interface Remains {
  /** Unfinished multipart blobs. */
  readonly unfinished?: boolean;
  readonly blob?: boolean;
  /** Revisions of pieces. */
  readonly pieces?: readonly number[];
  /** Names of what may have been derived from the file. */
  readonly derived?: readonly string[];
}

/**
 * Removes data of an id. After a failure it still tries the rest, and then rejects with the first failure.
 */
export async function removeBytes(
  store: BlobStore,
  id: string,
  { unfinished = false, blob = false, pieces = [], derived = [] }: Remains,
  call: StoreCall = { signal: AbortSignal.timeout(CLEANUP_TIMEOUT_MS) },
): Promise<void> {
  const works = [
    ...(unfinished ? [() => store.abortMultiparts(blobKey(id), call)] : []),
    ...(blob ? [() => store.delete(blobKey(id), call)] : []),
    ...pieces.map((revision) => () => store.delete(pieceKey(id, revision), call)),
    ...derived.map((name) => () => store.delete(derivedKey(name, id), call)),
  ];
  const failures: unknown[] = [];
  for (const work of works) await work().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

/**
 * Revisions of the pieces of an upload whose state cannot be read. Lists only the keys of this upload.
 */
export async function findPieces(store: BlobStore, uploadId: string, call: StoreCall): Promise<number[]> {
  const prefix = pieceKey(uploadId, 0).slice(0, -1);
  const revisions: number[] = [];
  for await (const page of blobPages(store, { prefix, limit: PIECES_PER_PAGE }, call)) {
    revisions.push(...page.map(({ key }) => Number(key.slice(prefix.length))));
  }
  return revisions.filter((revision) => Number.isSafeInteger(revision));
}

/**
 * The names of everything that is derived from files. Asks only for the first key after each name, so the cost depends
 * on their number and not on that of the files.
 */
export async function findDerivedNames(store: BlobStore, call: StoreCall): Promise<readonly string[]> {
  const names: string[] = [];
  for (let after: string | undefined; ;) {
    const page = { prefix: DERIVED_PREFIX, limit: 1, ...(after !== undefined && { after }) };
    const [found] = await store.listBlobs(page, call);
    const name = found?.key.slice(DERIVED_PREFIX.length).split('/')[0];
    if (name === undefined) return names;
    names.push(name);
    // '0' is the character after the slash.
    after = `${DERIVED_PREFIX}${name}0`;
  }
}

/** Tries to remove the blob of an id that did not become a file; returns what to release the id with. */
export async function tryRemoveBlob(store: BlobStore, id: string): Promise<SlotOutcome> {
  return removeBytes(store, id, { blob: true }).then(
    () => 'settled',
    () => 'unsettled',
  );
}

/** A blob for the bytes of a slow part until it is sent. */
export interface SpareBlob {
  readonly key: string;
  /** Removes the blob, if it was written, and gives back its id; `mayArrive`: it may yet be written. Never rejects. */
  remove(mayArrive?: boolean): Promise<void>;
}

/**
 * Provides blobs for bytes that must leave memory. Each has a reserved id that never becomes a file, so the sweeper
 * removes what a crash leaves.
 */
export function spareBlobs({
  store,
  reservations,
}: {
  readonly store: BlobStore;
  readonly reservations: ReservationPool;
}): () => Promise<SpareBlob> {
  return async () => {
    const reserved = await reservations.take();
    return {
      key: blobKey(reserved.fileId),
      async remove(mayArrive = false) {
        const outcome = await tryRemoveBlob(store, reserved.fileId);
        reserved.release(mayArrive ? 'unsettled' : outcome);
      },
    };
  };
}
