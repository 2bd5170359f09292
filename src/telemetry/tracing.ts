import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags, type Span } from '@opentelemetry/api';
import type { Attributes, Context, Tracer } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { env } from 'node:process';
import type { Logger } from 'pino';
import { watchRequests, type DriverRequest } from '../system/requests.ts';
import { processResource, reportExportFailures } from './open-telemetry.ts';
import { outcomeOf, type CallTracer } from './observed.ts';
import { currentScope, runInScope, type TraceParent, type TraceScope } from './trace-context.ts';
import { samplerOf } from './sampler.ts';

/** The span of a call of an RPC, or of its use case. */
export interface CallSpan extends TraceScope {
  /**
   * @param code - gRPC name of its code, such as `NOT_FOUND`
   * @param reason - reason of its error without prefix; empty without one
   * @param isError - true if the call was refused or the service failed
   */
  end(code: string, reason: string, isError: boolean): void;
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

/** Creates spans and exports them over OTLP. */
export interface Tracing {
  startCall(call: TracedCall): CallSpan;
  /** Starts the span of a use case below that of the current call; undefined if that is not sampled. */
  startUseCase(name: string): CallSpan | undefined;
  /** Makes a span of each call of a store or a catalog that a traced call makes. */
  readonly traceDriver: CallTracer;
  /** Sends the last spans and stops. */
  close(): Promise<void>;
}

/** A scope with its span. */
interface SpanScope extends TraceScope {
  readonly span: Span;
}

/** Opens tracing; spans are sampled by the caller's decision, and without one by `OTEL_TRACES_SAMPLER`. */
export function openTracing(log: Logger): Tracing {
  reportExportFailures(log);
  const delay = Number(env['OTEL_BSP_SCHEDULE_DELAY']);
  const processor = new BatchSpanProcessor({
    exporter: new OTLPTraceExporter(),
    ...(delay > 0 && { scheduledDelayMillis: delay }),
  });
  const provider = new TracerProvider({
    resource: processResource(),
    sampler: samplerOf(env, (doubt) => log.warn(doubt)),
    spanProcessors: [processor],
  });
  const tracer = provider.getTracer('asset-service');
  const stopWatching = watchRequests((request) => recordRequest(tracer, request));
  return {
    startCall: (call) => startCall(tracer, call),
    startUseCase(name) {
      const parent = currentSpan();
      return parent && callSpan(tracer.startSpan(name, { kind: SpanKind.INTERNAL }, below(parent)));
    },
    traceDriver: (operation, work) => traced(tracer, operation, work),
    async close() {
      stopWatching();
      // A collector that does not answer must not keep the process from its end.
      const limit = new Promise<void>((resolve) => setTimeout(resolve, 5_000).unref());
      await Promise.race([provider.shutdown().catch(() => undefined), limit]);
    },
  };
}

function startCall(tracer: Tracer, { method, requestId, ageMs, parent }: TracedCall): CallSpan {
  const attributes = { 'rpc.method': method, 'asset.request_id': requestId };
  const startTime = Date.now() - ageMs;
  const options = { kind: SpanKind.SERVER, attributes, startTime };
  return callSpan(tracer.startSpan(method, options, parent ? contextOf(parent) : ROOT_CONTEXT));
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

/** Runs a call of a driver in a span, if it belongs to a traced call that is sampled. */
function traced(tracer: Tracer, operation: string, work: () => unknown): unknown {
  const parent = currentSpan();
  if (parent === undefined) return work();
  const span = tracer.startSpan(operation, { kind: SpanKind.INTERNAL }, below(parent));
  const fail = (error: unknown) => {
    const outcome = outcomeOf(error);
    span.setAttribute('error.type', outcome);
    if (outcome === 'error' || outcome.endsWith('_UNAVAILABLE')) {
      span.setStatus({ code: SpanStatusCode.ERROR });
    }
    span.end();
  };
  try {
    const result = runInScope(scopeOf(span), work);
    if (!(result instanceof Promise)) {
      span.end();
      return result;
    }
    result.then(() => span.end(), fail);
    return result;
  } catch (error) {
    fail(error);
    throw error;
  }
}

/** Names of errors by which S3 says that there is no such thing, which is often what was asked. */
const ABSENT: ReadonlySet<string> = new Set(['NotFound', 'NoSuchKey', 'NoSuchUpload']);

/** Makes a span of a request that has ended. */
function recordRequest(tracer: Tracer, { system, name, durationMs, attributes, error }: DriverRequest): void {
  const parent = currentSpan();
  if (parent === undefined) return;
  const isSql = system === 'postgresql' || system === 'sqlite';
  const labels: Attributes = {
    ...(isSql ? { 'db.system.name': system, 'db.operation.name': name } : { 'asset.system': system }),
    ...attributes,
    ...(error !== undefined && { 'error.type': nameOf(error) }),
  };
  const endTime = Date.now();
  const options = { kind: SpanKind.CLIENT, attributes: labels, startTime: endTime - durationMs };
  const span = tracer.startSpan(`${system} ${name}`, options, below(parent));
  if (error !== undefined && !ABSENT.has(nameOf(error))) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end(endTime);
}

/** The span in which this code runs, if it is sampled. */
function currentSpan(): Span | undefined {
  const { span } = (currentScope() ?? {}) as Partial<SpanScope>;
  return span?.isRecording() ? span : undefined;
}

function below(parent: Span): Context {
  return trace.setSpan(ROOT_CONTEXT, parent);
}

function scopeOf(span: Span): SpanScope {
  const { traceId, spanId } = span.spanContext();
  return { traceId, spanId, span };
}

function contextOf({ traceId, spanId, isSampled }: TraceParent): Context {
  const traceFlags = isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}

function nameOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  return typeof code === 'string' ? code : typeof name === 'string' ? name : 'error';
}
