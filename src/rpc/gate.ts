import { createContextKey, type ContextValues, type HandlerContext } from '@connectrpc/connect';
import type { DescService } from '@bufbuild/protobuf';
import { Health } from '@asset-service/contract/grpc/health/v1/health_pb.js';
import { ServerReflection } from '@asset-service/contract/grpc/reflection/v1/reflection_pb.js';
import { ServerReflection as ServerReflectionAlpha } from '@asset-service/contract/grpc/reflection/v1alpha/reflection_pb.js';
import { ANONYMOUS, callerIds, callerKey, type Caller } from '../files/caller.ts';
import type { Authenticator } from '../identity/authenticator.ts';
import type { CallLimits } from './call-limits.ts';
import { credentialsIn, presentedKey, remoteAddressOf } from './credentials.ts';
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
}

/** Where the gate leaves who makes a call; undefined where nobody is asked who they are. */
export const admittedKey = createContextKey<Caller | undefined>(undefined, {
  description: 'who makes the call',
});

const MEBIBYTE = 2 ** 20;

/** Messages up to this size are not counted. */
const FREE_BYTES = 16 * 1024;

/**
 * Stands before everything that reads: finds out who calls, and refuses whom it does not know, by the headers of a request
 * alone. So a stranger's bytes are neither held nor decoded.
 */
export class Gate {
  readonly #options: GateOptions;
  readonly #inbound = new InboundBudget({ totalBytes: 192 * MEBIBYTE, eachBytes: 64 * MEBIBYTE });

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /**
   * Leaves who makes the call in the values.
   *
   * @throws AssetError that tells why the call is refused
   */
  async admit({ service, values }: Pick<HandlerContext, 'service' | 'values'>): Promise<void> {
    values.set(admittedKey, await this.#callerOf(service, values));
  }

  /** Counts the bytes of a message while it comes in, for a call that was admitted. */
  hold(values: ContextValues): InboundHold {
    const caller = values.get(admittedKey);
    const { socket } = values.get(presentedKey);
    // Without identities all callers are one, and only connections are told apart.
    const isKnown = caller !== undefined && caller !== ANONYMOUS;
    return this.#inbound.open([socket, ...(isKnown ? [callerKey(callerIds(caller))] : [])]);
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

  /** Counts a call that was refused: an address that is refused too often is not listened to for a while. */
  countRefusal(values: ContextValues): void {
    // The caller is told why it was refused; that it is too often, with the next call.
    this.#options.limits.count('refusals', addressKey(values)).catch(() => undefined);
  }

  async #callerOf({ typeName }: DescService, values: ContextValues): Promise<Caller | undefined> {
    if (typeName === Health.typeName) return undefined;
    const { authenticator, limits } = this.#options;
    const presented = values.get(presentedKey);
    await limits.checkRefusals(addressKey(values));
    if (OPEN_SERVICES.has(typeName)) return undefined;
    return authenticator.authenticate(credentialsIn(presented));
  }
}

/** One text for the address that a call comes from, to count by. */
export function addressKey(values: ContextValues): string {
  return `address ${networkOf(remoteAddressOf(values))}`;
}
