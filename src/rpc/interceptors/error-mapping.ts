import { Code, type Interceptor } from '@connectrpc/connect';
import { callKey } from '../call.ts';
import { toConnectError } from '../errors.ts';
import { atEnd } from './ends.ts';

/**
 * Turns whatever a call throws into the error for its caller; what was thrown is the cause of that.
 *
 * @param challenge - what a caller that is not known gets as `www-authenticate`
 */
export function mapErrors(challenge: string | undefined): Interceptor {
  return atEnd(({ contextValues }) => ({
    failed: (thrown) => {
      const { error } = toConnectError(thrown, contextValues.get(callKey).requestId);
      if (error.code === Code.Unauthenticated && challenge) error.metadata.set('www-authenticate', challenge);
      return error;
    },
  }));
}
