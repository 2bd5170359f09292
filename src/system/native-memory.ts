/** Minimum time between two returns, in milliseconds: each one holds up allocations for some milliseconds. */
const BETWEEN_MS = 30_000;

let trim: Promise<(() => Promise<void>) | undefined> | undefined;
let returnedAt = -Infinity;
let timer: NodeJS.Timeout | undefined;

/**
 * Returns memory that buffers have left free in the C library to the system, soon. The library alone returns only what
 * is free at the end of its heap, so a process that is idle keeps some 150 MiB after many uploads at once.
 *
 * Does nothing without the optional package koffi, or without the GNU C library.
 */
export function returnFreeMemory(): void {
  timer ??= setTimeout(
    () => {
      timer = undefined;
      returnedAt = performance.now();
      void trimHeap();
    },
    Math.max(0, returnedAt + BETWEEN_MS - performance.now()),
  ).unref();
}

/** Resolves with whether memory was returned. */
export async function trimHeap(): Promise<boolean> {
  trim ??= findTrim();
  const found = await trim;
  await found?.();
  return found !== undefined;
}

/** malloc_trim of the GNU C library, in a thread of its own. */
async function findTrim(): Promise<(() => Promise<void>) | undefined> {
  try {
    const { default: koffi } = await import('koffi');
    const mallocTrim = koffi.load(null).func('int malloc_trim(size_t pad)');
    return () => new Promise((resolve) => void mallocTrim.async(0, () => resolve()));
  } catch {
    return undefined;
  }
}
