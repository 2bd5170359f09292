import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { FileDescription, JsonValue } from '../../catalog/file-catalog.ts';
import type { UploadSession } from '../../catalog/uploads.ts';
import { catalogUnavailable } from '../../errors/dependencies.ts';
import type { BlobPart } from '../../storage/blob.ts';
import type { CallerIds } from '../../identity/caller.ts';
import { mergeExpected } from './digest.ts';
import type { ExpectedChecksums } from './chunk.ts';

/** Bytes behind the last whole part, in a blob of their own until there are enough for a part. */
export interface Piece {
  /** Revision of the session under which it was written; the piece's key follows from it. */
  readonly revision: number;
  readonly sizeBytes: number;
  /** CRC32C of its bytes; releases before 0.2 did not keep it. */
  readonly crc32c?: number;
}

/** Parts that are durable: as much of them as does not grow with their number. The store lists them. */
export interface StoredParts {
  readonly count: number;
  readonly sizeBytes: number;
  /** Proves which parts they are: a SHA-256 over that of the parts before and the last one, in base64. */
  readonly digest: string;
}

/** Before the first part. */
export const NO_PARTS: StoredParts = { count: 0, sizeBytes: 0, digest: '' };

/** The same parts with one more behind them. */
export function withPart({ count, sizeBytes, digest }: StoredParts, part: BlobPart): StoredParts {
  // Some stores put the tag in quotes in one answer and not in another.
  const text = JSON.stringify([digest, part.partNumber, part.sizeBytes, part.tag.replaceAll('"', '')]);
  return {
    count: count + 1,
    sizeBytes: sizeBytes + part.sizeBytes,
    digest: createHash('sha256').update(text).digest('base64'),
  };
}

/** What a whole file has. */
export interface Finished {
  readonly sizeBytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
  readonly crc32c: number;
  readonly contentType: string;
}

/** What is remembered of an upload between two calls. */
export interface SessionState {
  readonly caller: CallerIds;
  readonly description: FileDescription;
  /** Size that the caller gave, in bytes. */
  readonly sizeBytes?: number;
  readonly requestKey?: string;
  /** True if the catalog counts the session in the quotas of its owner; false for one of an earlier version. */
  readonly claimed?: boolean;
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
  /** Revisions of pieces that a part has taken in; they only wait to be removed. */
  readonly stale: readonly number[];
  /** Revisions under which a piece may have been written that nothing else names. */
  readonly pending: readonly number[];
  /** CRC32C of the durable bytes. */
  readonly crc32c: number;
  /** State of the SHA-256 after the durable bytes; see `resumable-hash.ts`. Empty before the first byte. */
  readonly sha256State: string;
  /** Whole-file checksums that the caller gave so far. */
  readonly expected: { readonly sha256?: string; readonly crc32c?: number };
  /** Set before the blob is put together, with what it then has. */
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

/** Number of bytes that are durable; where the caller goes on. */
export function persistedSize({ state }: Pick<Session, 'state'>): number {
  const tail = state.tail.reduce((sum, piece) => sum + piece.sizeBytes, 0);
  return state.stored.sizeBytes + tail;
}

/** Bytes that a session takes in the quotas of its owner: what it may come to, or has. */
export function claimedBytes(state: SessionState): number {
  return state.sizeBytes ?? state.finishing?.sizeBytes ?? persistedSize({ state });
}

/**
 * Adds checksums of the whole file to those that came earlier.
 *
 * @throws AssetError CHECKSUM_MISMATCH if two of one kind differ
 */
export function addExpected(state: SessionState, given: ExpectedChecksums): SessionState['expected'] {
  const { sha256, crc32c } = state.expected;
  const earlier = { sha256: sha256 === undefined ? undefined : Buffer.from(sha256, 'hex'), crc32c };
  const merged = mergeExpected(earlier, given);
  return {
    ...(merged.sha256 && { sha256: Buffer.from(merged.sha256).toString('hex') }),
    ...(merged.crc32c !== undefined && { crc32c: merged.crc32c }),
  };
}
