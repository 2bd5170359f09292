import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { Health } from '@asset-service/contract/grpc/health/v1/health_pb.js';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { isAssetError } from '../../errors.ts';
import { causeText } from '../../setup-fault.ts';
import { callKey } from '../call.ts';
import { remoteAddressOf } from '../credentials.ts';
import { codeName, isFault, reasonOf } from '../errors.ts';
import { atEnd } from './ends.ts';

/** Reasons of errors that a catalog gives, with what lies behind them as the cause. */
const BY_CATALOG = ['CATALOG_REFUSED', 'ATTRIBUTE_INVALID', 'RELATION_TARGET_MISSING'] as const;

/** Writes the one line of each call into the log when it is over. Stands outside of the interceptor that maps errors. */
export function logCalls(log: Logger): Interceptor {
  const outages = new OutageLog(log);
  return atEnd(({ service, method, contextValues }) => {
    const started = performance.now();
    // Probes come every few seconds.
    const level = service.typeName === Health.typeName ? 'debug' : 'info';
    const lineOf = (code: string) => {
      const { requestId, fields } = contextValues.get(callKey);
      const ms = Math.round((performance.now() - started) * 10) / 10;
      return { rpc: method.name, code, ms, request_id: requestId, ...fields };
    };
    return {
      succeeded: () => log[level](lineOf('OK'), 'call'),
      canceled: () => log[level](lineOf('CANCELED'), 'call'),
      failed: (thrown) => {
        const error = ConnectError.from(thrown);
        const reason = reasonOf(error);
        const line = {
          ...lineOf(codeName(error.code)),
          ...{ reason, remote_address: remoteAddressOf(contextValues) },
        };
        const { cause } = error;
        if (isFault(error) && error.code === Code.Unavailable) {
          outages.report(reason, cause);
          log[level](line, 'call');
        } else if (isFault(error)) log.error({ ...line, err: cause ?? error }, 'call failed');
        // What a hook or a rule of the product says is for its operators; the caller learns no more than that it says no.
        else if (isAssetError(cause, ...BY_CATALOG) && cause.cause !== undefined) {
          log.warn({ ...line, cause: causeText(cause) }, 'call refused by the catalog');
        } else log[level](line, 'call');
        return thrown;
      },
    };
  });
}

/** How often one cause of an outage is logged, in milliseconds: every call meets it. */
const OUTAGE_INTERVAL_MS = 60_000;

/** Tells in the log why calls fail with UNAVAILABLE: each cause in one line, and again after a while. */
class OutageLog {
  readonly #log: Logger;
  readonly #told = new LRUCache<string, true>({ max: 100, ttl: OUTAGE_INTERVAL_MS });

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Takes in that a call failed with this reason. */
  report(reason: string, thrown: unknown): void {
    const cause = causeText(thrown);
    const key = `${reason} ${cause}`;
    if (this.#told.has(key)) return;
    this.#told.set(key, true);
    this.#log.warn({ reason, cause }, 'calls fail: a dependency cannot be used');
  }
}
