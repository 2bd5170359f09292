import type { Interceptor } from '@connectrpc/connect';
import { callKey } from '../call-context.ts';
import { admittedKey } from '../gate.ts';

/** Copies the caller, as the gate identified it, into the `Call`. */
export function identify(): Interceptor {
  return (next) => async (request) => {
    const { contextValues } = request;
    const caller = contextValues.get(admittedKey);
    if (caller === undefined) return next(request);
    const call = contextValues.get(callKey);
    const { principal, endUser } = caller;
    call.note({ principal: principal.id, ...(endUser && { end_user: endUser.id }) });
    contextValues.set(callKey, { ...call, caller: { ...caller, requestId: call.requestId } });
    return next(request);
  };
}
