import { Code, ConnectError, type ContextValues, type Interceptor } from '@connectrpc/connect';
import { Health } from '@asset-service/contract/grpc/health/v1/health_pb.js';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { isAssetError } from '../../errors/asset-error.ts';
import { causeText } from '../../errors/setup-fault.ts';
import type { CallObserver } from '../../telemetry/call-metrics.ts';
import { callKey, atEnd } from './call-context.ts';
import { remoteAddressOf } from '../gate/credentials.ts';
import { codeName, reasonOf } from './error-details.ts';
import { isFault } from './error-mapping.ts';
import { endedCall } from './observe-calls.ts';

/** Reasons of errors of a catalog whose cause is logged. */
const BY_CATALOG = ['CATALOG_REFUSED', 'ATTRIBUTE_INVALID', 'RELATION_TARGET_MISSING'] as const;

/**
 * Writes one log line for each call when it is over, and reports it to the observer: a second interceptor for that would
 * cost an empty call a tenth of its time. Runs outside the interceptor that maps errors.
 */
export function logCalls(log: Logger, observer?: CallObserver): Interceptor {
  const outages = new OutageLog(log);
  return atEnd(({ service, method, contextValues }) => {
    const started = performance.now();
    observer?.begun();
    const observeEnd = (code: string, reason = '') =>
      observer?.ended(endedCall(method, contextValues, code, reason), true);
    // Probes come every few seconds.
    const level = service.typeName === Health.typeName ? 'debug' : 'info';
    const lineOf = (code: string) => {
      const { requestId, traceId, fields } = contextValues.get(callKey);
      const ms = Math.round((performance.now() - started) * 10) / 10;
      const ids = { request_id: requestId, ...(traceId !== '' && { trace_id: traceId }) };
      return { rpc: method.name, code, ms, ...ids, ...fields };
    };
    return {
      succeeded: () => {
        observeEnd('OK');
        log[level](lineOf('OK'), 'call');
      },
      canceled: () => {
        observeEnd('CANCELED');
        log[level](lineOf('CANCELED'), 'call');
      },
      failed: (thrown) => {
        const error = ConnectError.from(thrown);
        const failure = failureFields(error, contextValues);
        observeEnd(failure.code, failure.reason);
        const line = { ...lineOf(failure.code), ...failure };
        const { cause } = error;
        if (isFault(error) && error.code === Code.Unavailable) {
          outages.report(failure.reason, cause);
          log[level](line, 'call');
        } else if (isFault(error)) log.error({ ...line, err: cause ?? error }, 'call failed');
        // The text of a product's hook or rule is for the operators; the caller learns only that it refuses.
        else if (isAssetError(cause, ...BY_CATALOG) && cause.cause !== undefined) {
          log.warn({ ...line, cause: causeText(cause) }, 'call refused by the catalog');
        } else log[level](line, 'call');
        return thrown;
      },
    };
  });
}

/** Fields of the log line of a call that failed with a mapped error. */
export function failureFields(error: ConnectError, values: ContextValues) {
  return { code: codeName(error.code), reason: reasonOf(error), remote_address: remoteAddressOf(values) };
}

/**
 * Minimum time between two log lines for one cause of an outage, in milliseconds, because every call fails with it.
 */
const OUTAGE_INTERVAL_MS = 60_000;

/** Logs why calls fail with UNAVAILABLE: each cause once, and again after a while. */
class OutageLog {
  readonly #log: Logger;
  readonly #told = new LRUCache<string, true>({ max: 100, ttl: OUTAGE_INTERVAL_MS });

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Reports that a call failed with this reason. */
  report(reason: string, thrown: unknown): void {
    const cause = causeText(thrown);
    const key = `${reason} ${cause}`;
    if (this.#told.has(key)) return;
    this.#told.set(key, true);
    this.#log.warn({ reason, cause }, 'calls fail: a dependency cannot be used');
  }
}
