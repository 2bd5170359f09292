import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** So many bytes of uploads may come in between two collections. */
const BETWEEN_BYTES = 8 * 1024 * 1024;

let collect: ((options: { readonly type: 'minor' }) => void) | undefined;
let bytesSince = 0;

/**
 * Has the new objects looked through for what is dead whenever uploads have brought a few MiB. The buffers of an upload lie
 * outside the heap: to V8 they are small objects, which it would let pile up behind by the hundred, and then look
 * through the whole heap for memory. To be called once, when the program starts; without it V8 does as it thinks best.
 */
export function collectYoungGarbage(): void {
  setFlagsFromString('--expose-gc');
  collect = runInNewContext('gc') as typeof collect;
}

/** Tells of bytes of an upload that have come in. */
export function uploadBytesCame(bytes: number): void {
  bytesSince += bytes;
  if (bytesSince < BETWEEN_BYTES) return;
  bytesSince = 0;
  collect?.({ type: 'minor' });
}
