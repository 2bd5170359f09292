import { createContextKey, type ContextValues } from '@connectrpc/connect';
import type { DescService } from '@bufbuild/protobuf';
import { Health } from '@asset-service/contract/grpc/health/v1/health_pb.js';
import { ServerReflection } from '@asset-service/contract/grpc/reflection/v1/reflection_pb.js';
import { ServerReflection as ServerReflectionAlpha } from '@asset-service/contract/grpc/reflection/v1alpha/reflection_pb.js';
import { ANONYMOUS, callerIds, callerKey, type Caller } from '../files/caller.ts';
import type { Authenticator } from '../identity/authenticator.ts';
import type { CallLimits } from './call-limits.ts';
import { credentialsIn, presentedKey } from './credentials.ts';
import { InboundBudget, type InboundHold } from './inbound-budget.ts';
import { networkOf } from './listener/connection-count.ts';

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

/** What was found out of a call before its body was read. `caller` is undefined where nobody is asked who they are. */
export type Admission =
  | { readonly caller: Caller | undefined }
  | {
      readonly failure: unknown;
      /** True if the caller was let in, and what it sent cannot be read. */
      readonly isUnreadable?: boolean;
    };

/** Where the gate leaves what it found out for the interceptors. */
export const admissionKey = createContextKey<Admission>(
  { failure: new Error('the call did not pass the gate') },
  { description: 'who makes the call, or why it is refused' },
);

const MEBIBYTE = 2 ** 20;

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

  /** Leaves an {@link Admission} in the values. Resolves with false, and never rejects, if the call is refused. */
  async admit(service: DescService, values: ContextValues): Promise<boolean> {
    try {
      values.set(admissionKey, { caller: await this.#callerOf(service, values) });
      return true;
    } catch (failure) {
      values.set(admissionKey, { failure });
      return false;
    }
  }

  /** Has the interceptors end a call that was admitted and cannot be read. */
  refuse(values: ContextValues, failure: unknown): void {
    values.set(admissionKey, { failure, isUnreadable: true });
  }

  /** Holds the bytes of a message that comes in, for a call that was admitted. */
  hold(values: ContextValues): InboundHold {
    const admission = values.get(admissionKey);
    const caller = 'caller' in admission ? admission.caller : undefined;
    const { socket } = values.get(presentedKey);
    // Without identities all callers are one, and only connections are told apart.
    const isKnown = caller !== undefined && caller !== ANONYMOUS;
    return this.#inbound.open([socket, ...(isKnown ? [callerKey(callerIds(caller))] : [])]);
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
  return `address ${networkOf(values.get(presentedKey).socket?.remoteAddress ?? '')}`;
}
