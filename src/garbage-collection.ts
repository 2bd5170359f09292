/** So many bytes of uploads may come in between two collections. */
const BETWEEN_BYTES = 8 * 1024 * 1024;

/** After so many bytes the whole heap is collected once no more come. */
const MANY_BYTES = 4 * BETWEEN_BYTES;

/** How long no bytes have to come for that, in milliseconds. */
const IDLE_MS = 3_000;

/** There with the flag `--expose-gc`, which bin/flags.json has the service started with. */
const collect = (
  globalThis as { gc?: (options: { type: 'minor' | 'major'; execution?: 'async' }) => Promise<void> | void }
).gc;

let bytesSince = 0;
let bytesSinceIdle = 0;
let idle: NodeJS.Timeout | undefined;

/** True if the process was started with the flags of bin/flags.json; without them it works, and uploads cost more CPU time and memory. */
export const isTuned = collect !== undefined;

/**
 * Tells of bytes of an upload that have come in. Has the new objects looked through for what is dead behind every few MiB:
 * the buffers of an upload lie outside the heap, and to V8 they are small objects, which it would let pile up by
 * the hundred, and then look through the whole heap for memory. Buffers that have become old by then are freed when no more
 * bytes come: V8 does not collect what an idle process holds.
 */
export function uploadBytesCame(bytes: number): void {
  bytesSince += bytes;
  if (bytesSince < BETWEEN_BYTES) return;
  bytesSinceIdle += bytesSince;
  bytesSince = 0;
  if (collect === undefined) return;
  void collect({ type: 'minor' });
  if (bytesSinceIdle < MANY_BYTES) return;
  if (idle !== undefined) idle.refresh();
  else idle = setTimeout(collectAll, IDLE_MS).unref();
}

function collectAll(): void {
  idle = undefined;
  bytesSinceIdle = 0;
  void collect?.({ type: 'major', execution: 'async' });
}
