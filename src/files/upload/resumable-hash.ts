import { combineCrc32c } from './crc32c.ts';
import type { Chunk } from './chunk.ts';
import { loadOpenSslSha256 } from './sha256-openssl.ts';
import { STATE_BYTES, type OpenSha256, type ResumableSha256 } from './sha256-state.ts';

let implementation: ReturnType<typeof load> | undefined;

/** CRC32C and SHA-256 whose state can be kept and gone on with in another process, which Node's own hash cannot. */
export class ResumableHash {
  readonly #sha256: ResumableSha256;
  #crc32c: number;

  private constructor(sha256: ResumableSha256, crc: number) {
    this.#sha256 = sha256;
    this.#crc32c = crc;
  }

  /**
   * Goes on after the bytes that gave `crc` and `state`; with an empty state it begins anew.
   *
   * @throws Error if `state` is none
   */
  static async from(crc: number, state: string): Promise<ResumableHash> {
    const { open } = await (implementation ??= load());
    if (state === '') return new ResumableHash(await open(), crc);
    const saved = Buffer.from(state, 'base64');
    if (saved.length !== STATE_BYTES) throw new Error(`a state of SHA-256 has ${STATE_BYTES} bytes`);
    return new ResumableHash(await open(saved), crc);
  }

  /** Takes the next bytes in. */
  update({ bytes, crc32c }: Chunk): void {
    this.#crc32c = combineCrc32c(this.#crc32c, crc32c, bytes.length);
    this.#sha256.update(bytes);
  }

  /** What {@link from} goes on with. */
  save(): { readonly crc32c: number; readonly sha256State: string } {
    return { crc32c: this.#crc32c, sha256State: Buffer.from(this.#sha256.save()).toString('base64') };
  }

  /** The checksums of all bytes, SHA-256 in hexadecimal; the hash takes no more after it. */
  finish(): { readonly crc32c: number; readonly sha256: string } {
    return { crc32c: this.#crc32c, sha256: this.#sha256.digest() };
  }
}

/** Which SHA-256 uploads over several calls are hashed by: WebAssembly takes seven times the CPU time of OpenSSL. */
export async function sha256Name(): Promise<'openssl' | 'webassembly'> {
  return (await (implementation ??= load())).name;
}

async function load(): Promise<{ readonly name: 'openssl' | 'webassembly'; readonly open: OpenSha256 }> {
  const open = await loadOpenSslSha256();
  if (open !== undefined) return { name: 'openssl', open };
  return { name: 'webassembly', open: (await import('./sha256-wasm.ts')).openWasmSha256 };
}
