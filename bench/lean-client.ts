import {
  UploadRequestSchema,
  UploadResponseSchema,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { File } from '@asset-service/contract/asset/v1/file_pb.js';
import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { once } from 'node:events';
import http2 from 'node:http2';
import type { Piece, Sendable } from './content.ts';

/**
 * A minimal gRPC client: it frames messages by hand on Node.js's HTTP/2, sends precomputed checksums, and copies
 * nothing. On a machine shared by client and service, nearly all CPU time is left to the service, as with callers
 * on other machines.
 */
export class LeanClient {
  readonly #session: http2.ClientHttp2Session;

  /** @param url - address of the service, without TLS */
  constructor(url: string) {
    // The default limit is too small for many concurrent uploads: Node.js would refuse new streams.
    this.#session = http2.connect(url, { maxSessionMemory: 256 });
    this.#session.on('error', () => undefined);
  }

  /** Makes an Upload call and returns the record of the file. */
  async upload(content: Sendable, file: { readonly name: string; readonly owner: string }): Promise<File> {
    const stream = this.#open('asset.v1.AssetService/Upload');
    const answer = answerOf(stream);
    const spec = { file, sizeBytes: BigInt(content.sizeBytes) };
    const first = { firstMessage: { case: 'uploadSpec', value: spec } } as const;
    const last = () => {
      const { sha256, crc32c } = content;
      return { checksums: { sha256, crc32c }, finishWrite: true };
    };
    let offset = 0;
    for (const piece of content.pieces) {
      const isLast = offset + piece.bytes.length === content.sizeBytes;
      const more = { ...(offset === 0 && first), ...(isLast && last()) };
      stream.write(uploadHead({ ...more, writeOffset: BigInt(offset) }, piece));
      offset += piece.bytes.length;
      if (!stream.write(piece.bytes)) await Promise.race([once(stream, 'drain'), answer]);
    }
    stream.end();
    const { writeStatus } = fromBinary(UploadResponseSchema, await answer);
    if (writeStatus.case !== 'file') throw new Error('the service answered without a file');
    return writeStatus.value;
  }

  async unary<Output extends DescMessage>(
    method: string,
    request: Uint8Array,
    output: Output,
  ): Promise<MessageShape<Output>> {
    const stream = this.#open(method);
    stream.end(Buffer.concat([prefix(request.length), request]));
    return fromBinary(output, await answerOf(stream));
  }

  close(): void {
    this.#session.close();
  }

  #open(method: string): http2.ClientHttp2Stream {
    return this.#session.request({
      ':method': 'POST',
      ':path': `/${method}`,
      'content-type': 'application/grpc+proto',
      te: 'trailers',
    });
  }
}

/** The message of a response. Rejects unless the call ended with OK. */
async function answerOf(stream: http2.ClientHttp2Stream): Promise<Buffer> {
  const data: Buffer[] = [];
  let status: http2.IncomingHttpHeaders = {};
  stream.on('response', (headers) => (status = headers));
  stream.on('trailers', (trailers) => (status = trailers));
  stream.on('data', (piece: Buffer) => data.push(piece));
  await new Promise((resolve, reject) => stream.once('close', resolve).once('error', reject));
  if (status['grpc-status'] !== '0') {
    throw new Error(`gRPC status ${String(status['grpc-status'])}: ${String(status['grpc-message'])}`);
  }
  return Buffer.concat(data).subarray(5);
}

/** The prefix of a message: compression flag (not compressed) and length. */
function prefix(length: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

/** An UploadRequest up to its content, which follows: `content` is the last field of the last field. */
function uploadHead(init: MessageInitShape<typeof UploadRequestSchema>, { bytes, crc32c }: Piece): Buffer {
  const message = toBinary(UploadRequestSchema, create(UploadRequestSchema, init));
  const checksummed = new BinaryWriter()
    .tag(2, WireType.Bit32)
    .fixed32(crc32c)
    .tag(1, WireType.LengthDelimited)
    .uint32(bytes.length)
    .finish();
  const data = new BinaryWriter()
    .tag(4, WireType.LengthDelimited)
    .uint32(checksummed.length + bytes.length)
    .finish();
  const length = message.length + data.length + checksummed.length;
  return Buffer.concat([prefix(length + bytes.length), message, data, checksummed]);
}
