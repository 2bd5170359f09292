import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { ClientCertificate } from './authenticator.ts';
import { z } from 'zod';
import { type Principal, ROLES } from './caller.ts';

/** Cached per connection: a certificate does not change while its connection lasts. */
interface Shown {
  readonly authorized: boolean;
  readonly end: number;
  readonly names: readonly string[];
}

const shown = new WeakMap<Socket, Shown | 'nothing'>();

/** One name of a certificate in the format of Node.js, which quotes values with ambiguous characters. */
const ALTERNATIVE_NAME = /(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,"]*)/g;

/** The client certificate of a connection; undefined without TLS or certificate. */
export function certificateOf(socket: Socket): ClientCertificate | undefined {
  let known = shown.get(socket);
  if (known === undefined) {
    known = read(socket) ?? 'nothing';
    shown.set(socket, known);
  }
  if (known === 'nothing') return undefined;
  // The connection may outlive its certificate.
  return { trusted: known.authorized && Date.now() < known.end, end: known.end, names: known.names };
}

function read(socket: Socket): Shown | undefined {
  // Sockets of HTTP/2 sessions are proxies; `instanceof` works with them.
  if (!(socket instanceof TLSSocket)) return undefined;
  const certificate = socket.getPeerCertificate();
  // Node.js returns an empty object if there is no certificate.
  if (certificate?.raw === undefined) return undefined;
  return {
    authorized: socket.authorized,
    end: Date.parse(certificate.valid_to),
    names: [
      // With several common names it is undefined which one counts.
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

const roleNames = ROLES.map((role) => `asset:${role}` as const);

/** Principals by name of the certificate. */
const SCHEMA = z.record(
  z
    .string()
    .regex(/^(CN|URI):.+$/s, 'must be "CN:" and a common name, or "URI:" and a URI of the certificate'),
  z.strictObject({
    id: z.string().min(1).max(255),
    roles: z.array(z.enum(roleNames)),
  }),
);

/** The services that are identified by client certificates. */
export class CertificatePrincipals {
  readonly #byName: ReadonlyMap<string, Principal>;

  /**
   * @param value - an object such as `{"CN:worker": {"id": "worker", "roles": ["asset:read"]}}`
   * @throws ZodError if it has another form
   */
  constructor(value: unknown) {
    this.#byName = new Map(
      Object.entries(SCHEMA.parse(value)).map(([name, { id, roles }]) => [
        name,
        { id, roles: new Set(ROLES.filter((role) => roles.includes(`asset:${role}`))), isService: true },
      ]),
    );
  }

  /** The service whose certificate has these names; undefined if none or several match. */
  principalOf(names: readonly string[]): Principal | undefined {
    const found = new Set(names.flatMap((name) => this.#byName.get(name) ?? []));
    return found.size === 1 ? [...found][0] : undefined;
  }
}
