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

/** The bytes of a file, a piece at a time, as a source that must not be held in memory whole. */
export function* bytesOf(content: Content): Generator<Buffer, void> {
  for (const { bytes } of content.pieces) yield bytes;
}

function pieceOf(bytes: Buffer): Piece {
  return { bytes, crc32c: crc32c(bytes) };
}
