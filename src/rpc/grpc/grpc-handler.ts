import {
  Code,
  ConnectError,
  createContextValues,
  createMethodImplSpec,
  createServiceImplSpec,
  type ConnectRouter,
  type ContextValues,
  type HandlerContext,
  type Interceptor,
  type MethodImplSpec,
} from '@connectrpc/connect';
import type { DescMethod } from '@bufbuild/protobuf';
import { parseTimeout, setTrailerStatus } from '@connectrpc/connect/protocol-grpc';
import type { Http2ServerRequest, IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import type { StreamHandler } from '../listener/dispatch.ts';
import { GrpcStream } from './grpc-stream.ts';
import { invoke, type GrpcMethod, type MessageHooks } from './invoke.ts';

/** What {@link grpcHandler} serves, and how. */
export interface GrpcOptions extends MessageHooks {
  /** Registers the implementations, as with a router of Connect. */
  readonly routes: (router: ConnectRouter) => void;
  /** The first is the outermost. */
  readonly interceptors: readonly Interceptor[];
  /** Maximum length of a request message of a method, in bytes. */
  readonly maxMessageBytes: (method: DescMethod) => number;
  /** Called before anything of a call is read. */
  readonly gate?: GrpcGate;
  /** Converts an error that no interceptor has seen into the caller's error; default: the same error. */
  readonly explain?: (thrown: unknown, context: HandlerContext) => unknown;
  /** Creates the context values of a call; default: none. */
  readonly contextValues?: (request: Pick<Http2ServerRequest, 'stream' | 'rawHeaders'>) => ContextValues;
}

/** Admits calls before they are read. */
export interface GrpcGate {
  /** Rejects if the call is refused. */
  admit(context: HandlerContext): Promise<void>;
  /** Counts the bytes of a message while it arrives; `set` throws if they are too many. */
  hold(values: ContextValues): { set(bytes: number): void };
}

const CONTENT_TYPES: readonly unknown[] = ['application/grpc', 'application/grpc+proto'];
/** Maximum delay of a timer; a longer deadline is none. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Serves gRPC on HTTP/2 streams directly, which takes a fraction of the CPU time that Node.js's request and response
 * objects and Connect take. It serves what nearly all gRPC callers send: uncompressed binary messages. Not served are
 * other protocols, JSON, compression, and streams in both directions.
 */
export function grpcHandler(options: GrpcOptions): StreamHandler {
  const { maxMessageBytes, contextValues = createContextValues } = options;
  const methods = methodsOf(options.routes);
  return (stream, headers, rawHeaders) => {
    const spec = methods.get(headers[':path'] ?? '');
    if (spec === undefined || !isPlain(headers)) return false;
    const requestHeader = toWebHeaders(headers);
    if (requestHeader === undefined) return false;
    const call = new GrpcStream(stream, maxMessageBytes(spec.method));
    const values = contextValues({ stream, rawHeaders });
    void serve(spec, options, call, { requestHeader, values, url: urlOf(headers) });
    return true;
  };
}

function methodsOf(routes: (router: ConnectRouter) => void): ReadonlyMap<string, GrpcMethod> {
  const methods = new Map<string, GrpcMethod>();
  const add = (spec: MethodImplSpec) => {
    if (spec.kind === 'bidi_streaming') return;
    methods.set(`/${spec.method.parent.typeName}/${spec.method.name}`, spec);
  };
  const router: ConnectRouter = {
    handlers: [],
    service(service, implementation) {
      Object.values(createServiceImplSpec(service, implementation).methods).forEach(add);
      return router;
    },
    rpc(method, implementation) {
      add(createMethodImplSpec(method, implementation));
      return router;
    },
  };
  routes(router);
  return methods;
}

function isPlain(headers: IncomingHttpHeaders): boolean {
  const encoding = headers['grpc-encoding'] ?? 'identity';
  return (
    headers[':method'] === 'POST' &&
    CONTENT_TYPES.includes(headers['content-type']) &&
    encoding === 'identity' &&
    headers[':authority'] !== undefined &&
    headers.expect === undefined
  );
}

function urlOf(headers: IncomingHttpHeaders): string {
  return `${headers[':scheme']}://${headers[':authority']}${headers[':path']}`;
}

type CallRequest = Pick<HandlerContext, 'requestHeader' | 'values' | 'url'>;

/** Serves one call to its end. Never rejects. */
async function serve(
  spec: GrpcMethod,
  {
    interceptors,
    gate,
    explain = (thrown) => thrown,
    ...hooks
  }: Pick<GrpcOptions, 'interceptors' | 'inspect' | 'encode' | 'gate' | 'explain'>,
  stream: GrpcStream,
  request: CallRequest,
): Promise<void> {
  const { timeoutMs, error: badTimeout } = parseTimeout(request.requestHeader.get('grpc-timeout'), Infinity);
  const timer = startDeadline(stream, timeoutMs);
  const context = contextOf(spec, stream, request, timeoutMs);
  try {
    if (badTimeout !== undefined) throw badTimeout;
    await gate?.admit(context);
    // The reader slows a stream of messages.
    if (gate && spec.kind !== 'client_streaming') stream.holdBy(gate.hold(request.values));
    const { header, trailer, content } = await invoke(spec, context, interceptors, stream, hooks);
    if (content instanceof Uint8Array) {
      stream.respond(responseHeaders(header));
      stream.end(okTrailers(trailer), content);
      return;
    }
    for await (const message of content) {
      if (!stream.hasResponded) stream.respond(responseHeaders(header));
      await stream.write(message);
    }
    if (!stream.hasResponded) stream.respond(responseHeaders(header));
    stream.end(okTrailers(trailer));
  } catch (thrown) {
    fail(stream, context, () => explain(thrown, context));
  } finally {
    clearTimeout(timer);
  }
}

function startDeadline(stream: GrpcStream, timeoutMs: number | undefined): NodeJS.Timeout | undefined {
  if (timeoutMs === undefined || timeoutMs > MAX_TIMER_MS) return undefined;
  const pass = () => stream.abort(new ConnectError('the deadline has passed', Code.DeadlineExceeded));
  if (timeoutMs >= 1) return setTimeout(pass, timeoutMs);
  pass();
  return undefined;
}

function contextOf(
  spec: GrpcMethod,
  stream: GrpcStream,
  request: CallRequest,
  timeoutMs: number | undefined,
): HandlerContext {
  const started = Date.now();
  return {
    service: spec.method.parent,
    method: spec.method,
    protocolName: 'grpc',
    requestMethod: 'POST',
    ...request,
    signal: stream.signal,
    timeoutMs: () => (timeoutMs === undefined ? undefined : started + timeoutMs - Date.now()),
    responseHeader: new Headers(),
    responseTrailer: new Headers(),
  };
}

/** Ends a call with an error: in the trailers, or in the headers if there is nothing else to send. */
function fail(stream: GrpcStream, context: HandlerContext, explain: () => unknown): void {
  stream.stop();
  try {
    answerError(stream, context, explain());
  } catch {
    // For example because the implementation set a header that HTTP/2 does not allow.
    stream.break();
  }
}

function answerError(stream: GrpcStream, context: HandlerContext, thrown: unknown): void {
  const error =
    thrown instanceof ConnectError
      ? thrown
      : new ConnectError('internal error', Code.Internal, undefined, undefined, thrown);
  const { responseHeader, responseTrailer } = context;
  const trailers = toNodeHeaders(setTrailerStatus(responseTrailer, error));
  const hasHeaders = !responseHeader.keys().next().done;
  if (!stream.hasResponded && !hasHeaders) {
    stream.respondAndEnd({ ...trailers, ...responseHeaders(responseHeader) });
    return;
  }
  if (!stream.hasResponded) stream.respond(responseHeaders(responseHeader));
  stream.end(trailers);
}

function responseHeaders(header: Headers): OutgoingHttpHeaders {
  return { ...toNodeHeaders(header), ':status': 200, 'content-type': 'application/grpc+proto' };
}

function okTrailers(trailer: Headers): OutgoingHttpHeaders {
  return { ...toNodeHeaders(trailer), 'grpc-status': '0' };
}

/** Undefined if a header is not valid for `Headers`. */
function toWebHeaders(from: IncomingHttpHeaders): Headers | undefined {
  const headers = new Headers();
  try {
    for (const name in from) {
      const value = from[name];
      if (name.startsWith(':') || value === undefined) continue;
      if (typeof value === 'string') headers.set(name, value);
      else for (const one of value) headers.append(name, one);
    }
    return headers;
  } catch {
    return undefined;
  }
}

function toNodeHeaders(from: Headers): OutgoingHttpHeaders {
  const headers: Record<string, string | string[]> = {};
  from.forEach((value, name) => {
    const earlier = headers[name];
    headers[name] = earlier === undefined ? value : [earlier, value].flat();
  });
  return headers;
}
