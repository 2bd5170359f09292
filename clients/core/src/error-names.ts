import type { ErrorReason } from '@asset-service/contract/asset/v1/error_reason_pb.js';

/** The canonical codes that a call fails with, by their names in gRPC. */
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
 * Why a call failed: the names of `asset.v1.ErrorReason` without their prefix, those of a newer service too, and
 * what only a client can meet:
 *
 * - OPTION_INVALID: an argument or option is not what it has to be; nothing was sent
 * - SOURCE_CHANGED: a file became another while it was sent
 * - SOURCE_FAILED: the source of an upload is none, was read already, or could not be read; see `cause`
 * - SOURCE_NOT_REPEATABLE: bytes of a stream are needed again that are no longer in memory
 * - TARGET_FAILED: the local file of a download could not be written; see `cause`
 * - TARGET_EXISTS: a download would have replaced a file that nobody named
 * - DOWNLOAD_DAMAGED: bytes arrived that are not those of the file
 * - DOWNLOAD_TOO_LARGE: the file has more bytes than the caller takes into memory
 * - CONNECTION_LOST: no answer: the service cannot be reached or the connection broke
 * - TLS_FAILED: the other end speaks no TLS, or its certificate or this client's is not trusted
 * - TOKEN_UNAVAILABLE: the issuer of this client's tokens gives none, or what was given as one cannot be a token
 * - TOKEN_NOT_PROTECTED: a token would have gone over http to another machine
 * - CLIENT_CLOSED: the client was closed before
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
