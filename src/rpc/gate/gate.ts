import { createContextKey, type ContextValues, type HandlerContext } from '@connectrpc/connect';
import { Health } from '@asset-service/contract/grpc/health/v1/health_pb.js';
import { ServerReflection } from '@asset-service/contract/grpc/reflection/v1/reflection_pb.js';
import { ServerReflection as ServerReflectionAlpha } from '@asset-service/contract/grpc/reflection/v1alpha/reflection_pb.js';
import { isAssetError } from '../../errors/asset-error.ts';
import { permissionDenied, WRONG_HOST } from '../../errors/callers.ts';
import { ANONYMOUS, callerIds, callerKey, type Caller, type Principal } from '../../identity/caller.ts';
import type { Authenticator, Credentials } from '../../identity/authenticator.ts';
import type { CallLimits } from './call-limits.ts';
import { credentialsIn, presentedKey, remoteAddressOf } from './credentials.ts';
import { claimedSubject } from '../../identity/header-tokens.ts';
import { InboundBudget, type InboundHold } from './inbound-budget.ts';
import { networkOf } from '../listener/connection-limits.ts';
import { maxMessageBytes } from './message-limits.ts';
import type { Route } from '../listener/dispatch.ts';

/**
 * RPC services without authentication: health probes have no identity, and reflection returns the published
 * contract.
 */
const OPEN_SERVICES = new Set([Health.typeName, ServerReflection.typeName, ServerReflectionAlpha.typeName]);

/** Checks that every call must pass. */
export interface GateOptions {
  readonly authenticator: Authenticator;
  readonly limits: CallLimits;
  /** Default: any name. */
  readonly allowedHosts?: AllowedHosts | undefined;
  /** Counts bytes of incoming messages; default a separate one. */
  readonly inbound?: InboundBudget;
}

/** Context key with the caller; undefined if callers are not identified. */
export const admittedKey = createContextKey<Caller | undefined>(undefined, {
  description: 'who makes the call',
});

/** Context key with the caller as far as known, also of refused calls. */
export const knownKey = createContextKey<Caller | undefined>(undefined, {
  description: 'who is known to make the call',
});

/** Messages up to this size are not counted. */
const FREE_BYTES = 16 * 1024;

/**
 * Runs before anything is read: identifies the caller, and refuses unknown ones, by the request headers only. So
 * bytes of strangers are neither held nor decoded.
 */
export class Gate {
  readonly #options: GateOptions;
  readonly #inbound: InboundBudget;

  constructor(options: GateOptions) {
    this.#options = options;
    this.#inbound = options.inbound ?? new InboundBudget();
  }

  /**
   * Stores the caller in the context values.
   *
   * @throws AssetError why the call is refused
   */
  async admit({ service, values }: Pick<HandlerContext, 'service' | 'values'>): Promise<void> {
    const { authenticator, limits, allowedHosts } = this.#options;
    const presented = values.get(presentedKey);
    if (allowedHosts && !isForAllowedHost(allowedHosts, presented.rawHeaders)) {
      throw permissionDenied();
    }
    if (service.typeName === Health.typeName) return;
    await limits.checkRefusals(addressKey(values), 'this address');
    if (OPEN_SERVICES.has(service.typeName)) return;
    const credentials = credentialsIn(presented);
    const principal = await authenticator.principalOf(credentials);
    values.set(knownKey, { principal, endUser: undefined });
    const endUser = await this.#endUserOf(principal, credentials);
    const caller = { principal, endUser };
    await limits.checkRefusals(refusalKey(values, caller), 'yours');
    values.set(knownKey, caller);
    values.set(admittedKey, caller);
  }

  /** Counts the bytes of a message while it arrives, for an admitted call. */
  hold(values: ContextValues): InboundHold {
    const caller = told(values.get(admittedKey));
    const { socket } = values.get(presentedKey);
    return this.#inbound.open([socket, ...(caller ? [callerKey(callerIds(caller))] : [])]);
  }

  /**
   * Counts the declared length of a message, or its limit, until the call ends: for protocols whose bytes are not
   * visible before the message is complete. The number of streams limits small messages, and the reader slows
   * streams.
   *
   * @throws AssetError RATE_LIMITED if that is too much
   */
  holdDeclared({ method, values, requestHeader, signal }: HandlerContext): void {
    const maxBytes = maxMessageBytes(method);
    if (method.methodKind === 'client_streaming' || maxBytes <= FREE_BYTES) return;
    const hold = this.hold(values);
    hold.set(Math.min(Number(requestHeader.get('content-length') ?? maxBytes), maxBytes));
    if (signal.aborted) hold.set(0);
    else signal.addEventListener('abort', () => hold.set(0), { once: true });
  }

  /**
   * Counts a refused call. Too many refusals of a caller, or of an address without known caller, block it for a
   * while. Refusals because of end users of a known principal are already counted for them.
   */
  countRefusal(values: ContextValues): void {
    const known = values.get(knownKey);
    if (known !== undefined && values.get(admittedKey) === undefined) return;
    // The caller gets the reason of the refusal; only the next call tells that there were too many.
    this.#options.limits.count('refusals', refusalKey(values, known)).catch(() => undefined);
  }

  async #endUserOf(principal: Principal, credentials: Credentials): Promise<Principal | undefined> {
    try {
      return await this.#options.authenticator.endUserOf(principal, credentials);
    } catch (refused) {
      if (isAssetError(refused, 'CREDENTIALS_INVALID', 'END_USER_NOT_ALLOWED')) {
        const person = claimedSubject(credentials.userToken);
        await this.#options.limits.countPersonRefusal(principalKey(principal), person);
      }
      throw refused;
    }
  }
}

/** Key for counting by the remote address of a call. */
export function addressKey(values: ContextValues): string {
  return `address ${networkOf(remoteAddressOf(values))}`;
}

/** Key for counting refusals: the caller, or the address if unknown. */
function refusalKey(values: ContextValues, caller: Caller | undefined): string {
  const known = told(caller);
  return known === undefined ? addressKey(values) : `caller ${callerKey(callerIds(known))}`;
}

/** True if callers are distinguished: without identities all are one. */
function told(caller: Caller | undefined): Caller | undefined {
  return caller?.principal === ANONYMOUS.principal ? undefined : caller;
}

function principalKey({ id, isService }: Principal): string {
  return `${isService ? 'service' : 'person'} ${JSON.stringify(id)}`;
}

/** True for a host name, without port, under which the service may be called. */
type AllowedHosts = (name: string) => boolean;

const AUTHORITY = /^(\[[^\]]*\]|[^:]+)(?::\d*)?$/;

/**
 * True if a request is for an allowed name: checks every `host` and `:authority`, of which there must be at least
 * one.
 */
function isForAllowedHost(isAllowed: AllowedHosts, rawHeaders: readonly string[]): boolean {
  let found = false;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (!/^(host|:authority)$/i.test(rawHeaders[i]!)) continue;
    const name = AUTHORITY.exec(rawHeaders[i + 1]!)?.[1];
    if (name === undefined || !isAllowed(name)) return false;
    found = true;
  }
  return found;
}

/** Answers 403 to requests for other names; `handler` answers the others. */
export function onAllowedHosts(isAllowed: AllowedHosts, route: Route): Route {
  return (request, response) => {
    if (isForAllowedHost(isAllowed, request.rawHeaders)) return route(request, response);
    response.writeHead(403, { 'content-type': 'text/plain' });
    response.end(`${WRONG_HOST}\n`);
    return Promise.resolve();
  };
}
