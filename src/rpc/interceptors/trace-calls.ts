import type { DescMethod } from '@bufbuild/protobuf';
import { Code, ConnectError, type ContextValues, type Interceptor } from '@connectrpc/connect';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import {
  iterateInScope,
  parseTraceParent,
  runInScope,
  type TraceScope,
} from '../../telemetry/trace-context.ts';
import type { CallSpan, TracedCall } from '../../telemetry/server-spans.ts';
import type { Tracing } from '../../telemetry/tracing.ts';
import { presentedKey } from '../gate/credentials.ts';
import { atEnd, callKey } from './call-context.ts';
import { codeName, reasonOf } from './error-details.ts';
import { isFault, toConnectError } from './error-mapping.ts';
import { nameOf } from './observe-calls.ts';

type AnyFn = Parameters<Interceptor>[0];

/** Codes of calls that were refused: what was asked was not tried. Other answers, such as NOT_FOUND, are none. */
const REFUSED: ReadonlySet<Code> = new Set([
  Code.Unauthenticated,
  Code.PermissionDenied,
  Code.InvalidArgument,
  Code.ResourceExhausted,
]);

/**
 * Runs each call in a span, a child of the caller's if it sends `traceparent`. Runs outside the interceptors for the log and
 * errors, which show the trace.
 */
export function traceCalls({ startCall }: Pick<Tracing, 'startCall'>): Interceptor {
  return (next) => (request) => {
    const { contextValues, method, header } = request;
    const call = contextValues.get(callKey);
    const traced = tracedCall(method, contextValues, header, call.requestId);
    const { traceId, span } = startCall(traced);
    if (traceId !== call.traceId) contextValues.set(callKey, { ...call, traceId });
    if (span === undefined) return inScope({ traceId, spanId: traced.parent?.spanId ?? '' }, next)(request);
    return inSpan(span, next, (thrown) => ConnectError.from(thrown))(request);
  };
}

/**
 * Runs the handler of each call of the AssetService in a span below that of the call, if that is sampled. The innermost
 * interceptor: the time of the call outside this span is that of admission and checks.
 */
export function traceUseCases({ startUseCase }: Pick<Tracing, 'startUseCase'>): Interceptor {
  return (next) => (request) => {
    const { service, method, contextValues } = request;
    const span = service.typeName === AssetService.typeName ? startUseCase(method.localName) : undefined;
    if (span === undefined) return next(request);
    return inSpan(span, next, (thrown) => toConnectError(thrown, contextValues.get(callKey)))(request);
  };
}

/** Ends the span of a call that failed. */
export function endFailed(span: CallSpan, error: ConnectError): void {
  span.end(codeName(error.code), reasonOf(error), isFault(error) || REFUSED.has(error.code));
}

/** A call for its span, which begins when its headers arrived. */
export function tracedCall(
  method: DescMethod,
  values: ContextValues,
  header: Headers,
  requestId: string,
): TracedCall {
  return {
    ...{ method: nameOf(method), requestId },
    ageMs: performance.now() - values.get(presentedKey).arrivedAt,
    parent: parseTraceParent(header.get('traceparent')),
  };
}

/** Runs a call in a span until its last message was sent. */
function inSpan(span: CallSpan, next: AnyFn, errorOf: (thrown: unknown) => ConnectError): AnyFn {
  const ended = atEnd(() => ({
    succeeded: () => span.end('OK', '', false),
    canceled: () => span.end('CANCELED', '', false),
    failed: (thrown) => {
      endFailed(span, errorOf(thrown));
      return thrown;
    },
  }));
  return ended(inScope(span, next));
}

/** Runs a call so that its lines in the log have the trace, and what it starts is below its span. */
function inScope(scope: TraceScope, next: AnyFn): AnyFn {
  return (request) => {
    const answer = runInScope(scope, () => next(request));
    if (!request.stream) return answer;
    return answer.then((response) =>
      response.stream ? { ...response, message: iterateInScope(scope, response.message) } : response,
    );
  };
}
