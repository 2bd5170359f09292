import { Code, ConnectError } from '@connectrpc/connect';
import { setTimeout as sleep } from 'node:timers/promises';
import { ErrorInfoSchema, RetryInfoSchema } from '@asset-service/contract/google/rpc/error_details_pb.js';
import type { AssetClient } from '../../e2e/support/calls.ts';
import type { Ledger } from './ledger.ts';
import type { World } from './world.ts';

/** How long a caller goes on trying, in milliseconds. */
const PATIENCE_MS = 120_000;

/** Longest that one call may take, in milliseconds: the bound of a dependency that is down, and time to send. */
export const CALL_TIMEOUT_MS = 45_000;

/** What the service, or the connection to it, told a caller. */
export interface Told {
  /** Reason of the ErrorInfo; undefined if the connection broke. */
  readonly reason: string | undefined;
  readonly code: Code;
  /** True if the call may have had its effect anyway. */
  readonly unsure: boolean;
}

/** Reads an error; anything but a failed call is thrown on. */
export function told(error: unknown): Told {
  if (!(error instanceof ConnectError)) throw error;
  const reason = error.findDetails(ErrorInfoSchema)[0]?.reason.replace('ERROR_REASON_', '');
  const unsure = reason === undefined || error.code === Code.Unavailable || reason === 'CALL_ENDED';
  return { reason, code: error.code, unsure };
}

/** Codes that say "try again". */
const AGAIN: readonly Code[] = [Code.Unavailable, Code.Aborted, Code.ResourceExhausted];

/**
 * Holds an error to what a caller may be told while things break: that the connection broke, or to try again. A dependency that
 * is down may neither look like a missing file nor like a fault of the service.
 */
export function judge(ledger: Ledger, doing: string, error: unknown): Told {
  const said = told(error);
  const connectError = error as ConnectError;
  const broken = said.reason === undefined && said.code !== Code.NotFound;
  const patient =
    AGAIN.includes(said.code) &&
    (said.code !== Code.Unavailable || connectError.findDetails(RetryInfoSchema)[0] !== undefined);
  if (said.code === Code.DeadlineExceeded) {
    ledger.breach('other', `${doing} took longer than ${CALL_TIMEOUT_MS} ms`);
  } else if (!broken && !patient) {
    ledger.breach('other', `${doing} was told ${Code[said.code]} ${said.reason}: ${connectError.rawMessage}`);
  }
  return said;
}

/**
 * Repeats a call, on any replica, until it succeeds.
 *
 * @param expected - tells of an error that needs no judge whether it ends the trying (`done`) or not (`again`)
 * @returns what the call gave; undefined if `expected` ended it
 */
export async function insist<T>(
  world: World,
  ledger: Ledger,
  doing: string,
  call: (client: AssetClient) => Promise<T>,
  expected: (said: Told) => 'done' | 'again' | undefined = () => undefined,
): Promise<T | undefined> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await call(anyClient(world));
    } catch (error) {
      const verdict = expected(told(error));
      if (verdict === 'done') return undefined;
      if (verdict === undefined) judge(ledger, doing, error);
      if (Date.now() > deadline) {
        ledger.breach('other', `${doing} never came through: ${String(error)}`);
        return undefined;
      }
      await sleep(100 + Math.random() * 300);
    }
  }
}

/** The client of a replica, whether it lives or not. */
export function anyClient({ replicas }: World): AssetClient {
  return replicas[Math.floor(Math.random() * replicas.length)]!.client;
}
