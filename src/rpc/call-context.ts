import { randomUUID } from 'node:crypto';
import { createContextKey, type HandlerContext } from '@connectrpc/connect';
import { ANONYMOUS, type Caller } from '../identity/caller.ts';

/** What is known about the current call. */
export interface Call {
  /** Id of this call in the log; returned as the header `x-request-id`. */
  readonly requestId: string;
  readonly caller: Caller;
  /** Further fields of the call's log line. */
  readonly fields: Readonly<Record<string, string | number>>;
  /** Adds to {@link fields}: ids and counts, never content. */
  note(fields: Readonly<Record<string, string | number>>): void;
}

/** Context key with which interceptors pass the {@link Call} to handlers. */
export const callKey = createContextKey<Call>(
  { requestId: '', caller: ANONYMOUS, fields: {}, note: () => undefined },
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
