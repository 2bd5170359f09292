import { createLocalJWKSet, errors, type JWTVerifyGetKey } from 'jose';
import type { Logger } from 'pino';
import { AssetError } from '../errors.ts';
import { causeText } from '../setup-fault.ts';
import type { KeySource } from './key-source.ts';

/** How a {@link KeySet} keeps its keys fresh. */
export interface KeySetOptions {
  /** Time after which the keys are fetched again, in milliseconds. */
  readonly refreshMs: number;
  /** Least time between two fetches that tokens with an unknown key ask for, in milliseconds; 10 seconds where left out. */
  readonly cooldownMs?: number;
}

/** Least time between two fetches while they fail, in milliseconds. */
const FAILURE_COOLDOWN_MS = 1000;

/**
 * The public keys of an issuer. They are fetched when first needed, again at an interval, so that a key that was withdrawn ends,
 * and when a token comes with a key that is not among them, so that a new one is known at once; but not for every such token, which
 * anybody can send.
 *
 * While they cannot be fetched the last ones go on being used: an issuer that is down stops no callers who have a token.
 */
export class KeySet {
  readonly #source: KeySource;
  readonly #cooldownMs: number;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  readonly #unwatch: () => void;
  #find: JWTVerifyGetKey | undefined;
  /** The keys as text, by which other keys are told from the same. */
  #text = '';
  #version = 0;
  #triedAt = -Infinity;
  /** Why the last fetch failed; undefined if it did not. */
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

  /** Another number for other keys: what was verified with the earlier ones has to be verified again. */
  get version(): number {
    return this.#version;
  }

  /**
   * The key that a token says it is signed with.
   *
   * @throws AssetError IDENTITY_UNAVAILABLE if it is unknown and the keys cannot be fetched now
   * @throws whatever `jose` throws for a key that the issuer does not have
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

  /** Resolves once there are keys; rejects with IDENTITY_UNAVAILABLE if there are none and they cannot be fetched. */
  async ready(): Promise<JWTVerifyGetKey> {
    if (this.#find === undefined) await this.#loadIfDue();
    if (this.#find === undefined) throw unavailable(this.#failure);
    return this.#find;
  }

  /** Ends the refreshing. */
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
      // Rather an issuer with a fault than one that has withdrawn everything.
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
