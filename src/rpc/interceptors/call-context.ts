import { randomUUID } from 'node:crypto';
import { ConnectError, createContextKey, type HandlerContext, type Interceptor } from '@connectrpc/connect';
import { ANONYMOUS, type Caller } from '../../identity/caller.ts';
import { parseTraceParent } from '../../telemetry/trace-context.ts';
import { admittedKey } from '../gate/gate.ts';

/** What is known about the current call. */
export interface Call {
  /** Id of this call in the log; returned as the header `x-request-id`. */
  readonly requestId: string;
  /** Id of the trace that it belongs to; empty if there is none. */
  readonly traceId: string;
  readonly caller: Caller;
  /** Further fields of the call's log line. */
  readonly fields: Readonly<Record<string, string | number>>;
  /** Adds to {@link fields}: ids and counts, never content. */
  note(fields: Readonly<Record<string, string | number>>): void;
}

/** Context key with which interceptors pass the {@link Call} to handlers. */
export const callKey = createContextKey<Call>(
  { requestId: '', traceId: '', caller: ANONYMOUS, fields: {}, note: () => undefined },
  { description: 'the call in hand' },
);

/** The call of a handler. */
export function callOf(context: Pick<HandlerContext, 'values'>): Call {
  return context.values.get(callKey);
}

/** Request ids of callers that cannot break a log line or a header. */
const REQUEST_ID = /^[\w.:-]{1,128}$/;

/** Id of the call: the caller's, or a new one. */
export function requestIdOf(header: Headers): string {
  const sent = header.get('x-request-id') ?? '';
  return REQUEST_ID.test(sent) ? sent : randomUUID();
}

/** Id of the trace of the caller; empty if it has none. */
export function traceIdOf(header: Headers): string {
  return parseTraceParent(header.get('traceparent'))?.traceId ?? '';
}

/** Gives each call its id, and returns it to the caller in the header `x-request-id`, also with errors. */
export function giveCallId(): Interceptor {
  const onErrors = atEnd(({ contextValues }) => ({
    failed: (thrown) => {
      if (thrown instanceof ConnectError)
        thrown.metadata.set('x-request-id', contextValues.get(callKey).requestId);
      return thrown;
    },
  }));
  return (next) => {
    const inner = onErrors(next);
    return async (request) => {
      const requestId = requestIdOf(request.header);
      const fields: Record<string, string | number> = {};
      request.contextValues.set(callKey, {
        requestId,
        traceId: traceIdOf(request.header),
        caller: { ...ANONYMOUS, requestId },
        fields,
        note: (more) => void Object.assign(fields, more),
      });
      const response = await inner(request);
      response.header.set('x-request-id', requestId);
      return response;
    };
  };
}

/** Copies the caller, whom the gate has identified, into the {@link Call}. */
export function identify(): Interceptor {
  return (next) => async (request) => {
    const { contextValues } = request;
    const caller = contextValues.get(admittedKey);
    if (caller === undefined) return next(request);
    const call = contextValues.get(callKey);
    call.note(callerFields(caller));
    contextValues.set(callKey, { ...call, caller: { ...caller, requestId: call.requestId } });
    return next(request);
  };
}

/** Fields of a log line that name the caller. */
export function callerFields({ principal, endUser }: Caller): Readonly<Record<string, string>> {
  return { principal: principal.id, ...(endUser && { end_user: endUser.id }) };
}

type Request = Parameters<ReturnType<Interceptor>>[0];

/**
 * Callbacks for the end of a call. A stream ends when its last message was read, or when its reader stops.
 */
interface Ends {
  readonly succeeded?: () => void;
  /** The caller stopped reading the response. */
  readonly canceled?: () => void;
  /** Returns the error to throw instead. */
  readonly failed: (thrown: unknown) => unknown;
}

/** An interceptor that runs callbacks when a unary or streaming call is over. */
export function atEnd(start: (request: Request) => Ends): Interceptor {
  return (next) => async (request) => {
    const ends = start(request);
    try {
      const response = await next(request);
      if (response.stream) return { ...response, message: watched(response.message, ends) };
      ends.succeeded?.();
      return response;
    } catch (thrown) {
      throw ends.failed(thrown);
    }
  };
}

async function* watched<T>(messages: AsyncIterable<T>, ends: Ends): AsyncGenerator<T> {
  let isOver = false;
  try {
    yield* messages;
    isOver = true;
    ends.succeeded?.();
  } catch (thrown) {
    isOver = true;
    throw ends.failed(thrown);
  } finally {
    if (!isOver) ends.canceled?.();
  }
}
