import { Code, type Interceptor } from '@connectrpc/connect';
import { callKey } from '../call-context.ts';
import { toConnectError } from '../errors.ts';
import { atEnd } from './ends.ts';

/**
 * Converts anything a call throws into the caller's error; the original is its cause.
 *
 * @param challenge - value of `www-authenticate` for unidentified callers
 */
export function mapErrors(challenge: string | undefined): Interceptor {
  return atEnd(({ contextValues }) => ({
    failed: (thrown) => {
      const error = toConnectError(thrown, contextValues.get(callKey).requestId);
      if (error.code === Code.Unauthenticated && challenge) error.metadata.set('www-authenticate', challenge);
      return error;
    },
  }));
}
