import {
  type UploadRequest,
  UploadRequestSchema,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Connection } from './connection.ts';
import { crc32c } from './crc32c.ts';
import type { AssetClientError } from './errors.ts';
import { CHUNK_BYTES, markLast, recut } from './pieces.ts';
import { skip, sourceFailed } from './reading.ts';
import type { Try } from './retry.ts';
import type { OpenedSource, PreparedSource } from './source.ts';
import type { WholeHash } from './whole-hash.ts';

/** One Upload call. */
export interface UploadCall {
  readonly source: PreparedSource;
  /** The hash of what was read so far; continues, or restarts if the source can only be read from its start. */
  readonly hash: WholeHash;
  /** Offset of the first byte to send. */
  readonly from: number;
  /** Offset where the call ends without finishing the upload, unless the source ends earlier. */
  readonly until: number;
  /** The first message: description or upload id. */
  readonly first: NonNullable<MessageInitShape<typeof UploadRequestSchema>['firstMessage']>;
  /** Called after each piece with the offset of its end. */
  readonly onSent: (offset: number) => void;
}

/** The service's answer: finished file or persisted size. */
export type WriteStatus = Awaited<ReturnType<Connection['rpc']['upload']>>['writeStatus'];

/** Sends the bytes of a source from an offset. Rejects with the error of the call or of the source. */
export async function sendUpload(
  connection: Connection,
  call: UploadCall,
  current: Try,
): Promise<WriteStatus> {
  const opened = await openAt(call.source, Math.min(call.from, call.hash.position));
  try {
    if (opened.position === 0) call.hash.restart();
    // Before the call, because the service does not wait long for the bytes of a running one.
    const rest = await skip(opened, { hash: call.hash, to: call.from, window: call.source.window }, current);
    return await send(connection, call, rest, current);
  } finally {
    await opened.close();
  }
}

/** Opens a source; every failure is SOURCE_FAILED. */
export function openAt(source: PreparedSource, offset: number): Promise<OpenedSource> {
  return source.open(offset).catch((error: unknown) => {
    throw sourceFailed(error);
  });
}

async function send(
  connection: Connection,
  call: UploadCall,
  chunks: AsyncIterable<Uint8Array>,
  current: Try,
): Promise<WriteStatus> {
  // A failed source must end the call with its own error, and a failed call must not wait for the source.
  const stop = new AbortController();
  let failure: AssetClientError | undefined;
  let over = false;
  async function* watched(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of chunks) {
        // Ignores a read that ends after its call: another call may be reading.
        if (over) return;
        yield chunk;
      }
    } catch (error) {
      failure = sourceFailed(error);
      stop.abort(failure);
      throw failure;
    }
  }
  try {
    const answer = await connection.rpc.upload(
      toMessages(watched(), call, () => over),
      {
        ...current,
        signal: AbortSignal.any([stop.signal, current.signal]),
      },
    );
    return answer.writeStatus;
  } catch (error) {
    throw failure ?? error;
  } finally {
    over = true;
  }
}

/** Splits the bytes into messages with the checksum of each piece, and of the whole file in the last message. */
async function* toMessages(
  chunks: AsyncIterable<Uint8Array>,
  { hash, from, until, first, onSent }: UploadCall,
  isOver: () => boolean,
): AsyncGenerator<UploadRequest> {
  let offset = from;
  for await (const { content, last } of markLast(recut(chunks, CHUNK_BYTES))) {
    if (isOver()) return;
    hash.update(content, offset);
    yield create(UploadRequestSchema, {
      ...(offset === from ? { firstMessage: first } : {}),
      writeOffset: BigInt(offset),
      ...(content.length === 0 ? {} : { data: { content, crc32c: crc32c(content) } }),
      ...(last ? { checksums: hash.finish(), finishWrite: true } : {}),
    });
    if (isOver()) return;
    offset += content.length;
    onSent(offset);
    if (offset >= until) return;
  }
}
