import { AssetClientError } from '@asset-service/worker';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';

/** Connect timeout in milliseconds. */
const TIMEOUT_MS = 10_000;

/**
 * Opens a connection to the service and closes it, so that a wrong address, a wrong scheme or an untrusted
 * certificate is reported at once. A call would be retried for a while, because a restarting service looks the
 * same.
 *
 * @throws AssetClientError CONNECTION_LOST, TLS_FAILED
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
      socket.once('close', () => reject(new Error('the connection was closed immediately')));
      socket.setTimeout(TIMEOUT_MS, () => reject(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  } catch (error) {
    if (signal.aborted) throw error;
    const { reason, text } = explained(error as NodeJS.ErrnoException, isTls);
    const message = `the service at ${address} cannot be reached: ${text}`;
    throw new AssetClientError('UNAVAILABLE', message, { reason, cause: error });
  } finally {
    socket.destroy();
  }
}

/** Why there is no connection, with the client's reason. */
function explained(
  error: NodeJS.ErrnoException,
  isTls: boolean,
): { readonly reason: string; readonly text: string } {
  // An AggregateError: several addresses were tried.
  const { code = '', message } =
    error instanceof AggregateError ? (error.errors[0] as NodeJS.ErrnoException) : error;
  const lost = (text: string) => ({ reason: 'CONNECTION_LOST', text });
  const refused = (text: string) => ({ reason: 'TLS_FAILED', text });
  if (code === 'ECONNREFUSED') {
    return lost('nothing listens there (ECONNREFUSED). Start it, or set its address with --url or ASSET_URL');
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return lost(`no such host (${code}). Set the address of the service with --url or ASSET_URL`);
  }
  if (isTls && /^(?:EPROTO$|ERR_SSL_)/.test(code)) {
    return refused(`it does not speak TLS (${code}). Use an http:// address if that is intended`);
  }
  if (isTls && code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return refused(`its certificate is for another name (${message})`);
  }
  if (isTls && /CERT|ISSUER|SIGNATURE|CRL/.test(code)) {
    return refused(
      `its certificate is not trusted (${code}). Set the certificate of its authority with --ca`,
    );
  }
  return lost(code === '' || message.includes(code) ? message : `${message} (${code})`);
}
