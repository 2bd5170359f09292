import { createHash } from 'node:crypto';

/**
 * SHA-256 (FIPS 180-4) whose state can be saved and continued in another process. All implementations use the same
 * state.
 */
export interface ResumableSha256 {
  /** Adds bytes. */
  update(chunk: Uint8Array): void;
  /** The state after the bytes so far; {@link STATE_BYTES} bytes. */
  save(): Uint8Array;
  /** The hash of the bytes so far. Changes nothing: more can be added. */
  digest(): Buffer;
}

/** Begins a hash, or continues a saved state. */
export type OpenSha256 = (state?: Uint8Array) => Promise<ResumableSha256>;

/**
 * Layout of a state, in bytes: the incomplete block, the number of bytes so far as a 64-bit number, and the eight
 * words of the hash. All numbers are little-endian.
 */
const STATE = { block: 0, size: 64, words: 72 } as const;

/** State size in bytes. */
export const STATE_BYTES = 104;

/** Size and layout of OpenSSL's struct SHA256_CTX (include/openssl/sha.h), in bytes. */
const CONTEXT_BYTES = 112;
const CONTEXT = { words: 0, bits: 32, block: 40, filled: 104 } as const;
const HASH_BYTES = 32;
const BLOCK_BYTES = 64;

/** The OpenSSL functions. They return 1 on success. */
interface OpenSsl {
  readonly init: (context: Uint8Array) => number;
  readonly update: (context: Uint8Array, bytes: Uint8Array, length: number) => number;
  readonly final: (hash: Uint8Array, context: Uint8Array) => number;
}

/**
 * SHA-256 by the OpenSSL inside Node.js, which uses processor instructions. Node.js's own `Hash` runs the same code
 * but does not expose its state; a foreign function call does.
 *
 * @returns undefined if it cannot be called: without koffi, or with an OpenSSL that lacks these functions
 * (deprecated since 3.0) or has another layout
 */
export async function loadOpenSslSha256(): Promise<OpenSha256 | undefined> {
  if (!isLittleEndian()) return undefined;
  try {
    const { default: koffi } = await import('koffi');
    const library = koffi.load(null);
    const openssl: OpenSsl = {
      init: library.func('int SHA256_Init(void *context)'),
      update: library.func('int SHA256_Update(void *context, const void *bytes, size_t length)'),
      final: library.func('int SHA256_Final(void *hash, void *context)'),
    };
    const open: OpenSha256 = async (state) => new OpenSslSha256(openssl, state);
    return (await isTrue(open)) ? open : undefined;
  } catch {
    return undefined;
  }
}

class OpenSslSha256 implements ResumableSha256 {
  readonly #openssl: OpenSsl;
  readonly #context = Buffer.alloc(CONTEXT_BYTES);

  constructor(openssl: OpenSsl, state: Uint8Array | undefined) {
    this.#openssl = openssl;
    openssl.init(this.#context);
    if (state === undefined) return;
    const saved = Buffer.from(state.buffer, state.byteOffset, state.length);
    const size = saved.readBigUInt64LE(STATE.size);
    saved.copy(this.#context, CONTEXT.words, STATE.words, STATE.words + HASH_BYTES);
    this.#context.writeBigUInt64LE(size * 8n, CONTEXT.bits);
    saved.copy(this.#context, CONTEXT.block, STATE.block, STATE.block + BLOCK_BYTES);
    this.#context.writeUInt32LE(Number(size % BigInt(BLOCK_BYTES)), CONTEXT.filled);
  }

  update(chunk: Uint8Array): void {
    this.#openssl.update(this.#context, chunk, chunk.length);
  }

  save(): Uint8Array {
    const state = Buffer.alloc(STATE_BYTES);
    this.#context.copy(state, STATE.words, CONTEXT.words, CONTEXT.words + HASH_BYTES);
    state.writeBigUInt64LE(this.#context.readBigUInt64LE(CONTEXT.bits) / 8n, STATE.size);
    const filled = this.#context.readUInt32LE(CONTEXT.filled);
    this.#context.copy(state, STATE.block, CONTEXT.block, CONTEXT.block + filled);
    return state;
  }

  digest(): Buffer {
    const hash = Buffer.alloc(HASH_BYTES);
    // SHA256_Final erases its context.
    this.#openssl.final(hash, Buffer.from(this.#context));
    return hash;
  }
}

/** Tests the functions with bytes whose hash Node.js also computes, with a save in the middle of a block. */
async function isTrue(open: OpenSha256): Promise<boolean> {
  const bytes = Buffer.from(Array.from({ length: 300 }, (_, index) => index % 251));
  const first = await open();
  first.update(bytes.subarray(0, 100));
  const second = await open(first.save());
  second.update(bytes.subarray(100));
  return second.digest().equals(createHash('sha256').update(bytes).digest());
}

function isLittleEndian(): boolean {
  return new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
}

/** hash-wasm's version mark before the state. The state is followed by the length of the hash. */
const MARK_BYTES = 4;

/** SHA-256 in WebAssembly: runs everywhere, for seven times the CPU time of OpenSSL. */
export const openWasmSha256: OpenSha256 = async (state) => {
  const { createSHA256 } = await import('hash-wasm');
  const hash = await createSHA256();
  hash.init();
  if (state !== undefined) {
    const saved = hash.save();
    saved.set(state, MARK_BYTES);
    hash.load(saved);
  }
  return {
    update: (chunk) => void hash.update(chunk),
    save: () => hash.save().slice(MARK_BYTES, MARK_BYTES + STATE_BYTES),
    digest: () => {
      const saved = hash.save();
      const digest = Buffer.from(hash.digest('binary'));
      hash.load(saved);
      return digest;
    },
  };
};
