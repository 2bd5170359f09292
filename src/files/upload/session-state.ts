import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { JsonValue } from '../../catalog/file-catalog.ts';
import type { UploadSession } from '../../catalog/uploads.ts';
import { catalogUnavailable } from '../../errors/dependencies.ts';
import type { BlobPart } from '../../storage/blob.ts';
import { mergeExpected, type ExpectedChecksums, type HashState } from './checksums.ts';
import type { Content, Cut, UploadFacts } from './hold.ts';
import { pieceKey } from '../bytes.ts';

/** Bytes behind the last whole part, in a blob of their own. */
export interface Piece {
  /** Revision of the session under which it was written; the piece's key follows from it. */
  readonly revision: number;
  readonly sizeBytes: number;
  /** CRC32C of its bytes; releases before 0.2 did not keep it. */
  readonly crc32c?: number;
}

/** Summary of the durable parts. Its size does not depend on their number; the store lists them. */
export interface StoredParts {
  readonly count: number;
  readonly sizeBytes: number;
  /** Identifies the parts: SHA-256 of the previous digest and the last part, in base64. */
  readonly digest: string;
}

/** No parts. */
export const NO_PARTS: StoredParts = { count: 0, sizeBytes: 0, digest: '' };

/** The same parts and one more. */
export function withPart({ count, sizeBytes, digest }: StoredParts, part: BlobPart): StoredParts {
  // Some stores put the tag in quotes in one answer and not in another.
  const text = JSON.stringify([digest, part.partNumber, part.sizeBytes, part.tag.replaceAll('"', '')]);
  return {
    count: count + 1,
    sizeBytes: sizeBytes + part.sizeBytes,
    digest: createHash('sha256').update(text).digest('base64'),
  };
}

/** Properties of a whole file, its SHA-256 in hexadecimal. */
export type Finished = Omit<Content, 'sha256'> & { readonly sha256: string };

/** What is saved of an upload between two calls. The hash is that of the durable bytes. */
export interface SessionState extends UploadFacts, HashState {
  /** True if the catalog counts the session in the quotas of its owner; false for one of an earlier version. */
  readonly claimed?: boolean;
  /** Id of the caller for its request; absent without one, and in a state of an earlier version. */
  readonly requestId?: string;
  /** When the session began, in milliseconds since 1970; absent in a state of an earlier version. */
  readonly createdAt?: number;
  /** True if callers send parts straight to the store. */
  readonly direct: boolean;
  readonly partSizeBytes: number;
  /** Id of the multipart blob, once there is one. */
  readonly multipartId?: string;
  /** Media type, decided when the first bytes were there. */
  readonly contentType?: string;
  /** The parts that are durable, without a gap. */
  readonly stored: StoredParts;
  /** The durable bytes behind them. */
  readonly tail: readonly Piece[];
  /** Revisions of pieces that a part includes. They are to be removed. */
  readonly stale: readonly number[];
  /** Revisions under which a call may have written a piece that is not in `tail`. */
  readonly pending: readonly number[];
  /** Whole-file checksums that the caller gave so far. */
  readonly expected: { readonly sha256?: string; readonly crc32c?: number };
  /** Properties of the whole file; set before the blob is assembled. */
  readonly finishing?: Finished;
}

/** A session with its state read. */
export interface Session {
  readonly id: string;
  readonly revision: number;
  readonly expireTime: Date;
  readonly state: SessionState;
}

/** Reads a session as the catalog has it. */
export function toSession(session: UploadSession): Session {
  return { ...session, state: readState(session) };
}

/**
 * Version of the state that this release writes. Version 1, and 0 which names none, list all parts where later ones have
 * {@link StoredParts}; in nothing else they differ.
 */
const VERSION = 2;

/** What has to be in a state of any version; the rest may be left out. */
const COMMON = {
  caller: z.looseObject({ principal: z.string(), endUser: z.string() }),
  description: z.looseObject({}),
  direct: z.boolean(),
  partSizeBytes: z.int().positive(),
  tail: z.array(z.looseObject({ revision: z.int(), sizeBytes: z.int().min(0) })),
  stale: z.array(z.int()),
  pending: z.array(z.int()),
  crc32c: z.int().min(0),
  sha256State: z.string(),
  expected: z.looseObject({}),
};

const STATE = z.looseObject({
  ...COMMON,
  version: z.literal(VERSION),
  stored: z.object({ count: z.int().min(0), sizeBytes: z.int().min(0), digest: z.string() }),
});

const LISTED = z.looseObject({
  ...COMMON,
  version: z.int().min(0).max(1).default(0),
  parts: z.array(z.looseObject({ partNumber: z.int().min(1), sizeBytes: z.int().min(0), tag: z.string() })),
});

/**
 * Reads a state.
 *
 * @throws AssetError CATALOG_UNAVAILABLE for a version of a later release, which another replica may read
 * @throws Error if it is damaged
 */
