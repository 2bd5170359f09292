import type pg from 'pg';
import { parse, toClientConfig } from 'pg-connection-string';

/** How to connect to the database in a URL. */
export interface PostgresTarget {
  /** Connection options with or without TLS, in the order to try. */
  readonly ways: readonly pg.ClientConfig[];
  /** Session settings from `options` and `schema` of the URL, by name. */
  readonly settings: ReadonlyMap<string, string>;
  /** The schema in the URL; undefined for the first of the role's search path. */
  readonly schema: string | undefined;
}

/**
 * Parses `postgres://user:password@host:port/database?…` like libpq: `sslmode` (default `prefer`, which accepts a
 * server without TLS), `sslrootcert`, `sslcert`, `sslkey`, `options` and `host`, which may be the directory of a
 * socket. `schema` is the schema of the tables.
 *
 * @throws TypeError whose message is for the operator and contains only names from the URL
 */
export function readPostgresUrl(text: string): PostgresTarget {
  const url = parseUrl(text);
  const { searchParams: params } = url;
  const settings = readOptions(take(params, 'options') ?? '');
  const schema = take(params, 'schema');
  if (schema !== undefined) settings.set('search_path', quoteName(schema));
  // PGSSLMODE is the default for a URL without sslmode.
  const mode = take(params, 'sslmode') ?? process.env['PGSSLMODE'] ?? 'prefer';
  const isSocket = (params.get('host') ?? decodeURIComponent(url.hostname)).startsWith('/');
  const modes = isSocket
    ? ['disable']
    : MODES.get(params.get('sslrootcert') === 'system' ? 'verify-full' : mode);
  if (modes === undefined) throw new TypeError(`sslmode=${mode} is none of ${[...MODES.keys()].join(', ')}`);
  if (params.get('sslrootcert') === 'system') params.delete('sslrootcert');
  return { ways: modes.map((one) => wayTo(url, one)), settings, schema };
}

/** What each `sslmode` tries, in order. `no-verify` is node-postgres's name for `require`. */
const MODES: ReadonlyMap<string, readonly string[]> = new Map([
  ['disable', ['disable']],
  ['allow', ['disable', 'require']],
  ['prefer', ['require', 'disable']],
  ['require', ['require']],
  ['no-verify', ['require']],
  ['verify-ca', ['verify-ca']],
  ['verify-full', ['verify-full']],
]);

function wayTo(url: URL, mode: string): pg.ClientConfig {
  const one = new URL(url);
  const usesTls = mode !== 'disable';
  one.searchParams.set('sslmode', mode);
  if (!usesTls) for (const name of ['sslrootcert', 'sslcert', 'sslkey']) one.searchParams.delete(name);
  const config = toClientConfig(readParts(one.href));
  const { ssl, host } = config;
  // Node.js checks the certificate against the server name, which it drops if it is an address; `host` covers that.
  if (typeof ssl === 'object' && host !== undefined) Object.assign(ssl, { host });
  return config;
}

function readParts(href: string) {
  try {
    return parse(href, { useLibpqCompat: true });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== undefined)
      throw new TypeError(`a file of sslrootcert, sslcert or sslkey cannot be read: ${code}`);
    throw new TypeError(
      /verify-ca/.test(message) ? 'sslmode=verify-ca wants the authority in sslrootcert' : PLAIN_URL,
    );
  }
}

const PLAIN_URL =
  'cannot be read as postgres://user:password@host:port/database: write special characters of the password as %40 for @, %2F for /, %23 for #';

function parseUrl(text: string): URL {
  let url: URL;
  try {
    // A URL with a user needs a host; it is replaced by the parameter.
    url = new URL(text.replace(/^(\w+:\/\/[^/?#]*@)(?=[/?])/, '$1localhost'));
  } catch {
    throw new TypeError(PLAIN_URL);
  }
  // A # or / in an unescaped password splits the URL.
  if (url.hash !== '' || !/^postgres(ql)?:$/.test(url.protocol) || url.pathname.includes('@'))
    throw new TypeError(PLAIN_URL);
  return url;
}

function take(params: URLSearchParams, name: string): string | undefined {
  const value = params.get(name);
  params.delete(name);
  return value === null || value === '' ? undefined : value;
}

/** The settings in `-c name=value`, `-cname=value` and `--name=value`; a backslash escapes a space in a value. */
function readOptions(options: string): Map<string, string> {
  const words = [...options.matchAll(/(?:\\.|[^\s\\])+/g)].map(([word]) => word.replaceAll(/\\(.)/g, '$1'));
  const settings = new Map<string, string>();
  for (let i = 0; i < words.length; i++) {
    const word = words[i] === '-c' ? `-c${words[++i] ?? ''}` : words[i]!;
    const [, name, value] = /^(?:-c|--)([\w.-]+)=(.*)$/s.exec(word) ?? [];
    if (name === undefined || value === undefined)
      throw new TypeError('options may have nothing but -c name=value');
    settings.set(name.replaceAll('-', '_'), value);
  }
  return settings;
}

/** A name, quoted for a statement. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
