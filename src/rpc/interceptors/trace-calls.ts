import { ConnectError, type Interceptor } from '@connectrpc/connect';
import { iterateInScope, parseTraceParent, runInScope } from '../../telemetry/trace-context.ts';
import type { Tracing } from '../../telemetry/tracing.ts';
import { presentedKey } from '../gate/credentials.ts';
import { atEnd, callKey } from './call-context.ts';
import { codeName, reasonOf } from './error-details.ts';
import { isFault } from './error-mapping.ts';
import { nameOf } from './observe-calls.ts';

/**
 * Runs each call in a span, a child of the caller's if it sends `traceparent`. Runs outside the interceptors for the log and
 * errors, which show the trace.
 */
export function traceCalls({ startCall }: Pick<Tracing, 'startCall'>): Interceptor {
  return (next) => async (request) => {
    const { contextValues, method, header } = request;
    const call = contextValues.get(callKey);
    const span = startCall({
      ...{ method: nameOf(method), requestId: call.requestId },
      ageMs: performance.now() - contextValues.get(presentedKey).arrivedAt,
      parent: parseTraceParent(header.get('traceparent')),
    });
    contextValues.set(callKey, { ...call, traceId: span.traceId });
    const ended = atEnd(() => ({
      succeeded: () => span.end('OK', '', false),
      canceled: () => span.end('CANCELED', '', false),
      failed: (thrown) => {
        const error = ConnectError.from(thrown);
        span.end(codeName(error.code), reasonOf(error), isFault(error));
        return thrown;
      },
    }));
    const inScope: typeof next = async (traced) => {
      const response = await runInScope(span, () => next(traced));
      return response.stream ? { ...response, message: iterateInScope(span, response.message) } : response;
    };
    return ended(inScope)(request);
  };
}
