import type {
  ChecksummedData,
  UploadRequest,
  UploadSpec,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { Checksums } from '@asset-service/contract/asset/v1/file_pb.js';
import { crc32cOf } from '../crc32c.ts';
import { AssetError } from '../errors.ts';
import { mergeExpected, type ExpectedChecksums } from '../files/digest.ts';
import type { Appendix } from '../files/sessions/append.ts';
import type { Upload } from '../files/upload.ts';
import { uploadBytesCame } from '../garbage-collection.ts';
import { toDescription } from './convert.ts';

/** What the first message of an Upload stream asks for. */
export type OpenedUpload =
  | { readonly kind: 'new'; readonly upload: Upload }
  | { readonly kind: 'resumed'; readonly uploadId: string; readonly appendix: Appendix };

/**
 * Makes an upload of the messages of an Upload stream: the first says which, and the rest are its
 * content, read as the use case asks for it.
 *
 * @throws AssetError UPLOAD_MESSAGE_ORDER if the first message says neither upload_spec nor upload_id
 */
export async function openUpload(messages: AsyncIterable<UploadRequest>): Promise<OpenedUpload> {
  const iterator = messages[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done || first.value.firstMessage.case === undefined) {
    throw new AssetError(
      'UPLOAD_MESSAGE_ORDER',
      'the first message of an upload must have upload_spec or upload_id',
    );
  }
  const { firstMessage } = first.value;
  if (firstMessage.case === 'uploadSpec') {
    const stream = new UploadStream(first.value, iterator, 0);
    const upload = {
      ...toNewUpload(firstMessage.value),
      content: stream.mustFinish(),
      expected: () => stream.expected,
    };
    return { kind: 'new', upload };
  }
  const writeOffset = Number(first.value.writeOffset);
  const stream = new UploadStream(first.value, iterator, writeOffset);
  const appendix: Appendix = {
    writeOffset,
    content: stream.content(),
    expected: () => stream.expected,
    finish: () => stream.finished,
  };
  return { kind: 'resumed', uploadId: firstMessage.value, appendix };
}

/** What a spec says of the file to come. */
export function toNewUpload(spec: UploadSpec): Pick<Upload, 'description' | 'sizeBytes' | 'requestId'> {
  return {
    description: toDescription(spec.file),
    sizeBytes: spec.sizeBytes === undefined ? undefined : Number(spec.sizeBytes),
    requestId: spec.requestId,
  };
}

/** The checksums in a message, where it has any. */
export function toExpected(checksums: Checksums | undefined): ExpectedChecksums {
  const { sha256, crc32c } = checksums ?? {};
  return { sha256: sha256?.byteLength ? sha256 : undefined, crc32c };
}

/** The messages of one stream, checked as they are read. */
class UploadStream {
  readonly #first: UploadRequest;
  readonly #rest: AsyncIterator<UploadRequest>;
  #offset: number;
  #finished = false;
  #expected: ExpectedChecksums = {};

  constructor(first: UploadRequest, rest: AsyncIterator<UploadRequest>, offset: number) {
    this.#first = first;
    this.#rest = rest;
    this.#offset = offset;
  }

  /** True once a message has said `finish_write`. */
  get finished(): boolean {
    return this.#finished;
  }

  /** The whole-file checksums of the messages so far: they may stand in the first, the last, or both. */
  get expected(): ExpectedChecksums {
    return this.#expected;
  }

  /** The content; fails if the stream ends without `finish_write`. */
  async *mustFinish(): AsyncGenerator<Uint8Array> {
    yield* this.content();
    if (this.#finished) return;
    throw new AssetError(
      'UPLOAD_NOT_FINISHED',
      'the stream ended without finish_write: nothing was stored, set it in the last message',
    );
  }

  /** The content. */
  async *content(): AsyncGenerator<Uint8Array> {
    let message = this.#first;
    try {
      for (;;) {
        this.#expected = mergeExpected(this.#expected, toExpected(message.checksums));
        const chunk = checkedChunk(message.data, message.writeOffset, this.#offset);
        this.#offset += chunk.byteLength;
        yield chunk;
        const next = await this.#rest.next();
        if (next.done) {
          this.#finished = message.finishWrite;
          return;
        }
        if (message.finishWrite)
          throw wrongOrder('a message came after finish_write: send finish_write last');
        message = next.value;
        if (message.firstMessage.case !== undefined) {
          throw wrongOrder('only the first message of an upload may have upload_spec or upload_id');
        }
      }
    } finally {
      void Promise.resolve(this.#rest.return?.()).catch(() => undefined);
    }
  }
}

/**
 * The bytes of a piece, held to its place and its checksum.
 *
 * @throws AssetError WRITE_OFFSET_MISMATCH, CHECKSUM_MISMATCH
 */
export function checkedChunk(
  data: ChecksummedData | undefined,
  writeOffset: bigint,
  offset: number,
): Uint8Array {
  if (Number(writeOffset) !== offset) {
    throw new AssetError(
      'WRITE_OFFSET_MISMATCH',
      `write_offset is ${writeOffset}, but ${offset} bytes have come: go on from there`,
      { metadata: { persisted_size: String(offset) } },
    );
  }
  const { content, crc32c: expected } = data ?? { content: new Uint8Array() };
  uploadBytesCame(content.length);
  if (expected !== undefined && crc32cOf(content) !== expected) {
    throw new AssetError(
      'CHECKSUM_MISMATCH',
      `the data at offset ${offset} does not have its crc32c: send it again`,
      { metadata: { checksum: 'crc32c' } },
    );
  }
  return content;
}

function wrongOrder(message: string): AssetError {
  return new AssetError('UPLOAD_MESSAGE_ORDER', message);
}
