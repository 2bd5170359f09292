import { crc32c } from '@node-rs/crc32';
import { createHash, randomBytes } from 'node:crypto';

/** Size of one piece of a file in bytes; clients send one piece per message. */
export const PIECE_BYTES = 512 * 1024;

/** A piece of a file with its precomputed checksum, which is not part of the measurement. */
export interface Piece {
  readonly bytes: Buffer;
  readonly crc32c: number;
}

/** A file to upload. All files of one size have the same incompressible bytes. */
export interface Content {
  readonly sizeBytes: number;
  readonly pieces: readonly Piece[];
  readonly sha256: Uint8Array;
  readonly crc32c: number;
}

/** The pieces of a file, one at a time, and the checksums of the whole, which are requested with the last piece. */
export interface Sendable {
  readonly sizeBytes: number;
  readonly pieces: Iterable<Piece>;
  readonly sha256: Uint8Array;
  readonly crc32c: number;
}

/** Pieces that files repeat. */
const POOL = Array.from({ length: 32 }, () => pieceOf(randomBytes(PIECE_BYTES)));
const made = new Map<number, Content>();

/** A file of `sizeBytes`. Needs no memory of its own. */
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
 * A file that is generated while it is sent: one repeated piece with its offset at the start, so that no two pieces
 * are equal. Its checksums are those of the bytes sent so far. `sizeBytes` is a multiple of the piece size.
 */
export function generatedContent(sizeBytes: number): Sendable {
  const sha256 = createHash('sha256');
  let crc = 0;
  function* pieces(): Generator<Piece, void> {
    for (let offset = 0; offset < sizeBytes; offset += PIECE_BYTES) {
      // A new buffer for each piece, because the previous one may still wait for the socket.
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

/** The bytes of a file, one piece at a time. */
export function* bytesOf(content: Content): Generator<Buffer, void> {
  for (const { bytes } of content.pieces) yield bytes;
}

function pieceOf(bytes: Buffer): Piece {
  return { bytes, crc32c: crc32c(bytes) };
}
