import { ANONYMOUS } from './caller.ts';
import type { Authenticator } from './authenticator.ts';

/** Does not identify callers; for a service that only its own machine can reach. */
export const NO_IDENTITY: Authenticator = {
  challenge: undefined,
  principalOf: async () => ANONYMOUS.principal,
  endUserOf: async () => undefined,
  check: async () => undefined,
  close: () => undefined,
};
