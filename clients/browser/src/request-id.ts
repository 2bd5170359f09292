import type { FileDescription } from './calls.ts';

/**
 * The same text for the same file with the same description. The hash is no protection: the service keeps the uploads of
 * users apart. Not crypto.subtle, which pages over http do not have.
 */
export async function requestIdOf(file: File, description: FileDescription): Promise<string> {
  const { name, owner, usage, relations } = description;
  const facts = [file.name, file.size, file.type, file.lastModified, name, owner, usage, relations];
  const text = new TextEncoder().encode(JSON.stringify(facts));
  return [0, 1, 2, 3].map((seed) => fnv1a(text, seed).toString(36)).join('-');
}

/** FNV-1a, 32 bits. */
function fnv1a(bytes: Uint8Array, seed: number): number {
  let hash = (0x811c9dc5 ^ (seed * 0x9e3779b1)) >>> 0;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}
