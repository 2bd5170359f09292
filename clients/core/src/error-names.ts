import type { ErrorReason } from '@asset-service/contract/asset/v1/error_reason_pb.js';

/** Canonical gRPC codes. */
export type ErrorCode =
  | 'CANCELLED'
  | 'UNKNOWN'
  | 'INVALID_ARGUMENT'
  | 'DEADLINE_EXCEEDED'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'PERMISSION_DENIED'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'OUT_OF_RANGE'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'
  | 'UNAVAILABLE'
  | 'DATA_LOSS'
  | 'UNAUTHENTICATED';

/**
 * Why a call failed: names of `asset.v1.ErrorReason` without prefix (also those of a newer service), and reasons of
 * the client itself:
 *
 * - OPTION_INVALID: an argument or option is not valid; nothing was sent
 * - SOURCE_CHANGED: a file changed while it was sent
 * - SOURCE_FAILED: the source of an upload is not a source, was already read, or could not be read; see `cause`
 * - SOURCE_NOT_REPEATABLE: bytes of a stream are needed again but are no longer in memory
 * - TARGET_FAILED: the local file of a download could not be written; see `cause`
 * - TARGET_EXISTS: a download would have replaced a file that the caller did not name
 * - DOWNLOAD_DAMAGED: the received bytes do not match the file
 * - DOWNLOAD_TOO_LARGE: the file has more bytes than the caller accepts in memory
 * - CONNECTION_LOST: no response: the service cannot be reached or the connection broke
 * - TLS_FAILED: the peer speaks no TLS, or its certificate or this client's is not trusted
 * - TOKEN_UNAVAILABLE: the issuer gave no token, or the token source returned something else
 * - TOKEN_NOT_PROTECTED: a token would have gone over http to another machine
 * - CLIENT_CLOSED: the client was closed before the call
 */
export type ErrorReasonName =
  | Exclude<keyof typeof ErrorReason, 'UNSPECIFIED'>
  | 'OPTION_INVALID'
  | 'SOURCE_CHANGED'
  | 'SOURCE_FAILED'
  | 'SOURCE_NOT_REPEATABLE'
  | 'TARGET_FAILED'
  | 'DOWNLOAD_DAMAGED'
  | 'TARGET_EXISTS'
  | 'DOWNLOAD_TOO_LARGE'
  | 'CONNECTION_LOST'
  | 'TLS_FAILED'
  | 'TOKEN_UNAVAILABLE'
  | 'TOKEN_NOT_PROTECTED'
  | 'CLIENT_CLOSED'
  | (string & {});