function readState({ id, state }: UploadSession): SessionState {
  const { version } = (state ?? {}) as { readonly version?: unknown };
  if (typeof version === 'number' && version > VERSION) {
    const cause = new Error(
      `the upload ${id} has a state of version ${version}; this release reads up to ${VERSION}`,
    );
    throw catalogUnavailable(cause, 'newer');
  }
  const read = version === VERSION ? STATE.safeParse(state) : LISTED.safeParse(state);
  if (read.success) {
    const { version: _read, parts, ...same } = read.data as { version: number; parts?: readonly BlobPart[] };
    const stored = parts && { stored: parts.reduce(withPart, NO_PARTS) };
    return { ...same, ...stored } as unknown as SessionState;
  }
  throw new Error(
    `the state of the upload ${id} is damaged: ${z.prettifyError(read.error).replaceAll(/\s+/g, ' ')}`,
  );
}

/** The state as the catalog keeps it. */
export function toJson(state: SessionState): JsonValue {
  return { ...state, version: VERSION } as unknown as JsonValue;
}

/** Number of durable bytes; the offset at which the caller continues. */
export function persistedSize({ state }: Pick<Session, 'state'>): number {
  const tail = state.tail.reduce((sum, piece) => sum + piece.sizeBytes, 0);
  return state.stored.sizeBytes + tail;
}

/** Bytes that a session counts for in the quotas of its owner: its size if known, else what it has. */
export function claimedBytes(state: SessionState): number {
  return state.sizeBytes ?? state.finishing?.sizeBytes ?? persistedSize({ state });
}

/**
 * Adds checksums of the whole file to earlier ones.
 *
 * @throws AssetError CHECKSUM_MISMATCH if two of one kind differ
 */
export function addExpected(state: SessionState, given: ExpectedChecksums): SessionState['expected'] {
  const { sha256, crc32c } = mergeExpected(expectedOf(state), given);
  return {
    ...(sha256 && { sha256: Buffer.from(sha256).toString('hex') }),
    ...(crc32c !== undefined && { crc32c }),
  };
}

/** The checksums of the whole file that the caller gave so far. */
export function expectedOf({ expected: { sha256, crc32c } }: SessionState): ExpectedChecksums {
  return { sha256: sha256 === undefined ? undefined : Buffer.from(sha256, 'hex'), crc32c };
}

/** The state with one more durable part. The first part of a call includes the pieces before it. */
export function withStored(state: SessionState, part: BlobPart, hash: HashState | undefined): SessionState {
  const stale = [...state.stale, ...state.tail.map(({ revision }) => revision)];
  return { ...state, ...hash, stored: withPart(state.stored, part), tail: [], stale };
}

/** Number of pieces up to which they are not merged. */
const FEW_PIECES = 16;

/**
 * Index of the first piece of a tail to merge into a new piece: only of many, and those that are not much larger than what
 * follows. So their number stays small, and each byte is written again only a few times.
 *
 * @param addedBytes - size of the new piece without them
 */
export function firstMerged(tail: readonly Piece[], addedBytes: number): number {
  let from = tail.length;
  if (from < FEW_PIECES) return from;
  for (let bytes = addedBytes; from > 0 && tail[from - 1]!.sizeBytes <= 2 * bytes; from--) {
    bytes += tail[from - 1]!.sizeBytes;
  }
  return from;
}

/** The state with a new last piece, which includes the pieces from index `from` on. */
export function withPiece(
  state: SessionState,
  { from, ...piece }: Piece & { readonly from: number },
  hash: HashState | undefined,
): SessionState {
  const { tail, stale } = state;
  const merged = tail.slice(from).map(({ revision }) => revision);
  return { ...state, ...hash, tail: [...tail.slice(0, from), piece], stale: [...stale, ...merged] };
}

/** The state when a call that might have left a piece under this revision has ended. */
export function withoutClaim(state: SessionState, claim: number): SessionState {
  return { ...state, pending: state.pending.filter((revision) => revision !== claim) };
}

/** What a session saves of a whole file. */
export function toFinished({ sizeBytes, sha256, crc32c, contentType }: Content): Finished {
  return { sizeBytes, crc32c, contentType, sha256: Buffer.from(sha256).toString('hex') };
}

/** What {@link toFinished} made of it. */
export function toContent({ sha256, ...finished }: Finished): Content {
  return { ...finished, sha256: Buffer.from(sha256, 'hex') };
}

/** How a call cuts the bytes that it brings, at most `maxBytes`. */
export function cutOf(session: Session, maxBytes: number): Cut {
  const { sizeBytes = Infinity, stored, partSizeBytes, tail } = session.state;
  const restBytes = Math.min(maxBytes, sizeBytes - persistedSize(session));
  const blobs = tail.map(({ revision, sizeBytes, crc32c = 0 }) => {
    return { key: pieceKey(session.id, revision), sizeBytes, crc32c };
  });
  return {
    ...{
      partSizeBytes,
      storedParts: stored.count,
      restBytes: restBytes === Infinity ? undefined : restBytes,
    },
    ...(blobs.length > 0 && { tail: blobs }),
  };
}
