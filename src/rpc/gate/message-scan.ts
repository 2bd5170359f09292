import type { DescMethod } from '@bufbuild/protobuf';
import type { ConnectRouter } from '@connectrpc/connect';
import type { UniversalServerRequest } from '@connectrpc/connect/protocol';
import { compressionBrotli, compressionGzip } from '@connectrpc/connect-node';
import { assertFewElements } from './message-elements.ts';
import { maxMessageBytes } from './message-limits.ts';

const PREFIX_BYTES = 5;

/** Messages up to this size, in bytes, are decoded quickly whatever they contain. */
const SMALL_BYTES = 16 * 1024;

const COMPRESSIONS = new Map([compressionGzip, compressionBrotli].map((one) => [one.name, one]));

/** Makes the handlers of a router check messages before they decode them; Connect has no option for that. */
export function scanMessages(router: ConnectRouter): void {
  // The router uses this array, so that replacing its elements is enough.
  const { handlers } = router;
  for (const [at, handler] of handlers.entries()) {
    const { method } = handler;
    if (maxMessageBytes(method) <= SMALL_BYTES) continue;
    handlers[at] = Object.assign((request: UniversalServerRequest) => handler(scanned(request, method)), {
      ...{ service: handler.service, method, requestPath: handler.requestPath },
      ...{ protocolNames: handler.protocolNames, allowedMethods: handler.allowedMethods },
      supportedContentType: handler.supportedContentType,
    });
  }
}

/** The same request; its messages are decompressed and checked when they are read. */
function scanned(request: UniversalServerRequest, method: DescMethod): UniversalServerRequest {
  const { body, header } = request;
  if (typeof body !== 'object' || body === null || !(Symbol.asyncIterator in body)) return request;
  const type = header.get('content-type') ?? '';
  const message: Message = { method, isJson: /[+/]json\b/.test(type), encoding: 'identity' };
  if (/^application\/(grpc|connect\+)/.test(type)) {
    const encoding = header.get(type.includes('connect') ? 'connect-content-encoding' : 'grpc-encoding');
    return { ...request, body: envelopes(body, { ...message, encoding: encoding ?? 'identity' }) };
  }
  const encoding = header.get('content-encoding') ?? 'identity';
  // The handler refuses an unknown encoding.
  if (encoding !== 'identity' && !COMPRESSIONS.has(encoding)) return request;
  const plain = new Headers(header);
  plain.delete('content-encoding');
  return { ...request, header: plain, body: whole(body, { ...message, encoding }) };
}

interface Message {
  readonly method: DescMethod;
  readonly isJson: boolean;
  readonly encoding: string;
}

/** A message, decompressed. Throws if it has too many elements. */
async function checked(bytes: Uint8Array, { method, isJson, encoding }: Message): Promise<Uint8Array> {
  const plain = (await COMPRESSIONS.get(encoding)?.decompress(bytes, maxMessageBytes(method))) ?? bytes;
  assertFewElements(method, plain, isJson ? 'json' : 'binary');
  return plain;
}

/** A unary call of Connect: the body is the message. */
async function* whole(body: AsyncIterable<Uint8Array>, message: Message): AsyncGenerator<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of body) {
    pieces.push(piece);
    length += piece.length;
    // The handler refuses it because of its length.
    if (length > maxMessageBytes(message.method)) return yield* handOver(pieces, body);
  }
  yield checked(Buffer.concat(pieces), message);
}

/** All other calls: each message is in an envelope. */
async function* envelopes(body: AsyncIterable<Uint8Array>, message: Message): AsyncGenerator<Uint8Array> {
  const maxBytes = PREFIX_BYTES + maxMessageBytes(message.method);
  let pieces: Uint8Array[] = [];
  let length = 0;
  let wanted = PREFIX_BYTES;
  for await (const piece of body) {
    pieces.push(piece);
    length += piece.length;
    while (length >= wanted) {
      const bytes = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
      pieces = [bytes];
      wanted = envelopeBytes(bytes);
      // The handler refuses it because of its length.
      if (wanted > maxBytes) return yield* handOver(pieces, body);
      if (length < wanted) break;
      yield* envelope(bytes.subarray(0, wanted), message);
      pieces = [bytes.subarray(wanted)];
      length -= wanted;
      wanted = PREFIX_BYTES;
    }
  }
  yield* pieces;
}

async function* envelope(bytes: Uint8Array, message: Message): AsyncGenerator<Uint8Array> {
  const [flags] = bytes;
  const isCompressed = flags === 1;
  // The handler processes ends of streams and unknown flags.
  if ((flags !== 0 && !isCompressed) || (isCompressed && !COMPRESSIONS.has(message.encoding))) {
    yield bytes;
    return;
  }
  const encoding = isCompressed ? message.encoding : 'identity';
  const content = await checked(bytes.subarray(PREFIX_BYTES), { ...message, encoding });
  if (!isCompressed) {
    yield bytes;
    return;
  }
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(content.length, 1);
  yield prefix;
  yield content;
}

async function* handOver(
  pieces: readonly Uint8Array[],
  rest: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  yield* pieces;
  for await (const piece of rest) yield piece;
}

/** Length of the envelope at the start of `bytes`, with its prefix. */
function envelopeBytes(bytes: Uint8Array): number {
  return PREFIX_BYTES + new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
}
