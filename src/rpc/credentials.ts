import { type ContextValues, createContextKey, createContextValues } from '@connectrpc/connect';
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { Socket } from 'node:net';
import { certificateOf } from '../identity/client-certificate.ts';
import type { Credentials } from '../identity/authenticator.ts';

/** A request as far as it tells who sent it. */
export interface Presented {
  /** Names and values by turns, as they came: the headers that Node.js makes of them keep one of two `authorization`. */
  readonly rawHeaders: readonly string[];
  /** The connection; undefined if it is gone. */
  readonly socket: Socket | undefined;
  /** Where it comes from, taken down while the connection is there. */
  readonly remoteAddress: string;
}

/** Where the server leaves what a request presents for the interceptors. A request without it shows no identity. */
export const presentedKey = createContextKey<Presented>(
  { rawHeaders: [], socket: undefined, remoteAddress: '' },
  { description: 'what the request presents' },
);

/** The context values of a request of either protocol. */
export function presentedBy(
  request: IncomingMessage | Pick<Http2ServerRequest, 'stream' | 'rawHeaders'>,
): ContextValues {
  // Over HTTP/2 a request gives a socket of its own; the one of the session is the same for all of its requests.
  const socket = 'stream' in request ? request.stream.session?.socket : request.socket;
  const { rawHeaders } = request;
  return createContextValues().set(presentedKey, { rawHeaders, socket, remoteAddress: addressOf(socket) });
}

/** What is not an IPv6 address by itself is shown as the IPv4 address that it is. */
function addressOf(socket: Socket | undefined): string {
  try {
    return (socket?.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, '');
  } catch {
    // The socket of a session that is gone throws whatever it is asked.
    return '';
  }
}

/** The credentials in what a request presents. */
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

/** The address that a call comes from: that of the proxy where there is one; empty if the connection is gone. */
export function remoteAddressOf(values: ContextValues): string {
  return values.get(presentedKey).remoteAddress;
}
