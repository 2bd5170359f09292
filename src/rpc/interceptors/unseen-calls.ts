import { base64Decode } from '@bufbuild/protobuf/wire';
import { Code, ConnectError, type HandlerContext } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { AuditLog } from '../../audit/audit-log.ts';
import type { CallObserver } from '../../telemetry/call-metrics.ts';
import type { Tracing } from '../../telemetry/tracing.ts';
import { auditRefusal } from './audit-refusals.ts';
import { callerFields, callOf, requestIdOf, traceIdOf } from './call-context.ts';
import { failureFields } from './call-log.ts';
import { knownKey, type Gate } from '../gate/gate.ts';
import { toConnectError, withChallenge } from './error-mapping.ts';
import { endedCall } from './observe-calls.ts';
import { endFailed, tracedCall } from './trace-calls.ts';

/** Codes of calls whose sender is unknown or does not follow the contract. */
const REFUSALS: ReadonlySet<Code> = new Set([Code.Unauthenticated, Code.InvalidArgument]);

/** The caller disconnected, or the deadline passed. */
const ENDS = [Code.Canceled, Code.Aborted, Code.DeadlineExceeded];

/** Options of {@link UnseenCalls}. */
export interface UnseenCallOptions {
  readonly log: Logger;
  readonly audit: AuditLog;
  readonly gate: Gate;
  /** Value of `www-authenticate` for unidentified callers. */
  readonly challenge: string | undefined;
  readonly observer: CallObserver | undefined;
  readonly tracing: Pick<Tracing, 'startCall'> | undefined;
}

type CallContext = Pick<HandlerContext, 'method' | 'values' | 'requestHeader'>;

/**
 * Finishes calls that no interceptor sees, because the gate refuses them or their message is unreadable: gives
 * their error its code and reason, and the call its log line. They count as refusals of their caller, or of their
 * address if the caller is unknown.
 */
export class UnseenCalls {
  readonly #options: UnseenCallOptions;

  constructor(options: UnseenCallOptions) {
    this.#options = options;
  }

  /** The caller's error for `thrown`; an error that interceptors have seen is returned unchanged. */
  explain(thrown: unknown, context: CallContext): unknown {
    if (thrown instanceof ConnectError && thrown.details.length > 0) return thrown;
    const { method, values, requestHeader } = context;
    const { log, audit, gate, challenge, observer, tracing } = this.#options;
    const seen = callOf(context);
    // The caller of a stream left: the interceptors have told its end.
    if (seen.requestId !== '' && hasEnded(thrown)) return toConnectError(thrown, seen);
    const requestId = requestIdOf(requestHeader);
    const traced = tracing?.startCall(tracedCall(method, values, requestHeader, requestId));
    const traceId = traced?.traceId ?? traceIdOf(requestHeader);
    const error = withChallenge(toConnectError(thrown, { requestId, traceId }), challenge);
    error.metadata.set('x-request-id', requestId);
    if (traced?.span) endFailed(traced.span, error);
    const known = values.get(knownKey);
    const call = { ...seen, requestId, ...(known && { caller: { ...known, requestId } }) };
    auditRefusal(audit, method.name, call, thrown);
    if (REFUSALS.has(error.code)) gate.countRefusal(values);
    const who = known && callerFields(known);
    const failure = failureFields(error, values);
    observer?.ended(endedCall(method, values, failure.code, failure.reason), false);
    log.info(
      {
        rpc: method.name,
        ...failure,
        request_id: requestId,
        ...(traceId !== '' && { trace_id: traceId }),
        ...who,
      },
      'call',
    );
    return error;
  }

  /**
   * The gate for Connect. For an unreadable message Connect calls no interceptor, but aborts the signal of the call
   * with the error right before sending it, so the error can be changed then.
   */
  readonly requestGate = async (context: HandlerContext): Promise<void> => {
    const onAbort = () => {
      // The interceptors have the call: it is read, and they tell its end.
      if (callOf(context).requestId !== '') return;
      const reason: unknown = context.signal.reason;
      if (!(reason instanceof ConnectError) || reason.details.length > 0 || ENDS.includes(reason.code))
        return;
      const { code, rawMessage, message, details, metadata } = this.explain(reason, context) as ConnectError;
      Object.assign(reason, { code, rawMessage, message, details, metadata });
    };
    context.signal.addEventListener('abort', onAbort, { once: true });
    try {
      await this.#options.gate.admit(context);
      this.#options.gate.holdDeclared(context);
      assertBase64(context);
    } catch (refused) {
      throw this.explain(refused, context);
    }
  };
}

function hasEnded(thrown: unknown): boolean {
  return ENDS.includes(toConnectError(thrown, { requestId: '', traceId: '' }).code);
}

/** Refuses a GET whose message is not base64; Connect would report a fault of the service. */
function assertBase64({ requestMethod, url }: HandlerContext): void {
  if (requestMethod !== 'GET') return;
  const query = new URL(url).searchParams;
  if (query.get('base64') !== '1') return;
  try {
    base64Decode(query.get('message') ?? '');
  } catch {
    throw new ConnectError('the message of this GET is no base64', Code.InvalidArgument);
  }
}
