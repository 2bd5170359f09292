import { createContextKey, type ContextValues, type HandlerContext } from '@connectrpc/connect';
import { Health } from '@asset-service/contract/grpc/health/v1/health_pb.js';
import { ServerReflection } from '@asset-service/contract/grpc/reflection/v1/reflection_pb.js';
import { ServerReflection as ServerReflectionAlpha } from '@asset-service/contract/grpc/reflection/v1alpha/reflection_pb.js';
import { AssetError, isAssetError } from '../errors.ts';
import { ANONYMOUS, callerIds, callerKey, type Caller, type Principal } from '../files/caller.ts';
import type { Authenticator, Credentials } from '../identity/authenticator.ts';
import type { CallLimits } from './call-limits.ts';
import { credentialsIn, presentedKey, remoteAddressOf } from './credentials.ts';
import { claimedSubject } from '../identity/end-user.ts';
import { isForAllowedHost, WRONG_HOST, type AllowedHosts } from './host-check.ts';
import { InboundBudget, type InboundHold } from './inbound-budget.ts';
import { networkOf } from './listener/connection-count.ts';
import { maxMessageBytes } from './message-limits.ts';

/**
 * RPC services that ask nobody who they are: probes of health have no identity, and reflection tells what the published
 * contract says.
 */
const OPEN_SERVICES = new Set([Health.typeName, ServerReflection.typeName, ServerReflectionAlpha.typeName]);

/** What every call has to pass. */
export interface GateOptions {
  readonly authenticator: Authenticator;
  readonly limits: CallLimits;
  /** Any name where left out. */
  readonly allowedHosts?: AllowedHosts | undefined;
  /** Counts bytes of messages that come in; one of its own where left out. */
  readonly inbound?: InboundBudget;
}

/** Where the gate leaves who makes a call; undefined where nobody is asked who they are. */
export const admittedKey = createContextKey<Caller | undefined>(undefined, {
  description: 'who makes the call',
});

/** Who makes a call as far as that is known, also where the call is refused. */
export const knownKey = createContextKey<Caller | undefined>(undefined, {
  description: 'who is known to make the call',
});

/** Messages up to this size are not counted. */
const FREE_BYTES = 16 * 1024;

/**
 * Stands before everything that reads: finds out who calls, and refuses whom it does not know, by the headers of a request
 * alone. So a stranger's bytes are neither held nor decoded.
 */
export class Gate {
  readonly #options: GateOptions;
  readonly #inbound: InboundBudget;

  constructor(options: GateOptions) {
    this.#options = options;
    this.#inbound = options.inbound ?? new InboundBudget();
  }

  /**
   * Leaves who makes the call in the values.
   *
   * @throws AssetError that tells why the call is refused
   */
  async admit({ service, values }: Pick<HandlerContext, 'service' | 'values'>): Promise<void> {
    const { authenticator, limits, allowedHosts } = this.#options;
    const presented = values.get(presentedKey);
    if (allowedHosts && !isForAllowedHost(allowedHosts, presented.rawHeaders)) {
      throw new AssetError('PERMISSION_DENIED', WRONG_HOST);
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

  /** Counts the bytes of a message while it comes in, for a call that was admitted. */
  hold(values: ContextValues): InboundHold {
    const caller = told(values.get(admittedKey));
    const { socket } = values.get(presentedKey);
    return this.#inbound.open([socket, ...(caller ? [callerKey(callerIds(caller))] : [])]);
  }

  /**
   * Counts what a message may take, by its declared length or else its limit, until the call ends: where nobody sees its bytes
   * before it is whole. Small messages are bounded by the number of streams, and streams are held back by their reader.
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
   * Counts a call that was refused. Who is refused too often is not listened to for a while: a caller, or an address where nobody
   * is known. What a known principal sends of persons is counted already, for them.
   */
  countRefusal(values: ContextValues): void {
    const known = values.get(knownKey);
    if (known !== undefined && values.get(admittedKey) === undefined) return;
    // The caller is told why it was refused; that it is too often, with the next call.
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

/** One text for the address that a call comes from, to count by. */
export function addressKey(values: ContextValues): string {
  return `address ${networkOf(remoteAddressOf(values))}`;
}

/** What refusals of a call are counted by: its caller, or its address where nobody is known. */
function refusalKey(values: ContextValues, caller: Caller | undefined): string {
  const known = told(caller);
  return known === undefined ? addressKey(values) : `caller ${callerKey(callerIds(known))}`;
}

/** A caller that can be told from others: without identities all callers are one. */
function told(caller: Caller | undefined): Caller | undefined {
  return caller?.principal === ANONYMOUS.principal ? undefined : caller;
}

function principalKey({ id, isService }: Principal): string {
  return `${isService ? 'service' : 'person'} ${JSON.stringify(id)}`;
}
