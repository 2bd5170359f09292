import type { Interceptor } from '@connectrpc/connect';
import type { Caller, Expiry } from '../../identity/caller.ts';
import { invalidCredentials } from '../../errors/callers.ts';
import { callKey } from './call-context.ts';

/** Maximum delay of a timer: about 24 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Ends streams, in both directions, when a credential of their caller expires: a locked-out caller gets or sends no
 * more bytes than those in transit.
 */
export function endWithCredential(): Interceptor {
  return (next) => async (request) => {
    if (!request.stream) return next(request);
    const expiry = expiryOf(request.contextValues.get(callKey).caller);
    if (expiry === undefined || expiry.at - Date.now() > MAX_TIMER_MS) return next(request);
    if (request.method.methodKind === 'client_streaming') {
      return next({ ...request, message: until(request.message, expiry) });
    }
    const response = await next(request);
    return response.stream ? { ...response, message: until(response.message, expiry) } : response;
  };
}

/** The earliest expiry of the credentials. */
function expiryOf({ principal, endUser }: Caller): Expiry | undefined {
  const [first, second] = [principal.expiry, endUser?.expiry];
  if (first === undefined || second === undefined) return first ?? second;
  return first.at <= second.at ? first : second;
}

/** The same messages until a credential expires: then CREDENTIALS_INVALID, also for a pending read. */
async function* until<T>(messages: AsyncIterable<T>, { at, place }: Expiry): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  let hasEnded = false;
  let end = () => {
    hasEnded = true;
  };
  const timer = setTimeout(() => end(), at - Date.now());
  try {
    for (;;) {
      const result = await new Promise<IteratorResult<T>>((resolve, reject) => {
        end = () => {
          hasEnded = true;
          reject(invalidCredentials(place, 'expired'));
        };
        if (hasEnded) end();
        else iterator.next().then(resolve, reject);
      });
      if (result.done) return;
      yield result.value;
    }
  } finally {
    clearTimeout(timer);
    void Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}
