import { returnFreeMemory } from './native-memory.ts';

/** Uploaded bytes between two collections of young objects. */
const BETWEEN_BYTES = 8 * 1024 * 1024;

/** Uploaded bytes after which an idle process collects its whole heap. */
const MANY_BYTES = 4 * BETWEEN_BYTES;

/** Time without uploaded bytes after which the process counts as idle, in milliseconds. */
const IDLE_MS = 3_000;

/** Defined with the flag `--expose-gc`, which is in bin/flags.json. */
const collect = (
  globalThis as { gc?: (options: { type: 'minor' | 'major'; execution?: 'async' }) => Promise<void> | void }
).gc;

let bytesSince = 0;
let bytesSinceIdle = 0;
let idle: NodeJS.Timeout | undefined;

/** True if the process was started with the flags of bin/flags.json. Without them uploads cost more CPU time and memory. */
export const isTuned = collect !== undefined;

/**
 * Counts uploaded bytes, and collects young objects after every few MiB. The buffers of uploads are outside the heap, so
 * V8 takes them for small objects: it would keep hundreds of them and then collect the whole heap. Buffers that have
 * become old are freed when the process is idle, because V8 does not collect in an idle process by itself. Then free
 * memory goes back to the system.
 */
export function uploadBytesCame(bytes: number): void {
  bytesSince += bytes;
  if (bytesSince < BETWEEN_BYTES) return;
  bytesSinceIdle += bytesSince;
  bytesSince = 0;
  if (collect === undefined) return;
  void collect({ type: 'minor' });
  if (bytesSinceIdle < MANY_BYTES) return;
  returnFreeMemory();
  if (idle !== undefined) idle.refresh();
  else idle = setTimeout(() => void collectAll(), IDLE_MS).unref();
}

async function collectAll(): Promise<void> {
  idle = undefined;
  bytesSinceIdle = 0;
  await collect?.({ type: 'major', execution: 'async' });
  returnFreeMemory();
}
