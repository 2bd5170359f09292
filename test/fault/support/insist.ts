import { Code, ConnectError } from '@connectrpc/connect';
import { setTimeout as sleep } from 'node:timers/promises';
import { ErrorInfoSchema, RetryInfoSchema } from '@asset-service/contract/google/rpc/error_details_pb.js';
import type { AssetClient } from '../../e2e/support/calls.ts';
import type { Ledger } from './ledger.ts';
import type { Deployment } from './world.ts';

/** How long a caller retries, in milliseconds. */
const PATIENCE_MS = 120_000;

/** Maximum time of one call, in milliseconds: the time limit of a dependency that is down, and time to send. */
export const CALL_TIMEOUT_MS = 45_000;

/** An error of the service or of the connection. */
export interface Told {
  /** Reason of the ErrorInfo; undefined if the connection broke. */
  readonly reason: string | undefined;
  readonly code: Code;
  /** True if the call may have taken effect. */
  readonly unsure: boolean;
}

/** Parses the error of a failed call; throws any other error again. */
export function told(error: unknown): Told {
  if (!(error instanceof ConnectError)) throw error;
  const reason = error.findDetails(ErrorInfoSchema)[0]?.reason.replace('ERROR_REASON_', '');
  const unsure = reason === undefined || error.code === Code.Unavailable || reason === 'CALL_ENDED';
  return { reason, code: error.code, unsure };
}

/** Codes of errors that can be retried. */
const AGAIN: readonly Code[] = [Code.Unavailable, Code.Aborted, Code.ResourceExhausted];

/**
 * Checks that an error is permitted during failures: the connection broke, or the call can be retried. A dependency
 * that is down must not look like a missing file or a fault of the service.
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
 * @param expected - for an expected error: whether to stop (`done`) or to retry (`again`)
 * @returns the result of the call; undefined if `expected` stopped it
 */
export async function insist<T>(
  world: Deployment,
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

/** The client of a replica, which may be down. */
export function anyClient({ replicas }: Deployment): AssetClient {
  return replicas[Math.floor(Math.random() * replicas.length)]!.client;
}
