import {
  AssetService,
  ChecksummedDataSchema,
  type UploadRequest,
  UploadRequestSchema,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import {
  createContextValues,
  type Interceptor,
  type StreamResponse,
  type Transport,
} from '@connectrpc/connect';
import {
  createMethodSerializationLookup,
  createMethodUrl,
  pipe,
  runStreamingCall,
  transformParseEnvelope,
  transformSplitEnvelope,
  type UniversalClientFn,
} from '@connectrpc/connect/protocol';
import {
  requestHeaderWithCompression,
  validateResponseWithCompression,
  validateTrailer,
} from '@connectrpc/connect/protocol-grpc';

/** Options of the transport. */
export interface UploadWireOptions {
  readonly baseUrl: string;
  readonly interceptors: Interceptor[];
  /** Sends an HTTP/2 request. It has consumed a chunk of the body when it requests the next one. */
  readonly httpClient: UniversalClientFn;
  /** Maximum response message in bytes. */
  readonly readMaxBytes: number;
}

/**
 * A transport like `base` that sends upload bytes without copies: Connect's transport copies the content of each
 * message four times, which is most of the cost of an upload.
 */
export function withLeanUploads(base: Transport, options: UploadWireOptions): Transport {
  const { method } = AssetService;
  return {
    unary: base.unary.bind(base),
    stream(called, signal, timeoutMs, header, input, contextValues) {
      if (called.name !== method.upload.name)
        return base.stream(called, signal, timeoutMs, header, input, contextValues);
      const deadline = timeoutMs === undefined || timeoutMs <= 0 ? undefined : timeoutMs;
      const serialization = createMethodSerializationLookup(called, undefined, undefined, {
        readMaxBytes: options.readMaxBytes,
        writeMaxBytes: options.readMaxBytes,
      });
      return runStreamingCall({
        interceptors: options.interceptors,
        ...(signal === undefined ? {} : { signal }),
        ...(deadline === undefined ? {} : { timeoutMs: deadline }),
        req: {
          stream: true,
          service: called.parent,
          method: called,
          requestMethod: 'POST',
          url: createMethodUrl(options.baseUrl, called),
          header: requestHeaderWithCompression(true, deadline, header, [], null),
          contextValues: contextValues ?? createContextValues(),
          message: input,
        },
        next: async (request) => {
          const answer = await options.httpClient({
            url: request.url,
            method: 'POST',
            header: request.header,
            signal: request.signal,
            body: framesOf(request.message as AsyncIterable<unknown> as AsyncIterable<UploadRequest>),
          });
          const { foundStatus, headerError } = validateResponseWithCompression(
            [],
            answer.status,
            answer.header,
          );
          if (headerError) throw headerError;
          const messages = pipe(
            answer.body,
            transformSplitEnvelope(options.readMaxBytes),
            transformParseEnvelope(serialization.getO(true)),
            { propagateDownStreamError: true },
          );
          async function* message() {
            yield* messages;
            if (!foundStatus) validateTrailer(answer.trailer, answer.header);
          }
          const response: StreamResponse<typeof called.input, typeof called.output> = {
            ...request,
            header: answer.header,
            trailer: answer.trailer,
            message: message(),
          };
          return response;
        },
      });
    },
  };
}

/** The bytes before the content of a message, and the content itself, which is not copied. */
export async function* framesOf(messages: AsyncIterable<UploadRequest>): AsyncGenerator<Uint8Array> {
  for await (const message of messages) {
    yield headOf(message);
    const content = message.data?.content;
    if (content !== undefined && content.length > 0) yield content;
  }
}

/** The frame of a message up to its content. The content is last; fields may have any order. */
function headOf(message: UploadRequest): Uint8Array {
  const { data } = message;
  const others = toBinary(UploadRequestSchema, { ...message, data: undefined });
  const parts = new BinaryWriter().raw(others);
  let contentBytes = 0;
  if (data !== undefined) {
    const inner = new BinaryWriter().raw(
      toBinary(ChecksummedDataSchema, { ...data, content: new Uint8Array() }),
    );
    contentBytes = data.content.length;
    if (contentBytes > 0) {
      inner.tag(ChecksummedDataSchema.field.content.number, WireType.LengthDelimited).uint32(contentBytes);
    }
    const head = inner.finish();
    parts
      .tag(UploadRequestSchema.field.data.number, WireType.LengthDelimited)
      .uint32(head.length + contentBytes)
      .raw(head);
  }
  const body = parts.finish();
  const frame = Buffer.allocUnsafe(5 + body.length);
  // Compression flag: not compressed.
  frame[0] = 0;
  frame.writeUInt32BE(body.length + contentBytes, 1);
  frame.set(body, 5);
  return frame;
}
