import { randomUUID } from 'node:crypto';
import { createContextKey, type HandlerContext } from '@connectrpc/connect';
import { ANONYMOUS, type Caller } from '../files/caller.ts';

/** What is known of the call in hand. */
export interface Call {
  /** Name of this call in the log; sent back as the header `x-request-id`. */
  readonly requestId: string;
  readonly caller: Caller;
  /** Further fields of the one line that the call gets in the log. */
  readonly fields: Readonly<Record<string, string | number>>;
  /** Adds to {@link fields}. Ids and counts, never content. */
  note(fields: Readonly<Record<string, string | number>>): void;
}

/** Where interceptors leave the {@link Call} for the handlers. */
export const callKey = createContextKey<Call>(
  { requestId: '', caller: ANONYMOUS, fields: {}, note: () => undefined },
  { description: 'the call in hand' },
);

/** The call that a handler serves. */
export function callOf(context: Pick<HandlerContext, 'values'>): Call {
  return context.values.get(callKey);
}

/** Request ids of callers are taken over if they cannot break a log line or a header. */
const REQUEST_ID = /^[\w.:-]{1,128}$/;

/** The name of a call in the log: what its caller calls it, or a new one. */
export function requestIdOf(header: Headers): string {
  const sent = header.get('x-request-id') ?? '';
  return REQUEST_ID.test(sent) ? sent : randomUUID();
}
