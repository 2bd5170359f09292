import { createContextKey, type HandlerContext } from '@connectrpc/connect';
import { ANONYMOUS, type Caller } from '../files/caller.ts';

/** What is known of the call in hand. */
export interface Call {
  /** Name of this call in the log; sent back as the header `x-request-id`. */
  readonly requestId: string;
  readonly caller: Caller;
  /** Adds fields to the one line that the call gets in the log. Ids and counts, never content. */
  note(fields: Readonly<Record<string, string | number>>): void;
}

/** Where interceptors leave the {@link Call} for the handlers. */
export const callKey = createContextKey<Call>(
  { requestId: '', caller: ANONYMOUS, note: () => undefined },
  { description: 'the call in hand' },
);

/** The call that a handler serves. */
export function callOf(context: Pick<HandlerContext, 'values'>): Call {
  return context.values.get(callKey);
}
