import { AssetClientError } from '@asset-service/worker';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';

/** Time for a connection, in milliseconds. */
const TIMEOUT_MS = 10_000;

/**
 * Makes a connection to the service and closes it, so that a wrong address, a wrong scheme or a certificate that nobody trusts is told at
 * once. A call would be tried again for a while, since a service that is being restarted looks the same.
 *
 * @throws AssetClientError CONNECTION_LOST
 */
export async function assertReachable(
  address: string,
  tls: Pick<ConnectionOptions, 'ca' | 'cert' | 'key'>,
  signal: AbortSignal,
): Promise<void> {
  const url = new URL(address);
  const isTls = url.protocol === 'https:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port || (isTls ? 443 : 80));
  const name = isIP(host) === 0 ? { servername: host } : {};
  const socket: Socket = isTls
    ? connectTls({ ...tls, ...name, host, port, ALPNProtocols: ['h2', 'http/1.1'] })
    : connectTcp({ host, port });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once(isTls ? 'secureConnect' : 'connect', resolve);
      socket.on('error', reject);
      socket.once('close', () => reject(new Error('the connection was closed at once')));
      socket.setTimeout(TIMEOUT_MS, () => reject(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  } catch (error) {
    if (signal.aborted) throw error;
    const message = `the service at ${address} cannot be reached: ${why(error as NodeJS.ErrnoException, isTls)}`;
    throw new AssetClientError('UNAVAILABLE', message, { reason: 'CONNECTION_LOST', cause: error });
  } finally {
    socket.destroy();
  }
}

function why(error: NodeJS.ErrnoException, isTls: boolean): string {
  // Several addresses were tried.
  const { code, message } =
    error instanceof AggregateError ? (error.errors[0] as NodeJS.ErrnoException) : error;
  switch (code) {
    case 'ECONNREFUSED':
      return 'nothing listens there (ECONNREFUSED). Start it, or say where it is with --url or ASSET_URL';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `no such host (${code}). Say where the service is with --url or ASSET_URL`;
    case 'EPROTO':
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
      return `it does not speak TLS (${code}). Give an http:// address if that is right`;
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `its certificate is for another name (${message})`;
    default:
      if (isTls && code !== undefined && /CERT|ISSUER|SIGNATURE|CRL/.test(code)) {
        return `its certificate is not trusted (${code}). Give that of its authority with --ca`;
      }
      return code === undefined || message.includes(code) ? message : `${message} (${code})`;
  }
}
