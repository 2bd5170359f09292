import { crc32c } from '@node-rs/crc32';
import { createHash, randomBytes } from 'node:crypto';

/** Size of one piece of a file, in bytes: what the clients send in one message. */
export const PIECE_BYTES = 512 * 1024;

/** A piece of a file with its checksum, which is worked out beforehand: it is no part of what is measured. */
export interface Piece {
  readonly bytes: Buffer;
  readonly crc32c: number;
}

/** A file to upload. Every file of a size has the same bytes; they do not compress. */
export interface Content {
  readonly sizeBytes: number;
  readonly pieces: readonly Piece[];
  readonly sha256: Uint8Array;
  readonly crc32c: number;
}

/** What is sent of a file: its pieces one by one, and the checksums of the whole, which are asked for with the last piece. */
export interface Sendable {
  readonly sizeBytes: number;
  readonly pieces: Iterable<Piece>;
  readonly sha256: Uint8Array;
  readonly crc32c: number;
}

/** Pieces that files are made of, over and over. */
const POOL = Array.from({ length: 32 }, () => pieceOf(randomBytes(PIECE_BYTES)));
const made = new Map<number, Content>();

/** A file of `sizeBytes`. Takes no memory for itself. */
export function contentOf(sizeBytes: number): Content {
  const known = made.get(sizeBytes);
  if (known) return known;
  const pieces: Piece[] = [];
  const sha256 = createHash('sha256');
  let crc = 0;
  for (let offset = 0; offset < sizeBytes; offset += PIECE_BYTES) {
    const whole = POOL[pieces.length % POOL.length]!;
    const left = sizeBytes - offset;
    const piece = left < PIECE_BYTES ? pieceOf(whole.bytes.subarray(0, left)) : whole;
    sha256.update(piece.bytes);
    crc = crc32c(piece.bytes, crc);
    pieces.push(piece);
  }
  const content = { sizeBytes, pieces, sha256: sha256.digest(), crc32c: crc };
  made.set(sizeBytes, content);
  return content;
}

/**
 * A file that is made while it is sent, a repeated piece with the place in the file at its beginning, so that no two
 * pieces are the same. Its checksums are those of what was sent so far. `sizeBytes` is whole pieces.
 */
export function generatedContent(sizeBytes: number): Sendable {
  const sha256 = createHash('sha256');
  let crc = 0;
  function* pieces(): Generator<Piece, void> {
    for (let offset = 0; offset < sizeBytes; offset += PIECE_BYTES) {
      // What was sent before may still wait for the socket, so each piece has memory of its own.
      const bytes = Buffer.from(POOL[0]!.bytes);
      bytes.writeBigUInt64BE(BigInt(offset));
      const piece = pieceOf(bytes);
      sha256.update(bytes);
      crc = crc32c(bytes, crc);
      yield piece;
    }
  }
  return {
    ...{ sizeBytes, pieces: pieces() },
    get sha256() {
      return sha256.copy().digest();
    },
    get crc32c() {
      return crc;
    },
  };
}

/** The bytes of a file, a piece at a time, as a source that must not be held in memory whole. */
export function* bytesOf(content: Content): Generator<Buffer, void> {
  for (const { bytes } of content.pieces) yield bytes;
}

function pieceOf(bytes: Buffer): Piece {
  return { bytes, crc32c: crc32c(bytes) };
}
