import PocketBase, { BaseAuthStore, getTokenPayload } from 'pocketbase';
import { unavailable } from '../call.ts';
import { failureOf, toRefusal, toUnavailable } from './failures.ts';
import { loginFault, PocketBaseTransport } from './fetch.ts';

export { Refusal } from './failures.ts';

/** A record as PocketBase writes it, by the names of its fields. */
export type RawRecord = Readonly<Record<string, unknown>> & { readonly id: string };

/** One request of a batch. */
export interface BatchRequest {
  readonly method: 'POST' | 'PATCH' | 'DELETE';
  readonly collection: string;
  /** Which record; none for one that is created. */
  readonly id?: string;
  readonly body?: Readonly<Record<string, unknown>>;
  /** True where nothing but the id of the record is to be answered. */
  readonly onlyId?: boolean;
}

/** What a list asks for. `filter` must be built of {@link quote}d values. */
export interface RecordQuery {
  readonly filter: string;
  readonly sort?: string;
  readonly limit: number;
  /** Names of the fields that are answered, with commas between them; all where left out. */
  readonly fields?: string;
}

/** A token is renewed when it has so little time left. */
const RENEW_BEFORE_MS = 600_000;

/**
 * A value in a filter. The SDK's own `filter()` writes control characters as JSON does, which PocketBase takes
 * to be a backslash and letters; it knows an escaped quote and an escaped backslash.
 */
export function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/**
 * Requests to a PocketBase as a superuser. Logs in with the first one, and again when the login runs out.
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
    // Else a request ends every other one to the same path.
    this.#sdk.autoCancellation(false);
    this.#email = options.email;
    this.#password = options.password;
  }

  /** Records of a collection. Rejects with CATALOG_UNAVAILABLE alone: it is never the caller who may not read. */
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
      // To a login that was revoked PocketBase says 400: the filter names fields that are hidden from guests.
      const path = recordsPath(collection);
      return (await this.#exchange<{ items: RawRecord[] }>(path, options, [400, 401, 403])).items;
    } catch (error) {
      throw toUnavailable(error, [collection]);
    }
  }

  /**
   * Carries out all requests or none of them, one after the other and with no other write in between. One of them is
   * answered with undefined if a hook left it out, while the others were carried out.
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
      throw (
        toRefusal(error) ??
        toUnavailable(
          error,
          requests.map(({ collection }) => collection),
        )
      );
    }
  }

  /** One request to the API, logging in before it where need be. */
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

  /** Lets go of connections. */
  close(): void {
    this.#transport.close();
  }

  /** Sends a request, once more after a new login if it failed with one of these statuses and the login was lost. */
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
   * True unless the token is in force. A hook answers with the same statuses as a login that was revoked does, and a login
   * takes PocketBase a hundred times as long as to look at a token.
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
    // Many wait for one; it must not end because one of them gives up.
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
          throw unavailable(loginFault(error));
        },
      )
      .finally(() => (this.#login = undefined));
    return this.#login;
  }
}

/** Path of a collection's records, or of one of them. */
function recordsPath(collection: string, id?: string): string {
  const path = `/api/collections/${encodeURIComponent(collection)}/records`;
  return id === undefined ? path : `${path}/${encodeURIComponent(id)}`;
}

interface BatchResult {
  readonly status: number;
  readonly body: RawRecord | null;
}
