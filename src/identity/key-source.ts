import { readFile } from 'node:fs/promises';
import type { JSONWebKeySet } from 'jose';
import { connectionFault, SetupFault } from '../setup-fault.ts';
import { watchFiles } from '../watch-files.ts';

/** Where the public keys of an issuer come from. */
export interface KeySource {
  /** Gets the keys as they are now; rejects if they cannot be had within some seconds. */
  fetch(): Promise<JSONWebKeySet>;
  /** Calls back when there may be other keys, where the source can tell; returns how to stop. */
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

/** Keys at an address. */
export function keysAt(url: string): KeySource {
  return {
    fetch: async () => (await fetchJson(url)) as JSONWebKeySet,
    watch: () => () => undefined,
  };
}

/** Keys at the address that the issuer itself names (OpenID Connect Discovery 1.0). */
export function keysByDiscovery(issuer: string): KeySource {
  const discovery = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  return {
    async fetch() {
      const metadata = (await fetchJson(discovery)) as {
        readonly issuer?: unknown;
        readonly jwks_uri?: unknown;
      };
      // One issuer must not be able to speak for another (section 4.3).
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
  // The fetch of Node.js takes no URL with a user.
  target.username = '';
  target.password = '';
  const user = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`);
  const response = await fetch(target, {
    headers: {
      accept: 'application/json',
      ...(user.length > 1 && { authorization: `Basic ${user.toString('base64')}` }),
    },
    // Whoever can make the issuer redirect would choose the keys.
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

/** A URL without a password or a query that may be one. */
function shown(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}
