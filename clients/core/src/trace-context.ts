/** The part of a span of OpenTelemetry that a caller's position in a trace needs. */
interface ActiveSpan {
  spanContext(): {
    readonly traceId: string;
    readonly spanId: string;
    readonly traceFlags: number;
    readonly traceState?: { serialize(): string };
  };
}

/** What `@opentelemetry/api` 1.x shares among all its copies in a process. */
interface SharedApi {
  readonly context?: { active(): { getValue(key: symbol): unknown } };
}

const API = Symbol.for('opentelemetry.js.api.1');
const SPAN = Symbol.for('OpenTelemetry Context Key SPAN');

const TRACE_ID = /^(?!0+$)[0-9a-f]{32}$/;
const SPAN_ID = /^(?!0+$)[0-9a-f]{16}$/;

/**
 * The headers of W3C Trace Context for the active span of OpenTelemetry; none if the process has no OpenTelemetry or no
 * span is active. Reads what the API shares, so that this package need not depend on it.
 */
export function traceHeaders(): Readonly<Record<string, string>> {
  const api = (globalThis as { readonly [API]?: SharedApi })[API];
  const span = api?.context?.active().getValue(SPAN) as ActiveSpan | undefined;
  if (span === undefined) return {};
  const { traceId, spanId, traceFlags, traceState } = span.spanContext();
  if (!TRACE_ID.test(traceId) || !SPAN_ID.test(spanId)) return {};
  const flags = (traceFlags & 0xff).toString(16).padStart(2, '0');
  const state = traceState?.serialize() ?? '';
  return { traceparent: `00-${traceId}-${spanId}-${flags}`, ...(state !== '' && { tracestate: state }) };
}
