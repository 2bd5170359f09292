import { crc32c } from '@node-rs/crc32';
import type { UploadRequest } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { Checksums } from '@asset-service/contract/asset/v1/file_pb.js';
import { AssetError } from '../errors.ts';
import type { ExpectedChecksums } from '../files/digest.ts';
import type { Upload } from '../files/upload.ts';
import { toDescription } from './convert.ts';

/**
 * Makes an {@link Upload} of the messages of an Upload stream: the first says what it is, and the rest are
 * its content, read as the use case asks for it.
 *
 * @throws AssetError UPLOAD_MESSAGE_ORDER if the first message has no upload_spec
 */
export async function openUpload(messages: AsyncIterable<UploadRequest>): Promise<Upload> {
  const iterator = messages[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done || first.value.firstMessage.case !== 'uploadSpec') {
    throw new AssetError('UPLOAD_MESSAGE_ORDER', 'the first message of an upload must have upload_spec');
  }
  const spec = first.value.firstMessage.value;
  const checksums = new GivenChecksums();
  return {
    description: toDescription(spec.file),
    sizeBytes: spec.sizeBytes === undefined ? undefined : Number(spec.sizeBytes),
    requestId: spec.requestId,
    content: contentOf(first.value, iterator, checksums),
    expected: () => checksums.expected,
  };
}

async function* contentOf(
  first: UploadRequest,
  rest: AsyncIterator<UploadRequest>,
  checksums: GivenChecksums,
): AsyncGenerator<Uint8Array> {
  let message = first;
  let offset = 0;
  try {
    for (;;) {
      checksums.add(message.checksums);
      const chunk = checkedChunk(message, offset);
      offset += chunk.byteLength;
      yield chunk;
      const next = await rest.next();
      if (message.finishWrite) {
        if (next.done) return;
        throw new AssetError(
          'UPLOAD_MESSAGE_ORDER',
          'a message came after finish_write: send finish_write last',
        );
      }
      if (next.done) {
        throw new AssetError(
          'UPLOAD_NOT_FINISHED',
          'the stream ended without finish_write: nothing was stored, set it in the last message',
        );
      }
      message = next.value;
      if (message.firstMessage.case !== undefined) {
        throw new AssetError(
          'UPLOAD_MESSAGE_ORDER',
          'only the first message of an upload may have upload_spec',
        );
      }
    }
  } finally {
    void Promise.resolve(rest.return?.()).catch(() => undefined);
  }
}

function checkedChunk(message: UploadRequest, offset: number): Uint8Array {
  if (Number(message.writeOffset) !== offset) {
    throw new AssetError(
      'WRITE_OFFSET_MISMATCH',
      `write_offset is ${message.writeOffset}, but ${offset} bytes have come: go on from there`,
      { metadata: { persisted_size: String(offset) } },
    );
  }
  const { content, crc32c: expected } = message.data ?? { content: new Uint8Array() };
  if (expected !== undefined && crc32c(content) !== expected) {
    throw new AssetError(
      'CHECKSUM_MISMATCH',
      `the data at offset ${offset} does not have its crc32c: nothing was stored, upload again`,
      { metadata: { checksum: 'crc32c' } },
    );
  }
  return content;
}

/** The whole-file checksums, which may come in the first message, in the last, or one in each. */
class GivenChecksums {
  #sha256: Uint8Array | undefined;
  #crc32c: number | undefined;

  get expected(): ExpectedChecksums {
    return { sha256: this.#sha256, crc32c: this.#crc32c };
  }

  add(checksums: Checksums | undefined): void {
    if (checksums === undefined) return;
    const sha256 = checksums.sha256.byteLength > 0 ? checksums.sha256 : undefined;
    const contradicts =
      (sha256 && this.#sha256 && Buffer.compare(sha256, this.#sha256) !== 0) ||
      (checksums.crc32c ?? this.#crc32c) !== (this.#crc32c ?? checksums.crc32c);
    if (contradicts) {
      throw new AssetError('CHECKSUM_MISMATCH', 'two messages give different checksums of the whole file', {
        metadata: { checksum: sha256 ? 'sha256' : 'crc32c' },
      });
    }
    this.#sha256 ??= sha256;
    this.#crc32c ??= checksums.crc32c;
  }
}
