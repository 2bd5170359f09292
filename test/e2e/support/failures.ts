import { expect } from '@jest/globals';
import { toJsonString } from '@bufbuild/protobuf';
import { durationMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorReason } from '@asset-service/contract/asset/v1/error_reason_pb.js';
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from '@asset-service/contract/google/rpc/error_details_pb.js';

/** An error as its caller sees it. */
export interface Failure {
  readonly code: string;
  /** Name of the ErrorReason, without its prefix. */
  readonly reason: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly message: string;
  /** The wait that RetryInfo asks for; undefined without one. */
  readonly retryMs: number | undefined;
  /** Fields of BadRequest. */
  readonly fields: readonly string[];
}

/** What no caller may ever read: where bytes and records lie, and what the service is made of. */
const INTERNAL =
  /assets\/|127\.0\.0\.1|localhost|test-[0-9a-f]{16}|\/tmp\/|node_modules|\.ts:|\n\s+at |ECONN|ENOENT|EACCES|sqlite|pocketbase|postgres|seaweed|\bs3\b|bucket|select |asset_reservations|\/api\/|asset-test/i;

/**
 * Waits for a call to fail, and holds the error to what is promised of every error: an ErrorInfo of the
 * domain asset.v1 whose reason is in the contract, a RetryInfo where trying again helps, a
 * BadRequest where a rule of a field is broken, and nothing internal anywhere.
 */
export async function failureOf(call: Promise<unknown>): Promise<Failure> {
  const thrown: unknown = await call.then(
    (value) => {
      throw new Error(`the call did not fail but gave ${String(value)}`);
    },
    (error: unknown) => error,
  );
  if (!(thrown instanceof ConnectError)) throw thrown;
  return checkedFailure(thrown);
}

/** The same for an error that is in hand already. */
export function checkedFailure(error: ConnectError): Failure {
  const [info, ...more] = error.findDetails(ErrorInfoSchema);
  if (!info) throw new Error(`no ErrorInfo: ${error.message}`, { cause: error });
  expect(more).toEqual([]);
  expect(info.domain).toBe('asset.v1');
  expect(info.reason).toMatch(/^ERROR_REASON_/);
  const reason = info.reason.replace('ERROR_REASON_', '');
  expect(Object.keys(ErrorReason)).toContain(reason);
  expect(reason).not.toBe('UNSPECIFIED');
  const code = Code[error.code].replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();

  const retry = error.findDetails(RetryInfoSchema)[0];
  const retryMs = retry?.retryDelay && durationMs(retry.retryDelay);
  // Sending the same again does not help there, so nothing may tell a client to.
  const final = ['MESSAGE_TOO_LARGE', 'QUOTA_EXCEEDED'].includes(reason);
  const again = code === 'UNAVAILABLE' || (code === 'RESOURCE_EXHAUSTED' && !final);
  if (again) expect(retryMs).toBeGreaterThan(0);

  const badRequest = error.findDetails(BadRequestSchema)[0];
  const fields = badRequest?.fieldViolations.map(({ field }) => field) ?? [];
  if (badRequest) expect(fields.length).toBeGreaterThan(0);

  const said = [
    error.rawMessage,
    toJsonString(ErrorInfoSchema, info),
    badRequest ? toJsonString(BadRequestSchema, badRequest) : '',
  ].join('\n');
  expect(said).not.toMatch(INTERNAL);
  return { code, reason, metadata: info.metadata, message: error.rawMessage, retryMs, fields };
}
