import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const MiB = 1024 * 1024;

/**
 * By how much the heap may grow until all of it is looked through, in percent. V8 counts the buffers of an upload as
 * growth, though each is dead after a moment and found so among the new objects: left to itself it would look
 * through the heap ten times a second, for nothing, and take half of the CPU time of a large upload with it.
 */
const HEAP_GROWING_PERCENT = 150;

/**
 * Size from which the space for new objects grows no more. V8 may go up to 64 MiB, which a service whose objects live as
 * long as a call does not gain anything by.
 */
const NEW_SPACE_BYTES = 16 * MiB;

/** So many bytes of uploads may come in between two collections. */
const BETWEEN_BYTES = 8 * MiB;

let collect: ((options: { readonly type: 'minor' }) => void) | undefined;
let bytesSince = 0;

/**
 * Sets V8 up for a service through which files flow; without it V8 does as it thinks best. To be called once, when the
 * program starts. All of it are flags that V8 reads while it runs, so that it does not matter how the program is started.
 */
export function tuneGarbageCollection(): void {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
  setFlagsFromString('--expose-gc');
  collect = runInNewContext('gc') as typeof collect;
  // While modules load nobody is told of collections.
  boundNewSpace(1);
  new PerformanceObserver(() => {
    const space = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
    boundNewSpace((space?.space_size ?? 0) < NEW_SPACE_BYTES ? 2 : 1);
  }).observe({ entryTypes: ['gc'] });
}

/** The greatest size V8 decides on before it reads a flag; by how much the space grows it looks up each time. */
function boundNewSpace(growthFactor: 1 | 2): void {
  setFlagsFromString(`--semi-space-growth-factor=${growthFactor}`);
}

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
