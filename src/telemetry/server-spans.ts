import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags, type Span } from '@opentelemetry/api';
import type { Context, SpanOptions, Tracer } from '@opentelemetry/api';
import { SamplingDecision, type Sampler } from '@opentelemetry/sdk-trace';
import { below, currentSpan, scopeOf, type SpanScope } from './driver-spans.ts';
import type { TraceParent, TraceScope } from './trace-context.ts';

/** The span of a call of an RPC, or of its use case. */
export interface CallSpan extends TraceScope {
  /**
   * @param code - gRPC name of its code, such as `NOT_FOUND`
   * @param reason - reason of its error without prefix; empty without one
   * @param isError - true if the call was refused or the service failed
   */
  end(code: string, reason: string, isError: boolean): void;
}

/** The span of a plain HTTP request. */
export interface RequestSpan extends TraceScope {
  /**
   * @param status - of the response
   * @param error - why there is no whole response, as `error.type`; empty if there is one
   * @param isFault - true if the service failed
   */
  end(status: number, error: string, isFault: boolean): void;
}

/** A call or a request in its trace. */
export interface Traced<Own extends TraceScope> {
  readonly traceId: string;
  /** Undefined if it is not sampled: then nothing below it has a span either. */
  readonly span: Own | undefined;
}

/** A call of an RPC, for its span. */
export interface TracedCall {
  /** Full name, such as `asset.v1.AssetService/GetFile`. */
  readonly method: string;
  readonly requestId: string;
  /** How long ago it arrived, in milliseconds. */
  readonly ageMs: number;
  /** The caller's position in its trace. */
  readonly parent: TraceParent | undefined;
}

/** A plain HTTP request, for its span. */
export interface TracedRequest {
  readonly method: string;
  /** Template of its path, such as `/blobs/{token}`; empty if the service has no such path. */
  readonly route: string;
  readonly scheme: string;
  /** Version of HTTP, such as `1.1`. */
  readonly version: string;
  readonly parent: TraceParent | undefined;
}

/** What spans of calls and requests are made with. */
export interface SpanMaker {
  /** Records every span, because `sampler` was asked before. */
  readonly tracer: Tracer;
  readonly sampler: Sampler;
  /** A new id. The next span without a parent belongs to this trace. */
  readonly newTraceId: () => string;
}

/** Starts the span of a call, if it is sampled. */
export function startCall(maker: SpanMaker, call: TracedCall): Traced<CallSpan> {
  return startServer(maker, call.method, call.parent, (start) => {
    const attributes = { 'rpc.method': call.method, 'asset.request_id': call.requestId };
    return callSpan(start({ attributes, startTime: Date.now() - call.ageMs }));
  });
}

/** Starts the span of a plain HTTP request, if it is sampled. Its path is not told: it is a secret. */
export function startRequest(maker: SpanMaker, request: TracedRequest): Traced<RequestSpan> {
  const { method, route, scheme, version, parent } = request;
  return startServer(maker, route === '' ? method : `${method} ${route}`, parent, (start) => {
    const attributes = {
      'http.request.method': method,
      ...(route !== '' && { 'http.route': route, 'url.path': route }),
      ...{ 'url.scheme': scheme, 'network.protocol.version': version },
    };
    return requestSpan(start({ attributes }));
  });
}

/** Starts the span of a use case below that of the current call; undefined if that is not sampled. */
export function startUseCase(tracer: Tracer, method: string): CallSpan | undefined {
  const parent = currentSpan();
  return (
    parent && callSpan(tracer.startSpan(`useCase.${method}`, { kind: SpanKind.INTERNAL }, below(parent)))
  );
}

/** Asks the sampler before anything is made of a call: most calls are not sampled. */
function startServer<Own extends TraceScope>(
  { tracer, sampler, newTraceId }: SpanMaker,
  name: string,
  parent: TraceParent | undefined,
  make: (start: (options: SpanOptions) => Span) => Own,
): Traced<Own> {
  const traceId = parent?.traceId ?? newTraceId();
  const context = parent ? contextOf(parent) : ROOT_CONTEXT;
  const { decision } = sampler.shouldSample(context, traceId, name, SpanKind.SERVER, {}, []);
  if (decision !== SamplingDecision.RECORD_AND_SAMPLED) return { traceId, span: undefined };
  const start = (options: SpanOptions) =>
    tracer.startSpan(name, { kind: SpanKind.SERVER, ...options }, context);
  return { traceId, span: make(start) };
}

function callSpan(span: Span): CallSpan {
  const scope: SpanScope & CallSpan = {
    ...scopeOf(span),
    end(code, reason, isError) {
      span.setAttribute('rpc.response.status_code', code);
      if (reason !== '') span.setAttribute('error.type', reason);
      if (isError) span.setStatus({ code: SpanStatusCode.ERROR, message: reason });
      span.end();
    },
  };
  return scope;
}

function requestSpan(span: Span): RequestSpan {
  const scope: SpanScope & RequestSpan = {
    ...scopeOf(span),
    end(status, error, isFault) {
      span.setAttribute('http.response.status_code', status);
      if (error !== '') span.setAttribute('error.type', error);
      if (isFault) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    },
  };
  return scope;
}

function contextOf({ traceId, spanId, isSampled }: TraceParent): Context {
  const traceFlags = isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}
