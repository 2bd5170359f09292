import { AssetClientError } from '@asset-service/worker';
import { connect as connectTcp, isIP } from 'node:net';
import { connect as connectTls, TLSSocket, type ConnectionOptions } from 'node:tls';

/** Maximum time until the first answer, in milliseconds. */
const TIMEOUT_MS = 10_000;

/**
 * The start of an HTTP/2 connection (RFC 9113, section 3.4): the preface and empty settings. The peer sends its own.
 */
const HTTP2 = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);

/** What {@link assertReachable} connects with. */
export interface Reach {
  readonly tls: Pick<ConnectionOptions, 'ca' | 'cert' | 'key'>;
  /** Without TLS: whether to speak HTTP/2. */
  readonly isHttp2: boolean;
  readonly signal: AbortSignal;
  /** Maximum time until the first answer, in milliseconds; default 10,000. */
  readonly timeoutMs?: number;
}

/**
 * Opens a connection to the service, waits for a first answer and closes it, so that a wrong address, a wrong scheme,
 * an untrusted certificate or a silent peer is reported soon. A call would be retried for a while, because
 * a restarting service looks the same. A connection that breaks after it was opened is left to the call.
 *
 * @throws AssetClientError CONNECTION_LOST, TLS_FAILED
 */
export async function assertReachable(address: string, reach: Reach): Promise<void> {
  const { tls, signal, timeoutMs = TIMEOUT_MS } = reach;
  const url = new URL(address);
  const isTls = url.protocol === 'https:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port || (isTls ? 443 : 80));
  const name = isIP(host) === 0 ? { servername: host } : {};
  const socket = isTls
    ? connectTls({ ...tls, ...name, host, port, ALPNProtocols: ['h2', 'http/1.1'] })
    : connectTcp({ host, port });
  let isOpen = false;
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once(isTls ? 'secureConnect' : 'connect', () => {
        isOpen = true;
        const isHttp2 = socket instanceof TLSSocket ? socket.alpnProtocol === 'h2' : reach.isHttp2;
        socket.write(isHttp2 ? HTTP2 : `HEAD / HTTP/1.1\r\nhost: ${url.host}\r\nconnection: close\r\n\r\n`);
      });
      socket.once('data', () => resolve());
      socket.on('error', (error) => (isOpen ? resolve() : reject(error)));
      socket.once('close', () =>
        isOpen ? resolve() : reject(new Error('the connection was closed immediately')),
      );
      timer = setTimeout(() => {
        const within = `within ${timeoutMs / 1000} s`;
        reject(
          new Error(isOpen ? `it accepts connections, but says nothing ${within}` : `no answer ${within}`),
        );
      }, timeoutMs);
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  } catch (error) {
    if (signal.aborted) throw error;
    const { reason, text } = explained(error as NodeJS.ErrnoException, isTls);
    const message = `the service at ${address} cannot be reached: ${text}`;
    throw new AssetClientError('UNAVAILABLE', message, { reason, cause: error });
  } finally {
    clearTimeout(timer);
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
