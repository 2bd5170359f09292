import { readFile } from 'node:fs/promises';
import type { JSONWebKeySet } from 'jose';
import { connectionFault, SetupFault } from '../errors/setup-fault.ts';
import { watchFiles } from '../system/watch-files.ts';

/** Source of an issuer's public keys. */
export interface KeySource {
  /** Gets the current keys; rejects if they are not available within a few seconds. */
  fetch(): Promise<JSONWebKeySet>;
  /** Calls back when the keys may have changed, if the source can tell; returns a function that stops it. */
  watch(onChange: () => void): () => void;
}

const FETCH_TIMEOUT_MS = 5000;

/** Keys in a JSON file, which may be replaced at any time. */
export function keysInFile(path: string): KeySource {
  return {
    fetch: async () => JSON.parse(await readFile(path, 'utf8')) as JSONWebKeySet,
    watch: (onChange) => watchFiles([path], onChange),
  };
}

/** Keys at a URL. */
export function keysAt(url: string): KeySource {
  return {
    fetch: async () => (await fetchJson(url)) as JSONWebKeySet,
    watch: () => () => undefined,
  };
}

/** Keys at the URL in the issuer's metadata (OpenID Connect Discovery 1.0). */
export function keysByDiscovery(issuer: string): KeySource {
  const discovery = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  return {
    async fetch() {
      const metadata = (await fetchJson(discovery)) as {
        readonly issuer?: unknown;
        readonly jwks_uri?: unknown;
      };
      // An issuer must not speak for another one (section 4.3).
      if (metadata.issuer !== issuer) {
        throw new SetupFault('issuer', 'the discovery document there is that of another issuer');
      }
      const { jwks_uri: url } = metadata;
      if (typeof url !== 'string') throw new SetupFault('issuer', 'the discovery document names no keys');
      if (issuer.startsWith('https:') && !url.startsWith('https:')) {
        throw new SetupFault('issuer', 'the keys of an issuer with https are at an address without');
      }
      return (await fetchJson(url)) as JSONWebKeySet;
    },
    watch: () => () => undefined,
  };
}

async function fetchJson(url: string): Promise<unknown> {
  const target = new URL(url);
  const { username, password } = target;
  // Node.js's fetch refuses a URL with a user name.
  target.username = '';
  target.password = '';
  const user = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`);
  const response = await fetch(target, {
    headers: {
      accept: 'application/json',
      ...(user.length > 1 && { authorization: `Basic ${user.toString('base64')}` }),
    },
    // Whoever can make the issuer redirect could choose the keys.
    redirect: 'error',
    signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
  }).catch((error: unknown) => {
    throw connectionFault(error) ?? error;
  });
  if (!response.ok) throw new SetupFault('address', `${shown(url)} answers with HTTP ${response.status}`);
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SetupFault('address', `${shown(url)} answers with something else than JSON`, error);
  }
}

/** The URL without its password and query, which may contain one. */
function shown(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}
