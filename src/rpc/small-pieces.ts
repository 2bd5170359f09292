import type { UploadRequest } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { paceOf } from '../files/pace.ts';

/** A smaller piece costs more to process than its bytes are worth, in bytes. */
const SMALL_BYTES = 4096;

/** Number of small pieces that a stream may send before it waits for its turn, and after each turn. */
const RUN_LENGTH = 256;

/** Small pieces of all streams per second; about a fifth of a core. */
const PER_SECOND = 20_000;

/**
 * Creates a limiter for streams of many small pieces. A million pieces of one byte would block the process for
 * other callers, because each costs as much as a larger one. Such streams take turns; streams of larger pieces, or
 * of few small ones, never wait.
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
