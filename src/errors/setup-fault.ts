import { withoutSecrets } from './redaction.ts';

/** The part of a dependency's setup that is wrong. Only `config/explain.ts` knows the settings for it. */
export type SetupPart =
  /** Nothing answers at the address, or something unexpected. */
  | 'address'
  | 'region'
  | 'bucket'
  /** No credentials were found. */
  | 'credentials'
  | 'access-key'
  | 'secret-key'
  | 'session-token'
  /** The clock of this machine: no setting. */
  | 'clock'
  /** The credentials are valid but not sufficient. */
  | 'permission'
  /** Name or password; the server does not say which. */
  | 'login'
  | 'database'
  /** The server admits no more connections, or all of this process are in use. */
  | 'connections'
  | 'collection'
  /** The tables do not exist, or are older than this release. */
  | 'schema'
  | 'issuer'
  /** The data directory on this machine. */
  | 'directory';

/**
 * Why a dependency cannot be used, for its operator: what was found, with code or HTTP status. Drivers set it as
 * the `cause` of an `AssetError`. It names no setting and contains no secret.
 */
export class SetupFault extends Error {
  readonly part: SetupPart;

  constructor(part: SetupPart, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'SetupFault';
    this.part = part;
  }
}

type ConnectionError = NodeJS.ErrnoException & {
  readonly hostname?: string;
  readonly address?: string;
  readonly port?: number;
};

const CONNECTION: readonly (readonly [RegExp, string])[] = [
  [/^ECONNREFUSED$/, 'nothing listens there'],
  [/^(ENOTFOUND|EAI_)/, 'the name of the host is not known'],
  [/^(EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL)$/, 'the network does not lead there'],
  [/^(ETIMEDOUT|ESOCKETTIMEDOUT|UND_ERR_(CONNECT|HEADERS|BODY)_TIMEOUT)$/, 'there is no answer in time'],
  [/^(ECONNRESET|EPIPE|UND_ERR_SOCKET)$/, 'the connection was closed without an answer'],
  [/^(EPROTO|ERR_SSL_)/, 'TLS is not spoken there: is the address one of http instead of https?'],
  [/^HPE_/, 'HTTP is not spoken there: is the address one of https instead of http?'],
  [
    /SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|CERT_|ALTNAME/,
    'its certificate is not trusted (NODE_EXTRA_CA_CERTS names a file of authorities)',
  ],
];

const DIRECTORY: Readonly<Record<string, string>> = {
  EACCES: 'this user may not do that there',
  EPERM: 'this user may not do that there',
  EROFS: 'the file system is read-only',
  ENOENT: 'there is nothing at this path',
  ENOTDIR: 'a part of the path is no directory',
  EEXIST: 'it is no directory',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota of the disk is used up',
  EMFILE: 'the process has too many open files',
  ENFILE: 'the system has too many open files',
  EIO: 'the disk fails',
};

/** The fault of a failed connection among the causes of `error`; undefined if there is none. */
export function connectionFault(error: unknown): SetupFault | undefined {
  const failed = causes(error) as readonly ConnectionError[];
  const known = failed.map(withCode).filter((one) => connectionText(one) !== undefined);
  // An AggregateError of several addresses has no code of its own.
  const {
    code,
    name,
    hostname,
    address = hostname,
    port,
  } = known.find((one) => one.address ?? one.hostname) ?? known[0] ?? {};
  const text = connectionText({ code, name });
  if (text === undefined) return undefined;
  const where = [address, port].filter((part) => part !== undefined).join(':');
  return new SetupFault('address', `${text} (${[code ?? name, where].filter(Boolean).join(' ')})`, error);
}

/** The fault of a refused file system call; undefined for other errors. */
export function directoryFault(error: unknown): SetupFault | undefined {
  for (const one of causes(error)) {
    const { code = '', path, syscall } = one as NodeJS.ErrnoException;
    const text = DIRECTORY[code];
    if (text === undefined || syscall === undefined) continue;
    return new SetupFault('directory', `${path ?? syscall}: ${text} (${code})`, error);
  }
  return undefined;
}

/** The fault among the causes of an error, if any. */
export function setupFaultIn(error: unknown): SetupFault | undefined {
  return causes(error).find((one) => one instanceof SetupFault);
}

/** An error and its causes, outermost first; also those in an AggregateError or wrapped by a library. */
export function causes(error: unknown): readonly Error[] {
  const found: Error[] = [];
  const add = (one: unknown) => {
    // Inside test runners a Node.js error need not be an instance of Error.
    if (typeof one !== 'object' || one === null || found.includes(one as Error)) return;
    found.push(one as Error);
    const { cause, originalError, errors } = one as {
      cause?: unknown;
      originalError?: unknown;
      errors?: unknown;
    };
    for (const inner of Array.isArray(errors) ? errors : []) add(inner);
    add(originalError);
    add(cause);
  };
  add(error);
  return found;
}

/**
 * The cause of an error in one line for the log, without secrets: the fault, otherwise the messages of its causes
 * with their codes. The message of an `AssetError` is for callers, and omitted if it has a cause.
 */
export function causeText(error: unknown): string {
  const fault = setupFaultIn(error) ?? connectionFault(error);
  if (fault !== undefined) return withoutSecrets(fault.message);
  const all = causes(error);
  const inner = all.filter((one, at) => !('reason' in one) || at === all.length - 1);
  const texts = inner
    .filter(({ message }) => message)
    .map((one) => {
      const { code, $metadata, status = $metadata?.httpStatusCode } = one as unknown as Failure;
      const marks = [
        status ? `HTTP ${status}` : '',
        typeof code === 'string' && !one.message.includes(code) ? code : '',
      ];
      const mark = marks.filter(Boolean).join(' ');
      return mark === '' ? one.message : `${one.message} (${mark})`;
    });
  const text = [...new Set(texts)].filter(Boolean).join(': ') || String(error);
  return withoutSecrets(text.replaceAll(/\s+/g, ' ')).slice(0, MAX_TEXT);
}

/** Maximum length of such a line, in characters: some servers respond with a page. */
const MAX_TEXT = 500;

/** Properties of library errors besides their message. */
interface Failure {
  readonly code?: unknown;
  readonly status?: number;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** A code that is only in the message: some libraries wrap Node.js errors and keep only that. */
function withCode(error: ConnectionError): Partial<ConnectionError> {
  const { name, code, message = '', hostname, address, port } = error;
  if (code !== undefined)
    return { name, code, ...(hostname && { hostname }), ...(address && { address }), ...(port && { port }) };
  const [, found, place] =
    /\b(E[A-Z]{4,}|EAI_AGAIN)(?: (\S+:\d+|[\w.-]+$))?/.exec(
      message.replace('socket hang up', 'ECONNRESET'),
    ) ?? [];
  return { name, ...(found && { code: found }), ...(place && { address: place }) };
}

function connectionText({
  code,
  name,
}: {
  readonly code?: string | undefined;
  readonly name?: string | undefined;
}): string | undefined {
  const text = CONNECTION.find(([pattern]) => pattern.test(code ?? ''))?.[1];
  return text ?? (name === 'TimeoutError' && code === undefined ? 'there is no answer in time' : undefined);
}
