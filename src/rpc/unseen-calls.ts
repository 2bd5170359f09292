import { Code, ConnectError, type HandlerContext } from '@connectrpc/connect';
import type { Logger } from 'pino';
import { randomUUID } from 'node:crypto';
import { remoteAddressOf } from './credentials.ts';
import { codeName, reasonOf, toConnectError } from './errors.ts';

/** The caller is gone, or the deadline has passed. */
const ENDS = [Code.Canceled, Code.Aborted, Code.DeadlineExceeded];

type CallContext = Pick<HandlerContext, 'method' | 'values'>;

/**
 * Ends the calls that no interceptor has seen, such as those whose message cannot be read: gives their error its code and reason,
 * and the call its line in the log.
 */
export class UnseenCalls {
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** What a caller is told of `thrown`; an error that interceptors have seen has its reason already and is left as it is. */
  explain(thrown: unknown, context: CallContext): unknown {
    if (thrown instanceof ConnectError && thrown.details.length > 0) return thrown;
    const requestId = randomUUID();
    const { error } = toConnectError(thrown, requestId);
    error.metadata.set('x-request-id', requestId);
    this.#log.info(
      {
        ...{
          rpc: context.method.name,
          code: codeName(error.code),
          reason: reasonOf(error),
          request_id: requestId,
        },
        remote_address: remoteAddressOf(context.values),
      },
      'call',
    );
    return error;
  }

  /**
   * A gate for Connect, which asks nobody what to tell of such an error. It aborts the signal of the call with the error
   * right before it sends it, and so the error can be changed.
   */
  readonly gate = (context: HandlerContext): void => {
    const onAbort = () => {
      const reason: unknown = context.signal.reason;
      if (!(reason instanceof ConnectError) || reason.details.length > 0 || ENDS.includes(reason.code))
        return;
      const { code, rawMessage, message, details, metadata } = this.explain(reason, context) as ConnectError;
      Object.assign(reason, { code, rawMessage, message, details, metadata });
    };
    context.signal.addEventListener('abort', onAbort, { once: true });
  };
}
