import { createHash } from 'node:crypto';
import { combineCrc32c, crc32c } from './crc32c.ts';
import { checksumMismatch } from '../../errors/uploads.ts';
import {
  loadOpenSslSha256,
  openWasmSha256,
  STATE_BYTES,
  type OpenSha256,
  type ResumableSha256,
} from './resumable-sha256.ts';

/** Some bytes with their checksum, which is computed once. */
export interface Chunk {
  readonly bytes: Uint8Array;
  readonly crc32c: number;
}

/** Checksums of a whole file that a caller gave. */
export interface ExpectedChecksums {
  readonly sha256?: Uint8Array | undefined;
  readonly crc32c?: number | undefined;
}

/** Checksums of a whole file. */
export interface Checksums {
  readonly sha256: Uint8Array;
  readonly crc32c: number;
}

/** State of a hash that can be continued. */
export interface HashState {
  readonly crc32c: number;
  /** State of the SHA-256, in base64; empty before the first byte. */
  readonly sha256State: string;
}

/** Computes the checksums of the bytes of an upload. */
export interface RunningHash {
  /** Adds bytes. */
  update(chunk: Chunk): void;
  /** The state to continue from; undefined if it cannot be continued. */
  save(): HashState | undefined;
  /** The checksums of all bytes. Call it once, after the last byte. */
  finish(): Checksums;
}

/** Adds their checksum to some bytes. */
export function summed(bytes: Uint8Array): Chunk {
  return { bytes, crc32c: crc32c(bytes) };
}

/** The hash of an upload in one call, by Node.js. */
export class Digest implements RunningHash {
  #sizeBytes = 0;
  #crc32c = 0;
  readonly #sha256 = createHash('sha256');

  /** Number of bytes so far. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  update({ bytes, crc32c }: Chunk): void {
    this.#sizeBytes += bytes.byteLength;
    this.#crc32c = combineCrc32c(this.#crc32c, crc32c, bytes.byteLength);
    this.#sha256.update(bytes);
  }

  save(): undefined {
    return undefined;
  }

  finish(): Checksums & { readonly sizeBytes: number } {
    return { sizeBytes: this.#sizeBytes, sha256: this.#sha256.digest(), crc32c: this.#crc32c };
  }
}

/** Size and checksums of some content. `look` is given each chunk before it is hashed. */
export async function digestOf(
  content: AsyncIterable<Uint8Array>,
  look?: (chunk: Uint8Array) => Promise<void>,
): Promise<ReturnType<Digest['finish']>> {
  const digest = new Digest();
  for await (const chunk of content) {
    await look?.(chunk);
    digest.update(summed(chunk));
  }
  return digest.finish();
}

let implementation: ReturnType<typeof loadSha256> | undefined;

/** The hash of a session, which another process can continue. */
export class ResumableHash implements RunningHash {
  readonly #sha256: ResumableSha256;
  #crc32c: number;

  private constructor(sha256: ResumableSha256, crc: number) {
    this.#sha256 = sha256;
    this.#crc32c = crc;
  }

  /**
   * Continues from a state.
   *
   * @throws Error if the state is damaged
   */
  static async from({ crc32c, sha256State }: HashState): Promise<ResumableHash> {
    const { open } = await (implementation ??= loadSha256());
    if (sha256State === '') return new ResumableHash(await open(), crc32c);
    const saved = Buffer.from(sha256State, 'base64');
    if (saved.length !== STATE_BYTES) throw new Error(`a state of SHA-256 has ${STATE_BYTES} bytes`);
    return new ResumableHash(await open(saved), crc32c);
  }

  update({ bytes, crc32c }: Chunk): void {
    this.#crc32c = combineCrc32c(this.#crc32c, crc32c, bytes.length);
    this.#sha256.update(bytes);
  }

  save(): HashState {
    return { crc32c: this.#crc32c, sha256State: Buffer.from(this.#sha256.save()).toString('base64') };
  }

  finish(): Checksums {
    return { crc32c: this.#crc32c, sha256: this.#sha256.digest() };
  }
}

/** Name of the SHA-256 of sessions, for the log: WebAssembly takes seven times the CPU time of OpenSSL. */
export async function sha256Name(): Promise<'openssl' | 'webassembly'> {
  return (await (implementation ??= loadSha256())).name;
}

async function loadSha256(): Promise<{
  readonly name: 'openssl' | 'webassembly';
  readonly open: OpenSha256;
}> {
  const open = await loadOpenSslSha256();
  return open ? { name: 'openssl', open } : { name: 'webassembly', open: openWasmSha256 };
}

/**
 * Adds checksums of a whole file to earlier ones.
 *
 * @throws AssetError CHECKSUM_MISMATCH if two of one kind differ
 */
export function mergeExpected(earlier: ExpectedChecksums, given: ExpectedChecksums): ExpectedChecksums {
  const wrong = differing(earlier, given);
  if (wrong !== undefined) throw checksumMismatch(wrong, 'the file in a later message');
  return { sha256: earlier.sha256 ?? given.sha256, crc32c: earlier.crc32c ?? given.crc32c };
}

/** Throws CHECKSUM_MISMATCH unless the file has every checksum that the caller gave, as far as they are known. */
export function verifyChecksums(actual: ExpectedChecksums, expected: ExpectedChecksums): void {
  const wrong = differing(actual, expected);
  if (wrong !== undefined) throw checksumMismatch(wrong, 'the file');
}

/** The first checksum that both have and that differs. */
function differing(one: ExpectedChecksums, other: ExpectedChecksums): 'sha256' | 'crc32c' | undefined {
  if (one.sha256 && other.sha256 && Buffer.compare(one.sha256, other.sha256) !== 0) return 'sha256';
  const hasBoth = one.crc32c !== undefined && other.crc32c !== undefined;
  return hasBoth && one.crc32c !== other.crc32c ? 'crc32c' : undefined;
}
