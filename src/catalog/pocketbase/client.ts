import PocketBase, { BaseAuthStore, getTokenPayload } from 'pocketbase';
import { unavailable } from '../call.ts';
import { PocketBaseTransport } from './fetch.ts';

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

/** A request that PocketBase understood and does not carry out. Nothing was written. */
export class Refusal extends Error {
  /** Which request of a batch; 0 for a single one. */
  readonly index: number;
  /** HTTP status: 400 or 404. */
  readonly status: number;
  /** What is wrong with each field, as a code of PocketBase such as `validation_required`. */
  readonly fields: ReadonlyMap<string, string>;

  constructor(index: number, status: number, fields: ReadonlyMap<string, string>, cause: unknown) {
    super('PocketBase refused a request', { cause });
    this.name = 'Refusal';
    this.index = index;
    this.status = status;
    this.fields = fields;
  }
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
 * Rejects with CATALOG_UNAVAILABLE, or with a {@link Refusal}.
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

  /** Records of a collection. */
  async list(collection: string, query: RecordQuery, signal: AbortSignal): Promise<readonly RawRecord[]> {
    const { items } = await this.send<{ items: RawRecord[] }>(
      recordsPath(collection),
      {
        query: {
          ...{ perPage: query.limit, skipTotal: true, filter: query.filter },
          ...(query.sort && { sort: query.sort }),
          ...(query.fields && { fields: query.fields }),
        },
        signal,
      },
      // To a login that was revoked PocketBase says that the filter is wrong: it names fields hidden from guests.
      [400, 401, 403],
    );
    return items;
  }

  /** Carries out all requests or none of them, one after the other and with no other write in between. */
  async batch(requests: readonly BatchRequest[], signal: AbortSignal): Promise<readonly RawRecord[]> {
    const body = {
      requests: requests.map(({ method, collection, id, body = {}, onlyId }) => ({
        ...{ method, url: recordsPath(collection, id) + (onlyId ? '?fields=id' : ''), body },
      })),
    };
    const results = await this.send<{ body: RawRecord }[]>('/api/batch', { method: 'POST', body, signal });
    return results.map((result) => result.body);
  }

  /** One request to the API, logging in before it where need be. */
  async send<T>(
    path: string,
    options: { method?: string; query?: object; body?: object; signal: AbortSignal },
    loginLost: readonly number[] = [401, 403],
  ): Promise<T> {
    try {
      await this.#ensureLogin();
      const token = this.#sdk.authStore.token;
      try {
        return await this.#sdk.send<T>(path, { ...options, fetch: this.#transport.fetch });
      } catch (error) {
        if (!loginLost.includes(failureOf(error).status)) throw error;
        await this.#renewLogin(token);
        return await this.#sdk.send<T>(path, { ...options, fetch: this.#transport.fetch });
      }
    } catch (error) {
      throw toRefusal(error) ?? unavailable(error);
    }
  }

  /** Lets go of connections. */
  close(): void {
    this.#transport.close();
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
          throw unavailable(error);
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

interface Failure {
  readonly status: number;
  readonly data?: Readonly<Record<string, { readonly code?: string }>>;
}

/** What failed: the request of a batch that did, with its index, or else the one that was sent. */
function failureOf(error: unknown): Failure & { readonly index: number } {
  const { status = 0, response } = (error ?? {}) as { status?: number; response?: Omit<Failure, 'status'> };
  const { data = {} } = response ?? {};
  const requests = (data as { requests?: Record<string, { response?: Failure }> }).requests ?? {};
  const [index, failed] = Object.entries(requests)[0] ?? [];
  return failed?.response ? { ...failed.response, index: Number(index) } : { status, data, index: 0 };
}

/** The refusal that an error of the SDK says; undefined if it is something else. */
function toRefusal(error: unknown): Refusal | undefined {
  const { index, status, data = {} } = failureOf(error);
  if (status !== 400 && status !== 404) return undefined;
  const fields = Object.entries(data).map(([name, fault]) => [name, fault.code ?? ''] as const);
  // A batch fails with 400 for reasons of its own too, such as a time limit.
  if (status === 400 && fields.length === 0) return undefined;
  return new Refusal(index, status, new Map(fields), error);
}
