import { randomUUID } from 'node:crypto';
import { Code, type Interceptor, type StreamResponse, type UnaryResponse } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { AuditLog } from '../audit/audit-log.ts';
import { isAssetError } from '../errors.ts';
import { ANONYMOUS } from '../files/caller.ts';
import type { Authenticator } from '../identity/authenticator.ts';
import { auditRefusal } from './audit-refusals.ts';
import { callKey } from './call.ts';
import { credentialsIn, presentedKey } from './credentials.ts';
import { toConnectError } from './errors.ts';

/** Request ids of callers are taken over if they cannot break a log line or a header. */
const REQUEST_ID = /^[\w.:-]{1,128}$/;

/** Reasons of errors that a catalog gives, with what lies behind them as the cause. */
const BY_CATALOG = ['CATALOG_REFUSED', 'ATTRIBUTE_INVALID', 'RELATION_TARGET_MISSING'] as const;

/**
 * The outermost interceptor: gives the call its id, turns what it throws into the error for the
 * caller, and writes its one line into the log when it is over. Refusals that are decisions are taken down.
 *
 * @param challenge - what a caller that is not known gets as `www-authenticate`
 */
export function observe(log: Logger, audit: AuditLog, challenge: string | undefined): Interceptor {
  return (next) => async (request) => {
    const sent = request.header.get('x-request-id') ?? '';
    const requestId = REQUEST_ID.test(sent) ? sent : randomUUID();
    const fields: Record<string, string | number> = {};
    request.contextValues.set(callKey, {
      requestId,
      caller: { ...ANONYMOUS, requestId },
      note: (more) => void Object.assign(fields, more),
    });
    const started = performance.now();
    const finish = (code: string, error?: unknown, refusal?: Error) => {
      const ms = Math.round((performance.now() - started) * 10) / 10;
      const line = { rpc: request.method.name, code, ms, request_id: requestId, ...fields };
      if (error !== undefined) log.error({ ...line, err: error }, 'call failed');
      // What a hook or a rule of the product says is for its operators; the caller learns no more than that it says no.
      else if (refusal) log.warn({ ...line, err: refusal }, 'call refused by the catalog');
      else log.info(line, 'call');
    };
    const fail = (thrown: unknown) => {
      auditRefusal(audit, request.method.name, request.contextValues.get(callKey), thrown);
      const { error, fault } = toConnectError(thrown, requestId);
      error.metadata.set('x-request-id', requestId);
      if (error.code === Code.Unauthenticated && challenge) error.metadata.set('www-authenticate', challenge);
      const isRefused = isAssetError(thrown, ...BY_CATALOG) && thrown.cause !== undefined;
      finish(
        codeName(error.code),
        fault ? (error.cause ?? error) : undefined,
        isRefused ? thrown : undefined,
      );
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

/**
 * Finds out who makes a call before anything of it is looked at, and leaves that in the {@link Call}.
 *
 * @param open - full names of the RPC services that everybody may call
 */
export function identify(authenticator: Authenticator, open: ReadonlySet<string>): Interceptor {
  return (next) => async (request) => {
    if (open.has(request.service.typeName)) return next(request);
    const { contextValues } = request;
    const caller = await authenticator.authenticate(credentialsIn(contextValues.get(presentedKey)));
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

/** The name of a code as gRPC writes it, such as `NOT_FOUND`. */
function codeName(code: Code): string {
  return Code[code].replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
}
