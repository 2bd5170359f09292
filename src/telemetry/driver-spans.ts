import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, type Span } from '@opentelemetry/api';
import type { Attributes, Context, Tracer } from '@opentelemetry/api';
import type { DriverRequest } from '../system/requests.ts';
import { outcomeOf } from './observed.ts';
import { currentScope, runInScope, type TraceScope } from './trace-context.ts';

/** A scope with its span. */
export interface SpanScope extends TraceScope {
  readonly span: Span;
}

/** Runs a call of a driver in a span, if it belongs to a traced call that is sampled. */
export function traced(tracer: Tracer, operation: string, work: () => unknown): unknown {
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
export function recordRequest(
  tracer: Tracer,
  { system, name, durationMs, attributes, error }: DriverRequest,
): void {
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

/** The span in which this code runs; undefined if it is not sampled or has ended. */
export function currentSpan(): Span | undefined {
  const span = (currentScope() as Partial<SpanScope> | undefined)?.span;
  // What a call leaves running, such as a loop that polls, is not part of it.
  return span?.isRecording() ? span : undefined;
}

/** Where the children of a span begin. */
export function below(parent: Span): Context {
  return trace.setSpan(ROOT_CONTEXT, parent);
}

/** The scope of what runs in a span. */
export function scopeOf(span: Span): SpanScope {
  const { traceId, spanId } = span.spanContext();
  return { traceId, spanId, span };
}

function nameOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  return typeof code === 'string' ? code : typeof name === 'string' ? name : 'error';
}
