import { ConnectError, type Interceptor } from '@connectrpc/connect';
import { ANONYMOUS } from '../../identity/caller.ts';
import { callKey, requestIdOf } from '../call-context.ts';
import { atEnd } from './ends.ts';

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
