import { ViolationsSchema, type FieldPath } from '@asset-service/contract/buf/validate/validate_pb.js';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Reason } from '../../errors/asset-error.ts';
import { MAX_MESSAGE_BYTES } from '../gate/message-limits.ts';
import { badRequest, cut, errorInfo, MAX_MESSAGE } from './error-details.ts';

/** Maximum number of violations in an error: most peers accept only some KiB of headers. */
const MAX_VIOLATIONS = 10;

/** Start of Connect's message when the peer has reset the stream. */
const STREAM_RESET = 'http/2 stream closed with error code';

/** Gives an error of the RPC framework or of validation its reason. */
export function fromFramework(error: ConnectError): ConnectError {
  const violations = error.findDetails(ViolationsSchema)[0]?.violations;
  if (violations) {
    const fieldViolations = violations.slice(0, MAX_VIOLATIONS).map((violation) => ({
      field: cut(fieldPathToString(violation.field) || firstOfOneof(violation.message)),
      description: cut(violation.message),
      reason: violation.ruleId.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_'),
    }));
    const count = violations.length > MAX_VIOLATIONS ? `${violations.length} broken rules, such as ` : '';
    const list = fieldViolations.map(({ field, description }) => `${field}: ${description}`).join('; ');
    const details = [
      errorInfo('FIELD_INVALID', { field: fieldViolations[0]?.field ?? '' }),
      badRequest(fieldViolations),
    ];
    return new ConnectError(cut(count + list, MAX_MESSAGE), Code.InvalidArgument, undefined, details);
  }
  // Clients reset the stream of a cancelled call, and not all with HTTP/2's code for it: Connect's sends
  // INTERNAL_ERROR when the deadline passes.
  if (error.rawMessage.startsWith(STREAM_RESET)) return ended(Code.Canceled);
  switch (error.code) {
    case Code.Canceled:
    case Code.Aborted:
      return ended(Code.Canceled);
    case Code.DeadlineExceeded:
      return ended(Code.DeadlineExceeded);
    case Code.ResourceExhausted: {
      // Connect and our gRPC name the limit in these words.
      const max = /readMaxBytes (\d+)/.exec(error.rawMessage)?.[1] ?? String(MAX_MESSAGE_BYTES);
      return new ConnectError(
        `a message of this call may have at most ${max} bytes: send less in one message`,
        Code.ResourceExhausted,
        undefined,
        [errorInfo('MESSAGE_TOO_LARGE', { max_bytes: max })],
      );
    }
    case Code.InvalidArgument:
      return withInfo(error, 'FIELD_INVALID');
    case Code.Internal:
      // gRPC's code for an unreadable message is INTERNAL, but the mistake is the caller's, except for outgoing
      // messages.
      if (/^(serialize|cannot encode)/.test(error.rawMessage)) return withInfo(error, 'PROTOCOL');
      return withInfo(new ConnectError(error.rawMessage, Code.InvalidArgument), 'FIELD_INVALID');
    default:
      return withInfo(error, 'PROTOCOL');
  }
}

/** A rule about several fields names none: use the first one in its message. */
function firstOfOneof(message: string): string {
  return /\bone of (\w+)/.exec(message)?.[1] ?? '';
}

/** The error of a call that its caller ended, or whose deadline has passed. */
export function ended(code: Code.Canceled | Code.DeadlineExceeded): ConnectError {
  const message =
    code === Code.Canceled ? 'the caller gave the call up' : 'the deadline of the call has passed';
  return new ConnectError(message, code, undefined, [errorInfo('CALL_ENDED', {})]);
}

function withInfo(error: ConnectError, reason: Reason): ConnectError {
  return new ConnectError(error.rawMessage, error.code, error.metadata, [errorInfo(reason, {})]);
}

/** A field path in the form in which callers write it: `upload_spec.file.relations["project"].ids[0]`. */
function fieldPathToString(path: FieldPath | undefined): string {
  let text = '';
  for (const element of path?.elements ?? []) {
    text += (text === '' ? '' : '.') + element.fieldName;
    const { subscript } = element;
    if (subscript.case !== undefined) {
      text +=
        typeof subscript.value === 'string' ? `[${JSON.stringify(subscript.value)}]` : `[${subscript.value}]`;
    }
  }
  return text;
}
