import type {
  AssetService,
  UploadRequest,
  UploadSpec,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { Code, type ServiceImpl } from '@connectrpc/connect';
import { crc32c } from '@node-rs/crc32';
import { createHash } from 'node:crypto';
import { serviceError } from './clients-double.ts';

/** One upload as the double keeps it. */
class Kept {
  readonly spec: UploadSpec;
  finished = false;
  /** All bytes that were kept. */
  bytes = Buffer.alloc(0);
  /** Larger than what is kept: a piece is added without a copy of all that were before it. */
  #room = Buffer.alloc(0);

  constructor(spec: UploadSpec) {
    this.spec = spec;
  }

  append(piece: Uint8Array): void {
    const from = this.bytes.length;
    const end = from + piece.length;
    if (end > this.#room.length || this.bytes.buffer !== this.#room.buffer) {
      this.#room = Buffer.allocUnsafeSlow(2 * end);
      this.#room.set(this.bytes);
    }
    this.#room.set(piece, from);
    this.bytes = this.#room.subarray(0, end);
  }
}

/** A service in memory that keeps uploads between calls, and fails if a test wants it to. */
export class Sessions {
  readonly uploads = new Map<string, Kept>();
  /** What the calls brought, in order: where each began and how many bytes it had. */
  readonly calls: { readonly from: number; bytes: number }[] = [];
  /** Called before a piece is kept, with the place where it ends; may throw, or say that it is not kept. */
  onPiece: (end: number, call: number) => boolean | void = () => undefined;
  /** Ids of the uploads that were cancelled. */
  readonly cancelled: string[] = [];
  /** Called when an upload was begun, before StartUpload answers. */
  onStart: () => Promise<void> | void = () => undefined;
  /** Called before GetUpload answers. */
  onGet: (uploadId: string) => void = () => undefined;

  /** False if the caller may not read its finished uploads: it is told their ids alone. */
  isReadable = true;

  /** All bytes that were sent. */
  get sentBytes(): number {
    return this.calls.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  readonly methods: Partial<ServiceImpl<typeof AssetService>> = {
    startUpload: async ({ uploadSpec }) => {
      for (const [uploadId, { spec }] of this.uploads) {
        if (spec.requestId === uploadSpec!.requestId) return { uploadId, partSizeBytes: 1048576n };
      }
      const uploadId = `u${this.uploads.size + 1}`;
      this.uploads.set(uploadId, new Kept(uploadSpec!));
      await this.onStart();
      return { uploadId, partSizeBytes: 1048576n };
    },
    getUpload: ({ uploadId }) => {
      this.onGet(uploadId);
      return { writeStatus: this.#status(uploadId, this.#find(uploadId)) };
    },
    upload: (requests) => this.#take(requests),
    cancelUpload: ({ uploadId }) => {
      this.#find(uploadId);
      this.uploads.delete(uploadId);
      this.cancelled.push(uploadId);
      return {};
    },
    completeUpload: ({ uploadId, checksums }) => {
      const kept = this.#find(uploadId);
      const sha256 = createHash('sha256').update(kept.bytes).digest();
      if (checksums !== undefined && !sha256.equals(checksums.sha256)) {
        throw serviceError(Code.InvalidArgument, 'CHECKSUM_MISMATCH');
      }
      kept.finished = true;
      const status = this.#status(uploadId, kept);
      return status.case === 'file' ? { file: status.value } : {};
    },
    signUploadParts: ({ uploadId, partNumbers }) => {
      this.#find(uploadId);
      const parts = partNumbers.map((partNumber) => ({
        ...{
          partNumber,
          url: `http://store/${uploadId}/${partNumber}`,
          headers: { 'x-part': String(partNumber) },
        },
      }));
      return { parts };
    },
  };

  async #take(requests: AsyncIterable<UploadRequest>) {
    let id = '';
    const call = { from: 0, bytes: 0 };
    const index = this.calls.push(call);
    for await (const message of requests) {
      if (message.firstMessage.case === 'uploadId') {
        id = message.firstMessage.value;
        Object.assign(call, { from: Number(message.writeOffset) });
      }
      const kept = this.#find(id);
      if (kept.finished) break;
      if (Number(message.writeOffset) !== kept.bytes.length) {
        throw serviceError(Code.OutOfRange, 'WRITE_OFFSET_MISMATCH', {
          metadata: { persisted_size: String(kept.bytes.length) },
        });
      }
      const content = message.data?.content ?? new Uint8Array();
      if (message.data !== undefined && crc32c(content) !== message.data.crc32c) {
        throw serviceError(Code.InvalidArgument, 'CHECKSUM_MISMATCH');
      }
      call.bytes += content.length;
      const isKept = this.onPiece(kept.bytes.length + content.length, index) !== false;
      if (isKept) kept.append(content);
      if (!message.finishWrite) continue;
      const sha256 = createHash('sha256').update(kept.bytes).digest();
      if (!sha256.equals(message.checksums!.sha256)) {
        this.uploads.delete(id);
        throw serviceError(Code.InvalidArgument, 'CHECKSUM_MISMATCH');
      }
      kept.finished = true;
    }
    return { writeStatus: this.#status(id, this.#find(id)) };
  }

  #find(uploadId: string): Kept {
    const kept = this.uploads.get(uploadId);
    if (kept === undefined) throw serviceError(Code.NotFound, 'UPLOAD_NOT_FOUND');
    return kept;
  }

  #status(id: string, { bytes, finished }: Kept) {
    if (!finished) return { case: 'persistedSize' as const, value: BigInt(bytes.length) };
    if (!this.isReadable) return { case: 'file' as const, value: { id } };
    const sha256 = new Uint8Array(createHash('sha256').update(bytes).digest());
    return {
      case: 'file' as const,
      value: { id, sizeBytes: BigInt(bytes.length), checksums: { sha256, crc32c: crc32c(bytes) } },
    };
  }
}
