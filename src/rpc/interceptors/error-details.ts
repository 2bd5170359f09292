import { create, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import {
  BadRequestSchema,
  type ErrorInfo,
  ErrorInfoSchema,
  RetryInfoSchema,
} from '@asset-service/contract/google/rpc/error_details_pb.js';
import { Code, type ConnectError } from '@connectrpc/connect';
import type { Reason } from '../../errors/asset-error.ts';

/** `domain` of every `google.rpc.ErrorInfo`. */
const ERROR_DOMAIN = 'asset.v1';

/** Maximum length of a text in an error's details, in characters: most peers accept only some KiB of headers. */
const MAX_TEXT = 300;

/** Maximum length of the message of an error, in characters. */
export const MAX_MESSAGE = 1_000;

/** A detail of an error, as Connect takes it. */
export type Detail = { desc: DescMessage; value: MessageInitShape<DescMessage> };

/** The reason, with its facts shortened. */
export function errorInfo(reason: Reason, metadata: Readonly<Record<string, string>>): Detail {
  const facts = Object.fromEntries(Object.entries(metadata).map(([name, fact]) => [name, cut(fact)]));
  const value = create(ErrorInfoSchema, {
    ...{ reason: `ERROR_REASON_${reason}`, domain: ERROR_DOMAIN },
    metadata: facts,
  });
  return { desc: ErrorInfoSchema, value };
}

/** The same error, whose reason has the id of the trace; unchanged without a trace or a reason. */
export function withTrace(error: ConnectError, traceId: string): ConnectError {
  if (traceId === '') return error;
  for (const detail of error.details) {
    if (!('desc' in detail) || detail.desc !== ErrorInfoSchema) continue;
    const { metadata } = detail.value as ErrorInfo;
    metadata['trace_id'] = traceId;
  }
  return error;
}

/** The fields that are wrong. */
export function badRequest(
  fieldViolations: readonly { readonly field: string; readonly description: string }[],
): Detail {
  return {
    desc: BadRequestSchema,
    value: create(BadRequestSchema, { fieldViolations: [...fieldViolations] }),
  };
}

/** When to try again, in milliseconds from now. */
export function retryInfo(retryAfterMs: number): Detail {
  return {
    desc: RetryInfoSchema,
    value: create(RetryInfoSchema, { retryDelay: durationFromMs(retryAfterMs) }),
  };
}

/** A text, shortened: a caller may have chosen it. */
export function cut(text: string, length = MAX_TEXT): string {
  return text.length <= length ? text : `${text.slice(0, length).toWellFormed()}…`;
}

/** The reason of an error that was mapped, without prefix; empty without one. */
export function reasonOf(error: ConnectError): string {
  return error.findDetails(ErrorInfoSchema)[0]?.reason.replace('ERROR_REASON_', '') ?? '';
}

/** The gRPC name of a code, such as `NOT_FOUND`. */
export function codeName(code: Code): string {
  return Code[code].replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
}
