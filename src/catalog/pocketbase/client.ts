import PocketBase, { BaseAuthStore, getTokenPayload } from 'pocketbase';
import { failureOf, toRefusal, toUnavailable } from './failures.ts';
import { loginFault, PocketBaseTransport } from './fetch.ts';
import { catalogUnavailable } from '../../errors/dependencies.ts';

export { Refusal } from './failures.ts';

/** A record as PocketBase returns it, by field name. */
export type RawRecord = Readonly<Record<string, unknown>> & { readonly id: string };

/** One request of a batch. */
export interface BatchRequest {
  readonly method: 'POST' | 'PATCH' | 'DELETE';
  readonly collection: string;
  /** Id of the record; none for a create. */
  readonly id?: string;
  readonly body?: Readonly<Record<string, unknown>>;
  /** True if only the record's id should be returned. */
  readonly onlyId?: boolean;
}

/** Parameters of a list. `filter` must be made of {@link quote}d values. */
export interface RecordQuery {
  readonly filter: string;
  readonly sort?: string;
  readonly limit: number;
  /** Field names to return, separated by commas; default all. */
  readonly fields?: string;
}

/** Remaining lifetime at which a token is renewed, in milliseconds. */
const RENEW_BEFORE_MS = 600_000;

/**
 * A value for a filter. The SDK's `filter()` writes control characters as JSON does, but PocketBase knows only an
 * escaped quote and an escaped backslash.
 */
export function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/**
 * Requests to a PocketBase as a superuser. Logs in with the first request, and again when the token expires.
 *
 * Rejects with CATALOG_UNAVAILABLE, or with a Refusal.
 */
export class PocketBaseClient {
  readonly #sdk: PocketBase;
  readonly #transport = new PocketBaseTransport();
  readonly #email: string;
  readonly #password: string;
  #login: Promise<void> | undefined;
  #renewAt = 0;

  constructor(options: { readonly url: string; readonly email: string; readonly password: string }) {
    this.#sdk = new PocketBase(options.url, new BaseAuthStore());
    // By default the SDK cancels other requests to the same path.
    this.#sdk.autoCancellation(false);
    this.#email = options.email;
    this.#password = options.password;
  }

  /**
   * Lists records of a collection. Rejects only with CATALOG_UNAVAILABLE: a refusal is never the caller's fault.
   */
  async list(collection: string, query: RecordQuery, signal: AbortSignal): Promise<readonly RawRecord[]> {
    const options = {
      query: {
        ...{ perPage: query.limit, skipTotal: true, filter: query.filter },
        ...(query.sort && { sort: query.sort }),
        ...(query.fields && { fields: query.fields }),
      },
      signal,
    };
    try {
      // PocketBase answers 400 for a revoked token, because the filter names fields that guests cannot see.
      const path = recordsPath(collection);
      return (await this.#exchange<{ items: RawRecord[] }>(path, options, [400, 401, 403])).items;
    } catch (error) {
      throw toUnavailable(error, [collection]);
    }
  }

  /**
   * Executes all requests or none, in order and without other writes in between. A response is undefined if a hook
   * skipped its request.
   */
  async batch(
    requests: readonly BatchRequest[],
    signal: AbortSignal,
  ): Promise<readonly (RawRecord | undefined)[]> {
    const body = {
      requests: requests.map(({ method, collection, id, body = {}, onlyId }) => ({
        ...{ method, url: recordsPath(collection, id) + (onlyId ? '?fields=id' : ''), body },
      })),
    };
    try {
      const options = { method: 'POST', body, signal };
      const results = await this.#exchange<BatchResult[]>('/api/batch', options, [401, 403]);
      return requests.map(({ method, id = '' }, index) => {
        const { status, body } = results[index]!;
        return method === 'DELETE' && status === 204 ? { id } : (body ?? undefined);
      });
    } catch (error) {
      // PocketBase names the request that it refuses; a 404 of the whole batch comes from a proxy.
      const refusal = failureOf(error).index === undefined ? undefined : toRefusal(error);
      const collections = requests.map(({ collection }) => collection);
      throw refusal ?? toUnavailable(error, collections);
    }
  }

  /** Sends one request; logs in first if needed. */
  async send<T>(
    path: string,
    options: { method?: string; query?: object; body?: object; signal: AbortSignal },
  ): Promise<T> {
    try {
      return await this.#exchange<T>(path, options, [401, 403]);
    } catch (error) {
      throw toRefusal(error) ?? toUnavailable(error, []);
    }
  }

  /** Closes connections. */
  close(): void {
    this.#transport.close();
  }

  /**
   * Sends a request; repeats it after a new login if it failed with one of these statuses because the token is no
   * longer valid.
   */
  async #exchange<T>(
    path: string,
    options: { method?: string; query?: object; body?: object; signal: AbortSignal },
    loginLost: readonly number[],
  ): Promise<T> {
    const send = () => this.#sdk.send<T>(path, { ...options, fetch: this.#transport.fetch });
    await this.#ensureLogin();
    const { token } = this.#sdk.authStore;
    try {
      return await send();
    } catch (error) {
      if (!loginLost.includes(failureOf(error).status)) throw error;
      if (!(await this.#isLost(token, options.signal))) throw error;
      await this.#renewLogin(token);
      return send();
    }
  }

  /**
   * True unless the token is valid. A hook can cause the same statuses as a revoked token, and a login costs
   * PocketBase a hundred times as much as checking a token.
   */
  async #isLost(token: string, signal: AbortSignal): Promise<boolean> {
    if (this.#sdk.authStore.token !== token) return true;
    try {
      const path = '/api/collections/_superusers/auth-refresh';
      await this.#sdk.send(path, { method: 'POST', signal, fetch: this.#transport.fetch });
      return false;
    } catch (error) {
      if ([401, 403, 404].includes(failureOf(error).status)) return true;
      throw error;
    }
  }

  async #ensureLogin(): Promise<void> {
    if (Date.now() > this.#renewAt) await this.#logIn();
  }

  /** Logs in again, unless another request has done so since `token` was used. */
  async #renewLogin(token: string): Promise<void> {
    if (this.#sdk.authStore.token === token) await this.#logIn();
  }

  #logIn(): Promise<void> {
    // Shared by all waiting requests, so it must not end when one of them is cancelled.
    this.#login ??= this.#sdk
      .collection('_superusers')
      .authWithPassword(this.#email, this.#password, {
        signal: AbortSignal.timeout(5_000),
        fetch: this.#transport.fetch,
      })
      .then(
        ({ token }) => {
          this.#renewAt = Number(getTokenPayload(token).exp) * 1_000 - RENEW_BEFORE_MS;
        },
        (error: unknown) => {
          throw catalogUnavailable(loginFault(error));
        },
      )
      .finally(() => (this.#login = undefined));
    return this.#login;
  }
}

/** Path of a collection's records or of one of them. */
function recordsPath(collection: string, id?: string): string {
  const path = `/api/collections/${encodeURIComponent(collection)}/records`;
  return id === undefined ? path : `${path}/${encodeURIComponent(id)}`;
}

interface BatchResult {
  readonly status: number;
  readonly body: RawRecord | null;
}
