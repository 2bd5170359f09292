import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { ClientCertificate } from './authenticator.ts';

/** What a connection showed; a certificate never changes while its connection lasts. */
interface Shown {
  readonly authorized: boolean;
  readonly end: number;
  readonly names: readonly string[];
}

const shown = new WeakMap<Socket, Shown | 'nothing'>();

/** One name of a certificate as Node.js writes it; a value with a character that could be mistaken stands in quotes. */
const ALTERNATIVE_NAME = /(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,"]*)/g;

/**
 * The certificate that the other end of a connection showed; undefined if the connection is without TLS or the other end showed none.
 */
export function certificateOf(socket: Socket): ClientCertificate | undefined {
  let known = shown.get(socket);
  if (known === undefined) {
    known = read(socket) ?? 'nothing';
    shown.set(socket, known);
  }
  if (known === 'nothing') return undefined;
  // A connection may outlive the certificate that it was opened with.
  return { trusted: known.authorized && Date.now() < known.end, end: known.end, names: known.names };
}

function read(socket: Socket): Shown | undefined {
  // The sockets of HTTP/2 sessions are proxies of the real one, which `instanceof` sees through.
  if (!(socket instanceof TLSSocket)) return undefined;
  const certificate = socket.getPeerCertificate();
  // Node.js gives an empty object for no certificate.
  if (certificate?.raw === undefined) return undefined;
  return {
    authorized: socket.authorized,
    end: Date.parse(certificate.valid_to),
    names: [
      // Several common names would leave it open which of them counts.
      ...(typeof certificate.subject.CN === 'string' ? [`CN:${certificate.subject.CN}`] : []),
      ...urisIn(certificate.subjectaltname ?? ''),
    ],
  };
}

function urisIn(alternativeNames: string): string[] {
  return [...alternativeNames.matchAll(ALTERNATIVE_NAME)].flatMap(([, kind, value = '']) =>
    kind === 'URI' && value !== '' && !value.startsWith('"') ? [`URI:${value}`] : [],
  );
}
