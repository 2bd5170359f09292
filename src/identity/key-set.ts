import { createLocalJWKSet, errors, type JWTVerifyGetKey } from 'jose';
import type { Logger } from 'pino';
import { AssetError } from '../errors/asset-error.ts';
import { causeText } from '../errors/setup-fault.ts';
import type { KeySource } from './key-source.ts';

/** How a {@link KeySet} refreshes its keys. */
export interface KeySetOptions {
  /** Refresh interval in milliseconds. */
  readonly refreshMs: number;
  /** Minimum time between two fetches caused by tokens with unknown keys, in milliseconds; default 10 seconds. */
  readonly cooldownMs?: number;
}

/** Minimum time between two fetches while they fail, in milliseconds. */
const FAILURE_COOLDOWN_MS = 1000;

/**
 * The public keys of an issuer. They are fetched on first use; at an interval, so that withdrawn keys stop working;
 * and when a token names an unknown key, so that a new key works at once. The latter is rate-limited, because
 * anybody can send such tokens.
 *
 * If a fetch fails the last keys stay in use: callers with a token are not affected by an outage of the issuer.
 */
export class KeySet {
  readonly #source: KeySource;
  readonly #cooldownMs: number;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  readonly #unwatch: () => void;
  #find: JWTVerifyGetKey | undefined;
  /** The keys as text, to detect a change. */
  #text = '';
  #version = 0;
  #triedAt = -Infinity;
  /** Why the last fetch failed; undefined if it succeeded. */
  #failure: unknown;
  #loading: Promise<void> | undefined;

  constructor(source: KeySource, { refreshMs, cooldownMs = 10_000 }: KeySetOptions, log: Logger) {
    this.#source = source;
    this.#cooldownMs = Math.min(cooldownMs, refreshMs);
    this.#log = log;
    this.#timer = setInterval(() => void this.#load(), refreshMs);
    this.#timer.unref();
    this.#unwatch = source.watch(() => void this.#load());
  }

  /** Changes with the keys: what was verified with earlier keys must be verified again. */
  get version(): number {
    return this.#version;
  }

  /**
   * The key that signed a token, as the token says.
   *
   * @throws AssetError IDENTITY_UNAVAILABLE if it is unknown and the keys cannot be fetched now
   * @throws errors of `jose` if the issuer does not have the key
   */
  readonly find: JWTVerifyGetKey = async (header, token) => {
    const known = await this.ready();
    try {
      return await known(header, token);
    } catch (error) {
      if (!isUnknownKey(error)) throw error;
      const before = this.#version;
      await this.#loadIfDue();
      if (this.#failure !== undefined) throw unavailable(this.#failure);
      if (this.#version === before || this.#find === undefined) throw error;
      return this.#find(header, token);
    }
  };

  /**
   * Resolves when there are keys; rejects with IDENTITY_UNAVAILABLE if there are none and they cannot be fetched.
   */
  async ready(): Promise<JWTVerifyGetKey> {
    if (this.#find === undefined) await this.#loadIfDue();
    if (this.#find === undefined) throw unavailable(this.#failure);
    return this.#find;
  }

  /** Stops the refresh. */
  close(): void {
    clearInterval(this.#timer);
    this.#unwatch();
  }

  async #loadIfDue(): Promise<void> {
    const cooldownMs = this.#failure !== undefined ? FAILURE_COOLDOWN_MS : this.#cooldownMs;
    if (this.#loading !== undefined || performance.now() - this.#triedAt >= cooldownMs) await this.#load();
  }

  /** Fetches the keys; never rejects. */
  #load(): Promise<void> {
    this.#loading ??= this.#fetch().finally(() => {
      this.#triedAt = performance.now();
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #fetch(): Promise<void> {
    try {
      const keys = await this.#source.fetch();
      const find = createLocalJWKSet(keys);
      // An empty set is more likely an error of the issuer than the withdrawal of all keys.
      if (keys.keys.length === 0) throw new Error('the set of keys is empty');
      const text = JSON.stringify(keys);
      if (text !== this.#text) {
        this.#text = text;
        this.#find = find;
        this.#version++;
        this.#log.info({ keys: keys.keys.length }, 'the keys of the issuer are here');
      }
      this.#failure = undefined;
    } catch (error) {
      if (this.#failure === undefined) {
        const goesOn = this.#find === undefined ? 'no caller can be known' : 'the last ones go on being used';
        this.#log.warn({ cause: causeText(error) }, `the keys of the issuer cannot be fetched: ${goesOn}`);
      }
      this.#failure = error;
    }
  }
}

function isUnknownKey(error: unknown): boolean {
  return (error as { code?: unknown } | undefined)?.code === errors.JWKSNoMatchingKey.code;
}

function unavailable(cause: unknown): AssetError {
  return new AssetError(
    'IDENTITY_UNAVAILABLE',
    'the service cannot verify tokens now, since the keys of the issuer cannot be fetched: try again',
    { retryAfterMs: FAILURE_COOLDOWN_MS, cause },
  );
}
