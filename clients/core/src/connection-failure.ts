import { Code, type ConnectError } from '@connectrpc/connect';

/** Node.js error codes: the connection failed, broke during a call, or the peer speaks another protocol. */
const BROKEN = /^(?:E(?:CONN|PIPE|HOST|NET|TIMEDOUT|NOTFOUND|AI_AGAIN)|ERR_HTTP2_|ERR_STREAM_|HPE_)/;

/** Node.js error codes of a TLS handshake that fails every time. */
const TLS =
  /^(?:EPROTO$|ERR_SSL_|ERR_TLS_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|INVALID_CA|PATH_LENGTH|HOSTNAME_MISMATCH)/;

/** Messages of the library about a response without an end, or a stream that ended before its response. */
const CUT = /premature|missing (?:status|trailer)|stream closed with error code/i;

/**
 * True if the connection broke during the call. That appears as a socket error, as a stream reset with CANCEL that
 * the caller did not cause, as a stream that ended without an error (the service shut down), or as a response
 * without an end.
 */
export function isBrokenConnection(error: ConnectError): boolean {
  if (causeCodes(error).some((code) => BROKEN.test(code))) return true;
  return error.code === Code.Canceled || CUT.test(error.rawMessage);
}

/** Node.js error codes in the causes of an error. */
function causeCodes(error: ConnectError): string[] {
  const codes: string[] = [];
  for (let cause: unknown = error.cause; typeof cause === 'object' && cause !== null;) {
    if ('code' in cause && typeof cause.code === 'string') codes.push(cause.code);
    cause = 'cause' in cause ? cause.cause : undefined;
  }
  return codes;
}

/** Why TLS failed; undefined for other failures. */
export function tlsFailure(error: ConnectError): string | undefined {
  if (!causeCodes(error).some((code) => TLS.test(code))) return undefined;
  // OpenSSL messages contain OpenSSL's source file names.
  const [, what] = /SSL routines:[^:]*:([^:]+):/.exec(error.rawMessage) ?? [];
  if (what === undefined) return error.rawMessage;
  return what === 'wrong version number' ? 'the other end speaks no TLS (is https: right?)' : what;
}

/** True if this client itself refused a message for its size. A retry cannot help. */
export function isTooLargeForClient({ code, rawMessage }: ConnectError): boolean {
  return code === Code.ResourceExhausted && /larger than configured (?:read|write)MaxBytes/.test(rawMessage);
}
