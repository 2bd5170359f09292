import { Code, type Interceptor, type StreamResponse, type UnaryResponse } from '@connectrpc/connect';
import { Health } from '@asset-service/contract/grpc/health/v1/health_pb.js';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import type { AuditLog } from '../audit/audit-log.ts';
import { isAssetError } from '../errors.ts';
import { ANONYMOUS } from '../files/caller.ts';
import { causeText } from '../setup-fault.ts';
import { auditRefusal } from './audit-refusals.ts';
import { callKey, requestIdOf } from './call.ts';
import { remoteAddressOf } from './credentials.ts';
import { codeName, reasonOf, toConnectError } from './errors.ts';
import { admittedKey } from './gate.ts';

/** Reasons of errors that a catalog gives, with what lies behind them as the cause. */
const BY_CATALOG = ['CATALOG_REFUSED', 'ATTRIBUTE_INVALID', 'RELATION_TARGET_MISSING'] as const;

/**
 * The outermost interceptor: gives the call its id, turns what it throws into the error for the
 * caller, and writes its one line into the log when it is over. Refusals that are decisions are taken down.
 *
 * @param challenge - what a caller that is not known gets as `www-authenticate`
 */
export function observe(log: Logger, audit: AuditLog, challenge: string | undefined): Interceptor {
  const outages = new OutageLog(log);
  return (next) => async (request) => {
    const requestId = requestIdOf(request.header);
    const fields: Record<string, string | number> = {};
    request.contextValues.set(callKey, {
      requestId,
      caller: { ...ANONYMOUS, requestId },
      note: (more) => void Object.assign(fields, more),
    });
    const started = performance.now();
    // Probes come every few seconds.
    const level = request.service.typeName === Health.typeName ? 'debug' : 'info';
    const lineOf = (code: string) => {
      const ms = Math.round((performance.now() - started) * 10) / 10;
      return { rpc: request.method.name, code, ms, request_id: requestId, ...fields };
    };
    const finish = (code: string) => log[level](lineOf(code), 'call');
    const fail = (thrown: unknown) => {
      auditRefusal(audit, request.method.name, request.contextValues.get(callKey), thrown);
      const { error, fault } = toConnectError(thrown, requestId);
      error.metadata.set('x-request-id', requestId);
      if (error.code === Code.Unauthenticated && challenge) error.metadata.set('www-authenticate', challenge);
      const reason = reasonOf(error);
      const remote_address = remoteAddressOf(request.contextValues);
      const line = { ...lineOf(codeName(error.code)), reason, remote_address };
      if (fault && error.code === Code.Unavailable) {
        outages.report(reason, thrown);
        log[level](line, 'call');
      } else if (fault) log.error({ ...line, err: error.cause ?? error }, 'call failed');
      // What a hook or a rule of the product says is for its operators; the caller learns no more than that it says no.
      else if (isAssetError(thrown, ...BY_CATALOG) && thrown.cause !== undefined) {
        log.warn({ ...line, cause: causeText(thrown) }, 'call refused by the catalog');
      } else log[level](line, 'call');
      return error;
    };
    try {
      const response = await next(request);
      response.header.set('x-request-id', requestId);
      if (response.stream) return streamed(response, finish, fail);
      finish('OK');
      return response;
    } catch (thrown) {
      throw fail(thrown);
    }
  };
}

/** Leaves who makes a call, as the gate found out, in the {@link Call}. */
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

/** A stream is over when its last message was taken, or when nobody wants more of it. */
function streamed(
  response: StreamResponse,
  finish: (code: string) => void,
  fail: (thrown: unknown) => Error,
): StreamResponse | UnaryResponse {
  async function* messages() {
    let code = 'CANCELED';
    try {
      yield* response.message;
      code = 'OK';
    } catch (thrown) {
      code = '';
      throw fail(thrown);
    } finally {
      if (code !== '') finish(code);
    }
  }
  return { ...response, message: messages() };
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
