import { createSHA256 } from 'hash-wasm';
import { STATE_BYTES, type OpenSha256 } from './sha256-state.ts';

/** hash-wasm's version mark before the state. The state is followed by the length of the hash. */
const MARK_BYTES = 4;

/** SHA-256 in WebAssembly: runs everywhere, for seven times the CPU time of OpenSSL. */
export const openWasmSha256: OpenSha256 = async (state) => {
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
    digest: () => hash.digest('hex'),
  };
};
