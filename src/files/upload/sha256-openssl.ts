import { createHash } from 'node:crypto';
import { BLOCK_BYTES, STATE, STATE_BYTES, type OpenSha256, type ResumableSha256 } from './sha256-state.ts';

/** Size and layout of OpenSSL's struct SHA256_CTX (include/openssl/sha.h), in bytes. */
const CONTEXT_BYTES = 112;
const CONTEXT = { words: 0, bits: 32, block: 40, filled: 104 } as const;
const HASH_BYTES = 32;

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

  digest(): string {
    const hash = Buffer.alloc(HASH_BYTES);
    this.#openssl.final(hash, this.#context);
    return hash.toString('hex');
  }
}

/** Tests the functions with bytes whose hash Node.js also computes, with a save in the middle of a block. */
async function isTrue(open: OpenSha256): Promise<boolean> {
  const bytes = Buffer.from(Array.from({ length: 300 }, (_, index) => index % 251));
  const first = await open();
  first.update(bytes.subarray(0, 100));
  const second = await open(first.save());
  second.update(bytes.subarray(100));
  return second.digest() === createHash('sha256').update(bytes).digest('hex');
}

function isLittleEndian(): boolean {
  return new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
}
