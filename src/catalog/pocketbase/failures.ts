import { isAssetError, type AssetError } from '../../errors/asset-error.ts';
import { catalogUnavailable } from '../../errors/dependencies.ts';
import { SetupFault } from '../../errors/setup-fault.ts';
import { HELPERS } from './own-collections.ts';

/** PocketBase's message for a request to a missing collection. */
const NO_COLLECTION = 'Missing collection context.';

/** PocketBase's message when a hook throws a non-API error. */
const HOOK_FAILED = 'Something went wrong while processing your request.';

/** A request that PocketBase understood and refused. Nothing was written. */
export class Refusal extends Error {
  /** Index of the request in a batch; 0 for a single one. */
  readonly index: number;
  /** HTTP status of that request; 200 if a hook ended it without executing it. */
  readonly status: number;
  /** PocketBase's error code by field, such as `validation_required`. */
  readonly fields: ReadonlyMap<string, string>;

  /** The message of PocketBase or a hook; only for the log. */
  readonly text: string;

  constructor(at: Pick<Refusal, 'index' | 'status' | 'fields'>, text: string, cause?: unknown) {
    const faults = [...at.fields].map(([field, code]) => `${field}: ${code}`).join(', ');
    super(`PocketBase refused with status ${at.status}: ${text}${faults && ` (${faults})`}`, { cause });
    this.name = 'Refusal';
    [this.index, this.status, this.fields, this.text] = [at.index, at.status, at.fields, text];
  }

  /** The same refusal for the request at another index. */
  at(index: number): Refusal {
    return new Refusal({ index, status: this.status, fields: this.fields }, this.text, this.cause);
  }
}

/** The refusal of a request that PocketBase skipped without an error. */
export function leftOut(index: number): Refusal {
  const text = 'a hook ended the request without carrying it out';
  return new Refusal({ index, status: 200, fields: new Map() }, text);
}

interface Failure {
  readonly status: number;
  readonly message?: string;
  readonly data?: Readonly<Record<string, { readonly code?: string }>>;
}

/** The failed request: the one in the batch with its index, or the one that was sent. */
export function failureOf(error: unknown): Failure & { readonly index?: number } {
  const { status = 0, response } = (error ?? {}) as { status?: number; response?: Omit<Failure, 'status'> };
  const { data = {}, message = '' } = response ?? {};
  const requests = (data as { requests?: Record<string, { response?: Failure }> }).requests ?? {};
  const [index, failed] = Object.entries(requests)[0] ?? [];
  return failed?.response ? { ...failed.response, index: Number(index) } : { status, data, message };
}

/**
 * The refusal in an SDK error; undefined for other errors.
 *
 * A refused request rolls its batch back. If a batch fails as a whole, it is unknown whether it was written: hooks
 * that run after its commit can fail it. It also fails if it has more requests than the settings permit.
 */
export function toRefusal(error: unknown): Refusal | undefined {
  const { index, status, message = '', data = {} } = failureOf(error);
  if (message === NO_COLLECTION) return undefined;
  const fields = new Map(Object.entries(data).map(([name, fault]) => [name, fault.code ?? '']));
  const isRefused =
    index === undefined
      ? status === 404 || (status === 400 && fields.size > 0 && !fields.has('requests'))
      : isRefusedInBatch(status, message);
  return isRefused ? new Refusal({ index: index ?? 0, status, fields }, message, error) : undefined;
}

/** A new login (401), a wait (429) or a retry (5xx) may help; other statuses are refusals. */
function isRefusedInBatch(status: number, message: string): boolean {
  if (status === 500) return message === HOOK_FAILED;
  return status >= 400 && status < 500 && status !== 401 && status !== 429;
}

/**
 * CATALOG_UNAVAILABLE, with the failure in words for the log.
 *
 * @param collections - collections of the requests, in order
 */
export function toUnavailable(error: unknown, collections: readonly string[]): AssetError {
  if (isAssetError(error)) return error;
  const { index = 0, status, message } = failureOf(error);
  if (status === 0 || collections.length === 0) return catalogUnavailable(error);
  const collection = collections[index];
  if (message === NO_COLLECTION) {
    // The service's collections are created by a migration; no setting names them.
    const part = HELPERS.some(({ name }) => name === collection) ? 'schema' : 'collection';
    return catalogUnavailable(
      new SetupFault(part, `PocketBase has no collection "${collection}" (HTTP ${status})`, error),
    );
  }
  const what = `PocketBase answered ${status} to a request for the collection "${collection}": ${message}`;
  return catalogUnavailable(new Error(what, { cause: error }));
}

/** True if PocketBase has no such collection, or the collection does not have what the request names. */
export function isUnknown(error: unknown): boolean {
  if (!isAssetError(error, 'CATALOG_UNAVAILABLE')) return false;
  const { cause } = (error.cause ?? {}) as { readonly cause?: unknown };
  return [400, 404].includes(failureOf(cause).status);
}

/** True if PocketBase answered 400 without naming the request: it is unknown whether it wrote. */
export function isBadRequest(error: unknown): boolean {
  if (!isAssetError(error, 'CATALOG_UNAVAILABLE')) return false;
  const { cause } = (error.cause ?? {}) as { readonly cause?: unknown };
  const { status, index } = failureOf(cause);
  return status === 400 && index === undefined;
}
