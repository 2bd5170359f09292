import { type ContextValues, createContextKey, createContextValues } from '@connectrpc/connect';
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { Socket } from 'node:net';
import { certificateOf } from '../../identity/client-certificates.ts';
import type { Credentials } from '../../identity/authenticator.ts';

/** The parts of a request that identify its sender. */
export interface Presented {
  /** Names and values alternating, as received: Node.js's parsed headers keep only one of two `authorization`. */
  readonly rawHeaders: readonly string[];
  /** The connection; undefined if it is closed. */
  readonly socket: Socket | undefined;
  /** Remote address, read while the connection is open. */
  readonly remoteAddress: string;
  /** When its headers arrived, by `performance.now()`. */
  readonly arrivedAt: number;
}

/** Context key with which the server passes a request's credentials. A request without it has no identity. */
export const presentedKey = createContextKey<Presented>(
  { rawHeaders: [], socket: undefined, remoteAddress: '', arrivedAt: 0 },
  { description: 'what the request presents' },
);

/** The context values of a request of either protocol. */
export function presentedBy(
  request: IncomingMessage | Pick<Http2ServerRequest, 'stream' | 'rawHeaders'>,
): ContextValues {
  // Over HTTP/2 the request's own socket is a proxy; that of the session is the same for all its requests.
  const socket = 'stream' in request ? request.stream.session?.socket : request.socket;
  const { rawHeaders } = request;
  const remoteAddress = addressOf(socket);
  const presented = { rawHeaders, socket, remoteAddress, arrivedAt: performance.now() };
  return createContextValues().set(presentedKey, presented);
}

/** Shows IPv4-mapped IPv6 addresses as IPv4. */
function addressOf(socket: Socket | undefined): string {
  try {
    return (socket?.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, '');
  } catch {
    // The socket of a closed session throws on every access.
    return '';
  }
}

/** The credentials of a request. */
export function credentialsIn({ rawHeaders, socket }: Presented): Credentials {
  const authorization: string[] = [];
  const userToken: string[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]?.toLowerCase();
    if (name === 'authorization') authorization.push(rawHeaders[i + 1] ?? '');
    else if (name === 'asset-user-token') userToken.push(rawHeaders[i + 1] ?? '');
  }
  return { authorization, userToken, certificate: socket && certificateOf(socket) };
}

/** Remote address of a call (of the proxy, if there is one); empty if the connection is closed. */
export function remoteAddressOf(values: ContextValues): string {
  return values.get(presentedKey).remoteAddress;
}
