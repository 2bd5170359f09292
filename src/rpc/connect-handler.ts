import {
  ConnectError,
  createConnectRouter,
  type ConnectRouter,
  type ContextValues,
} from '@connectrpc/connect';
import type {
  UniversalHandler,
  UniversalServerRequest,
  UniversalServerResponse,
} from '@connectrpc/connect/protocol';
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
  type connectNodeAdapter,
} from '@connectrpc/connect-node';
import type { Interceptor } from '@connectrpc/connect';
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import { callOf } from './call.ts';
import { toConnectError } from './errors.ts';
import type { Gate } from './gate.ts';
import type { InboundHold } from './inbound-budget.ts';
import type { RequestHandler } from './listener.ts';
import { whyUnreadable } from './unreadable.ts';

/** What {@link connectHandler} serves, and how. */
export interface ConnectOptions {
  readonly routes: (router: ConnectRouter) => void;
  /** The first is the outermost. */
  readonly interceptors: Interceptor[];
  /** Makes the context values of a call. */
  readonly contextValues: (request: IncomingMessage | Http2ServerRequest) => ContextValues;
  readonly gate: Gate;
  /** Answers what is no RPC; 404 where left out. */
  readonly fallback?: RequestHandler;
}

type NodeRequest = Parameters<ReturnType<typeof connectNodeAdapter>>[0];
type NodeResponse = Parameters<ReturnType<typeof connectNodeAdapter>>[1];

/**
 * Serves Connect, gRPC-Web and what of gRPC needs the general pipeline. It is the adapter of Connect with the gate before it:
 * the body of a call that is refused is replaced by an empty message, so that nothing of it is read and the
 * interceptors refuse it in the protocol of the caller.
 */
export function connectHandler(options: ConnectOptions): RequestHandler {
  const router = createConnectRouter({
    interceptors: options.interceptors,
    acceptCompression: [compressionGzip, compressionBrotli],
  });
  options.routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return (request, response) => {
    const handler = handlers.get(request.url?.split('?', 2)[0] ?? '');
    if (handler !== undefined) return void serve(options, handler, request, response);
    if (options.fallback) return options.fallback(request, response);
    response.writeHead(404);
    response.end();
  };
}

async function serve(
  { contextValues, gate }: ConnectOptions,
  handler: UniversalHandler,
  request: NodeRequest,
  response: NodeResponse,
): Promise<void> {
  try {
    const values = contextValues(request);
    const whole = universalRequestFromNodeRequest(request, response, undefined, values);
    const isAdmitted = await gate.admit(handler.service, values);
    const isOne = handler.method.methodKind === 'unary' || handler.method.methodKind === 'server_streaming';
    const read = !isAdmitted ? withoutBody(whole) : isOne ? counted(whole, gate.hold(values)) : whole;
    const answer = await answerTo(handler, gate, values, read);
    // Else the adapter reads what is left of a body before it answers, for as long as its sender likes.
    if (!request.complete && 'shouldKeepAlive' in response) response.shouldKeepAlive = false;
    await universalResponseToNodeResponse(answer, response);
  } catch {
    // The request has no host, or the caller is gone: there is nobody to tell.
    if (!response.headersSent) response.writeHead(400);
    response.end();
  }
}

/**
 * Has the call answered. Connect itself answers a message that it cannot read, with a code alone; so the call is made
 * again without its message, and the interceptors tell why, count and log it like any other.
 */
async function answerTo(
  handler: UniversalHandler,
  gate: Gate,
  values: ContextValues,
  request: UniversalServerRequest,
): Promise<UniversalServerResponse> {
  const first = await handler(request);
  if (callOf({ values }).requestId !== '' || request.method !== 'POST') return first;
  const { answer, failure } = await whyUnreadable(first);
  if (failure === undefined) return answer;
  gate.refuse(values, failure);
  return handler(withoutBody(request));
}

/** The request with an empty message in the place of its body, in the form that its type asks for. */
function withoutBody(request: UniversalServerRequest): UniversalServerRequest {
  const type = request.header.get('content-type') ?? '';
  const header = new Headers(request.header);
  for (const name of ['content-encoding', 'grpc-encoding', 'connect-content-encoding', 'content-length']) {
    header.delete(name);
  }
  const message = Buffer.from(/json/.test(type) ? '{}' : '');
  const isEnveloped = /^application\/(grpc|connect\+)/.test(type);
  const prefix = Buffer.alloc(isEnveloped ? 5 : 0);
  if (isEnveloped) prefix.writeUInt32BE(message.length, 1);
  return { ...request, header, body: once(Buffer.concat([prefix, message])) };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}

/** The request whose bytes are counted until its message is whole. */
function counted(request: UniversalServerRequest, hold: InboundHold): UniversalServerRequest {
  const body = request.body as AsyncIterable<Uint8Array>;
  async function* counting() {
    let bytes = 0;
    try {
      for await (const chunk of body) {
        bytes += chunk.byteLength;
        hold.set(bytes);
        yield chunk;
      }
    } catch (error) {
      throw error instanceof ConnectError ? error : toConnectError(error, '').error;
    } finally {
      hold.set(0);
    }
  }
  return { ...request, body: counting() };
}
