import { createSHA256 } from 'hash-wasm';

/** Bytes that are read at once. */
const SLICE_BYTES = 4 * 1024 * 1024;

/** What the page gets: the digest in hexadecimal, or why there is none. */
export type HashAnswer = { readonly sha256: string } | { readonly failure: string };

/** Hashes the one file that the page sends. */
async function hash(file: Blob): Promise<string> {
  const sha256 = await createSHA256();
  for (let at = 0; at < file.size; at += SLICE_BYTES) {
    sha256.update(new Uint8Array(await file.slice(at, at + SLICE_BYTES).arrayBuffer()));
  }
  return sha256.digest('hex');
}

addEventListener('message', ({ data }: MessageEvent<Blob>) => {
  hash(data).then(
    (sha256) => postMessage({ sha256 } satisfies HashAnswer),
    (error: unknown) => postMessage({ failure: String(error) } satisfies HashAnswer),
  );
});
