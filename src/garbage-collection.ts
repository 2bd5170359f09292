/** So many bytes of uploads may come in between two collections. */
const BETWEEN_BYTES = 8 * 1024 * 1024;

/** There with the flag `--expose-gc`, which bin/flags.json has the service started with. */
const collect = (globalThis as { gc?: (options: { readonly type: 'minor' }) => void }).gc;

let bytesSince = 0;

/** True if the process was started with the flags of bin/flags.json; without them it works, and uploads cost more CPU time and memory. */
export const isTuned = collect !== undefined;

/**
 * Tells of bytes of an upload that have come in. Has the new objects looked through for what is dead behind every few MiB:
 * the buffers of an upload lie outside the heap, and to V8 they are small objects, which it would let pile up by
 * the hundred, and then look through the whole heap for memory.
 */
export function uploadBytesCame(bytes: number): void {
  bytesSince += bytes;
  if (bytesSince < BETWEEN_BYTES) return;
  bytesSince = 0;
  collect?.({ type: 'minor' });
}
