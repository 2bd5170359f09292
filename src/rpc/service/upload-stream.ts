import type {
  ChecksummedData,
  UploadRequest,
  UploadSpec,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { Checksums } from '@asset-service/contract/asset/v1/file_pb.js';
import { crc32c } from '../../files/upload/crc32c.ts';
import { AssetError } from '../../errors/asset-error.ts';
import { fieldInvalid } from '../../errors/fields.ts';
import { checksumMismatch, uploadMessageOrder, writeOffsetMismatch } from '../../errors/uploads.ts';
import { mergeExpected, type Chunk, type ExpectedChecksums } from '../../files/upload/checksums.ts';
import type { Appendix } from '../../files/upload/resume.ts';
import type { Upload } from '../../files/upload/upload-file.ts';
import type { ContentEnd } from '../../files/upload/inflow.ts';
import { uploadBytesCame } from '../../system/garbage-collection.ts';
import { toDescription } from './convert.ts';
import { paceOf } from '../../system/rate.ts';

/** What the first message of an Upload stream asks for. */
type OpenedUpload =
  | { readonly kind: 'new'; readonly upload: Upload }
  | { readonly kind: 'resumed'; readonly uploadId: string; readonly appendix: Appendix };

/**
 * Reads the first message of an Upload stream, which says whether the upload is new or resumed. The other messages are
 * its content, read on demand.
 *
 * @throws AssetError UPLOAD_MESSAGE_ORDER if the first message has neither upload_spec nor upload_id
 */
export async function openUpload(messages: AsyncIterable<UploadRequest>): Promise<OpenedUpload> {
  const iterator = messages[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done || first.value.firstMessage.case === undefined) {
    throw uploadMessageOrder('the first message must have upload_spec or upload_id');
  }
  const { firstMessage } = first.value;
  if (firstMessage.case === 'uploadSpec') {
    if (first.value.sizeBytes !== undefined) {
      throw fieldInvalid(
        'size_bytes',
        'the size of a new upload stands in its spec: set upload_spec.size_bytes',
      );
    }
    const stream = new UploadStream(first.value, iterator, 0);
    return { kind: 'new', upload: { ...toNewUpload(firstMessage.value), content: stream.mustFinish() } };
  }
  const writeOffset = Number(first.value.writeOffset);
  const stream = new UploadStream(first.value, iterator, writeOffset);
  const sizeBytes = toSize(first.value.sizeBytes);
  const expected = toExpected(first.value.checksums);
  const appendix: Appendix = { writeOffset, content: stream.content(), sizeBytes, expected };
  return { kind: 'resumed', uploadId: firstMessage.value, appendix };
}

/** The description, size and request id in a spec. */
export function toNewUpload(spec: UploadSpec): Pick<Upload, 'description' | 'sizeBytes' | 'requestId'> {
  return {
    description: toDescription(spec.file),
    sizeBytes: toSize(spec.sizeBytes),
    requestId: spec.requestId,
  };
}

/** A size in a message, if it is set. */
export function toSize(sizeBytes: bigint | undefined): number | undefined {
  return sizeBytes === undefined ? undefined : Number(sizeBytes);
}

/** The checksums in a message, if any. */
export function toExpected(checksums: Checksums | undefined): ExpectedChecksums {
  const { sha256, crc32c } = checksums ?? {};
  return { sha256: sha256?.byteLength ? sha256 : undefined, crc32c };
}

/** The messages of one stream, checked as they are read. */
class UploadStream {
  readonly #first: UploadRequest;
  readonly #rest: AsyncIterator<UploadRequest>;
  #offset: number;

  constructor(first: UploadRequest, rest: AsyncIterator<UploadRequest>, offset: number) {
    this.#first = first;
    this.#rest = rest;
    this.#offset = offset;
  }

  /** The content; fails if the stream ends without `finish_write`. */
  async *mustFinish(): AsyncGenerator<Chunk, ContentEnd, undefined> {
    const end = yield* this.content();
    if (end.isComplete) return end;
    throw new AssetError(
      'UPLOAD_NOT_FINISHED',
      'the stream ended without finish_write: nothing was stored, set it in the last message',
    );
  }

  /** The content. The first or the last message, or both, may have the checksums of the whole file. */
  async *content(): AsyncGenerator<Chunk, ContentEnd, undefined> {
    let message = this.#first;
    let expected: ExpectedChecksums = {};
    try {
      for (;;) {
        expected = mergeExpected(expected, toExpected(message.checksums));
        const chunk = checkedChunk(message.data, message.writeOffset, this.#offset);
        this.#offset += chunk.bytes.length;
        yield chunk;
        const next = await this.#rest.next();
        if (next.done) return { expected, isComplete: message.finishWrite };
        if (message.finishWrite) throw uploadMessageOrder('finish_write must be in the last message');
        message = next.value;
        if (message.firstMessage.case !== undefined) {
          throw uploadMessageOrder('only the first message may have upload_spec or upload_id');
        }
        if (message.sizeBytes !== undefined) {
          throw uploadMessageOrder('only the first message may have size_bytes');
        }
      }
    } finally {
      void Promise.resolve(this.#rest.return?.()).catch(() => undefined);
    }
  }
}

/**
 * The bytes of a message; checks their offset and checksum.
 *
 * @throws AssetError WRITE_OFFSET_MISMATCH, CHECKSUM_MISMATCH
 */
export function checkedChunk(data: ChecksummedData | undefined, writeOffset: bigint, offset: number): Chunk {
  if (Number(writeOffset) !== offset) throw writeOffsetMismatch(writeOffset, offset);
  const { content, crc32c: expected } = data ?? { content: new Uint8Array() };
  uploadBytesCame(content.length);
  const actual = crc32c(content);
  if (expected !== undefined && actual !== expected) {
    throw checksumMismatch('crc32c', `the data at offset ${offset}`);
  }
  return { bytes: content, crc32c: actual };
}

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
