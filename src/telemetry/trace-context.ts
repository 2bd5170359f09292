import { AsyncLocalStorage } from 'node:async_hooks';

/** The span in which code runs; that of the caller if the call is not sampled. */
export interface TraceScope {
  readonly traceId: string;
  /** Empty if there is none. */
  readonly spanId: string;
}

/** A position in the trace of a caller. */
export interface TraceParent extends TraceScope {
  readonly isSampled: boolean;
}

const scopes = new AsyncLocalStorage<TraceScope>();

/** The span in which this code runs; undefined outside a traced call. */
export function currentScope(): TraceScope | undefined {
  return scopes.getStore();
}

/** Runs `work`, and what it starts, in a span. */
export function runInScope<T>(scope: TraceScope, work: () => T): T {
  return scopes.run(scope, work);
}

/** The same messages; each is made in the span, wherever it is asked for. */
export function iterateInScope<T>(scope: TraceScope, messages: AsyncIterable<T>): AsyncIterableIterator<T> {
  const iterator = runInScope(scope, () => messages[Symbol.asyncIterator]());
  return {
    next: () => runInScope(scope, () => iterator.next()),
    return: (value?: unknown) =>
      runInScope(
        scope,
        async (): Promise<IteratorResult<T>> => (await iterator.return?.(value)) ?? { done: true, value },
      ),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** Fields of a log line that name the trace; none outside a traced call. */
export function traceFields(): object {
  const scope = scopes.getStore();
  if (scope === undefined) return {};
  const { traceId, spanId } = scope;
  return spanId === '' ? { trace_id: traceId } : { trace_id: traceId, span_id: spanId };
}

const PARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** Parses a `traceparent` header (W3C Trace Context); undefined if there is none that is valid. */
export function parseTraceParent(header: string | null): TraceParent | undefined {
  if (header === null) return undefined;
  const [, version = 'ff', traceId = '', spanId = '', flags = '', rest] = PARENT.exec(header) ?? [];
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 };
}
