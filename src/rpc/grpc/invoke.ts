import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type DescMethod,
  type MessageShape,
} from '@bufbuild/protobuf';
import {
  Code,
  ConnectError,
  type HandlerContext,
  type Interceptor,
  type MethodImplSpec,
  type StreamRequest,
  type StreamResponse,
  type UnaryRequest,
  type UnaryResponse,
} from '@connectrpc/connect';
import type { GrpcStream } from './grpc-stream.ts';

/** A method that this room serves: any but those with streams in both directions. */
export type GrpcMethod = Exclude<MethodImplSpec, { kind: 'bidi_streaming' }>;

type InspectMessage = (method: DescMethod, message: Uint8Array) => void;
type EncodeMessage = (desc: DescMessage, message: MessageShape<DescMessage>) => Uint8Array;

type AnyFn = Parameters<Interceptor>[0];
type AnyResponse = UnaryResponse | StreamResponse;

/** What is done with messages. */
export interface MessageHooks {
  /** Called with each request message before it is decoded; throws to refuse it. */
  readonly inspect?: InspectMessage | undefined;
  /** Encodes the messages of response streams; default `toBinary`. */
  readonly encode?: EncodeMessage | undefined;
}

/** The response of a method. */
export interface Answer {
  readonly header: Headers;
  readonly trailer: Headers;
  /** The encoded messages: one, or a stream of them. */
  readonly content: Uint8Array | AsyncIterable<Uint8Array>;
}

/**
 * Calls the implementation of a method through the interceptors; the first is the outermost.
 *
 * @throws whatever they throw; ConnectError if the request messages do not fit the method
 */
export async function invoke(
  spec: GrpcMethod,
  context: HandlerContext,
  interceptors: readonly Interceptor[],
  stream: GrpcStream,
  { inspect = () => undefined, encode = toBinary }: MessageHooks = {},
): Promise<Answer> {
  const { input, output } = spec.method;
  const requests = new Messages(stream, input, (message) => inspect(spec.method, message));
  // Interceptors see the message of a unary call; every other call is for them a stream in both directions.
  const first =
    spec.kind === 'unary'
      ? { stream: false as const, method: spec.method, message: await onlyMessage(requests) }
      : { stream: true as const, method: spec.method, message: requests };
  const request: UnaryRequest | StreamRequest = {
    ...first,
    service: context.service,
    requestMethod: context.requestMethod,
    url: context.url,
    signal: context.signal,
    header: context.requestHeader,
    contextValues: context.values,
  };
  const call: AnyFn = (intercepted) => callImplementation(spec, context, intercepted);
  const next = interceptors.reduceRight((inner, interceptor) => interceptor(inner), call);
  const { header, trailer, message, stream: isStream } = await next(request);
  if (!isStream) return { header, trailer, content: toBinary(output, message) };
  if (spec.kind === 'server_streaming')
    return { header, trailer, content: binaries(output, message, encode) };
  let content = new Uint8Array();
  for await (const only of message) content = toBinary(output, only);
  return { header, trailer, content };
}

async function callImplementation(
  spec: GrpcMethod,
  outer: HandlerContext,
  { header, message, signal, service, contextValues }: UnaryRequest | StreamRequest,
): Promise<AnyResponse> {
  const context = { ...outer, service, requestHeader: header, signal, values: contextValues };
  const common = { service: outer.service, header: outer.responseHeader, trailer: outer.responseTrailer };
  const { output } = spec.method;
  switch (spec.kind) {
    case 'unary': {
      const answer = create(output, await spec.impl(message as MessageShape<DescMessage>, context));
      return { ...common, stream: false, method: spec.method, message: answer };
    }
    case 'client_streaming': {
      const answer = create(
        output,
        await spec.impl(message as AsyncIterable<MessageShape<DescMessage>>, context),
      );
      return { ...common, stream: true, method: spec.method, message: once(answer) };
    }
    case 'server_streaming': {
      const only = await onlyMessage(message as AsyncIterable<MessageShape<DescMessage>>);
      const answers = spec.impl(only, context);
      return { ...common, stream: true, method: spec.method, message: whole(output, answers) };
    }
  }
}

/** The messages of a call, read from its stream on demand. */
class Messages<Desc extends DescMessage> implements AsyncIterableIterator<MessageShape<Desc>> {
  readonly #stream: GrpcStream;
  readonly #desc: Desc;
  readonly #inspect: (message: Uint8Array) => void;

  constructor(stream: GrpcStream, desc: Desc, inspect: (message: Uint8Array) => void) {
    this.#stream = stream;
    this.#desc = desc;
    this.#inspect = inspect;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<MessageShape<Desc>, undefined>> {
    const bytes = await this.#stream.read();
    if (bytes === undefined) return { done: true, value: undefined };
    this.#inspect(bytes);
    try {
      return { done: false, value: fromBinary(this.#desc, bytes) };
    } catch (error) {
      throw new ConnectError(
        `a message is no ${this.#desc.typeName}: ${String(error)}`,
        Code.InvalidArgument,
      );
    }
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#stream.stop();
    return { done: true, value: undefined };
  }
}

/** @throws ConnectError UNIMPLEMENTED, as gRPC specifies, if there is no message or more than one */
async function onlyMessage<T>(messages: AsyncIterable<T>): Promise<T> {
  const iterator = messages[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done) throw new ConnectError('the request has no message', Code.Unimplemented);
  const second = await iterator.next();
  if (!second.done) throw new ConnectError('the request has more than one message', Code.Unimplemented);
  return first.value;
}

async function* once<T>(message: T): AsyncGenerator<T> {
  yield message;
}

/** Sets the fields that an implementation left out of its messages to their defaults. */
async function* whole(
  output: DescMessage,
  answers: ReturnType<Extract<GrpcMethod, { kind: 'server_streaming' }>['impl']>,
): AsyncGenerator<MessageShape<DescMessage>> {
  for await (const answer of answers) yield create(output, answer);
}

async function* binaries(
  output: DescMessage,
  messages: AsyncIterable<MessageShape<DescMessage>>,
  encode: EncodeMessage,
): AsyncGenerator<Uint8Array> {
  for await (const message of messages) yield encode(output, message);
}
