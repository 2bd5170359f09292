import { Code, type ConnectError } from '@connectrpc/connect';

/** Codes of Node.js for a connection that could not be made, that ended under a call, or that speaks something else. */
const BROKEN = /^(?:E(?:CONN|PIPE|HOST|NET|TIMEDOUT|NOTFOUND|AI_AGAIN)|ERR_HTTP2_|ERR_STREAM_|HPE_)/;

/** Codes of Node.js for a TLS handshake that fails each time. */
const TLS =
  /^(?:EPROTO$|ERR_SSL_|ERR_TLS_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|INVALID_CA|PATH_LENGTH|HOSTNAME_MISMATCH)/;

/** What the library says of an answer that has no end, or of a stream that ended before its answer came. */
const CUT = /premature|missing (?:status|trailer)|stream closed with error code/i;

/**
 * A connection that ends under a call comes in several disguises: as an error of a socket, as a stream that was reset
 * with CANCEL though the caller cancelled nothing, as one that ended without an error (a service that shuts down), or as an answer
 * without its end.
 */
export function isBrokenConnection(error: ConnectError): boolean {
  if (causeCodes(error).some((code) => BROKEN.test(code))) return true;
  return error.code === Code.Canceled || CUT.test(error.rawMessage);
}

/** The codes of Node.js in the causes of an error. */
function causeCodes(error: ConnectError): string[] {
  const codes: string[] = [];
  for (let cause: unknown = error.cause; typeof cause === 'object' && cause !== null;) {
    if ('code' in cause && typeof cause.code === 'string') codes.push(cause.code);
    cause = 'cause' in cause ? cause.cause : undefined;
  }
  return codes;
}

/** Why there is no TLS connection; undefined where the failure is another. */
export function tlsFailure(error: ConnectError): string | undefined {
  if (!causeCodes(error).some((code) => TLS.test(code))) return undefined;
  // OpenSSL puts its own source files into its messages.
  const [, what] = /SSL routines:[^:]*:([^:]+):/.exec(error.rawMessage) ?? [];
  if (what === undefined) return error.rawMessage;
  return what === 'wrong version number' ? 'the other end speaks no TLS (is https: right?)' : what;
}

/** True for a message that this client itself refused to read or to send. Doing the same again cannot help. */
export function isTooLargeForClient({ code, rawMessage }: ConnectError): boolean {
  return code === Code.ResourceExhausted && /larger than configured (?:read|write)MaxBytes/.test(rawMessage);
}
