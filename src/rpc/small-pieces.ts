import type { UploadRequest } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { paceOf } from '../files/pace.ts';

/** A piece below this costs more to take than its bytes are worth, in bytes. */
const SMALL_BYTES = 4096;

/** Small pieces that a stream may send before it has to wait its turn, and again after each turn. */
const RUN_LENGTH = 256;

/** Small pieces of all streams together in a second; about a fifth of a core. */
const PER_SECOND = 20_000;

/**
 * Makes what slows down streams of many small pieces. A million of one byte each would keep the process from its other
 * callers, since each costs as much as a piece of good size. Such streams take turns; those of good pieces, or of few
 * small ones, never wait.
 */
export function smallPiecesPacer(): (
  messages: AsyncIterable<UploadRequest>,
  signal: AbortSignal,
) => AsyncGenerator<UploadRequest> {
  const pace = paceOf(PER_SECOND);
  return async function* paced(messages, signal) {
    let small = 0;
    for await (const message of messages) {
      if ((message.data?.content.byteLength ?? 0) < SMALL_BYTES) small += 1;
      if (small === RUN_LENGTH) {
        small = 0;
        await pace(RUN_LENGTH, signal);
      }
      yield message;
    }
  };
}
