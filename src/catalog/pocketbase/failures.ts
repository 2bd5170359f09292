import { isAssetError, type AssetError } from '../../errors.ts';
import { SetupFault } from '../../setup-fault.ts';
import { unavailable } from '../call.ts';
import { HELPERS } from './helpers.ts';

/** What PocketBase says where a request is to a collection that it does not have. */
const NO_COLLECTION = 'Missing collection context.';

/** What PocketBase says where a hook throws an error that is none of the API's. */
const HOOK_FAILED = 'Something went wrong while processing your request.';

/** A request that PocketBase understood and does not carry out. Nothing was written. */
export class Refusal extends Error {
  /** Which request of a batch; 0 for a single one. */
  readonly index: number;
  /** HTTP status of that request; 200 for one that a hook ended without carrying it out. */
  readonly status: number;
  /** What is wrong with each field, as a code of PocketBase such as `validation_required`. */
  readonly fields: ReadonlyMap<string, string>;

  /** What PocketBase, or a hook in it, says; for the log alone. */
  readonly text: string;

  constructor(at: Pick<Refusal, 'index' | 'status' | 'fields'>, text: string, cause?: unknown) {
    const faults = [...at.fields].map(([field, code]) => `${field}: ${code}`).join(', ');
    super(`PocketBase refused with status ${at.status}: ${text}${faults && ` (${faults})`}`, { cause });
    this.name = 'Refusal';
    [this.index, this.status, this.fields, this.text] = [at.index, at.status, at.fields, text];
  }

  /** The same refusal, of the request at another place. */
  at(index: number): Refusal {
    return new Refusal({ index, status: this.status, fields: this.fields }, this.text, this.cause);
  }
}

/** What a request rejects with that PocketBase left out of a batch without an error. */
export function leftOut(index: number): Refusal {
  const text = 'a hook ended the request without carrying it out';
  return new Refusal({ index, status: 200, fields: new Map() }, text);
}

interface Failure {
  readonly status: number;
  readonly message?: string;
  readonly data?: Readonly<Record<string, { readonly code?: string }>>;
}

/** What failed: the request of a batch that did, with its index, or else the one that was sent. */
export function failureOf(error: unknown): Failure & { readonly index?: number } {
  const { status = 0, response } = (error ?? {}) as { status?: number; response?: Omit<Failure, 'status'> };
  const { data = {}, message = '' } = response ?? {};
  const requests = (data as { requests?: Record<string, { response?: Failure }> }).requests ?? {};
  const [index, failed] = Object.entries(requests)[0] ?? [];
  return failed?.response ? { ...failed.response, index: Number(index) } : { status, data, message };
}

/**
 * The refusal that an error of the SDK says; undefined if it is something else.
 *
 * What is refused of one request in a batch rolls the batch back. A batch that fails as a whole says nothing of what was
 * written: hooks run after its commit too, and fail it. So does one that has more requests than the settings allow.
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

/** To log in again (401), to wait (429) and to try again (5xx) may help; nothing else does. */
function isRefusedInBatch(status: number, message: string): boolean {
  if (status === 500) return message === HOOK_FAILED;
  return status >= 400 && status < 500 && status !== 401 && status !== 429;
}

/**
 * CATALOG_UNAVAILABLE, with what failed in words for the log.
 *
 * @param collections - what the requests were to, in their order
 */
export function toUnavailable(error: unknown, collections: readonly string[]): AssetError {
  if (isAssetError(error)) return error;
  const { index = 0, status, message } = failureOf(error);
  if (status === 0 || collections.length === 0) return unavailable(error);
  const collection = collections[index];
  if (message === NO_COLLECTION) {
    // Those of the service are made by a migration; no setting names them.
    const part = HELPERS.some(({ name }) => name === collection) ? 'schema' : 'collection';
    return unavailable(
      new SetupFault(part, `PocketBase has no collection "${collection}" (HTTP ${status})`, error),
    );
  }
  const what = `PocketBase answered ${status} to a request for the collection "${collection}": ${message}`;
  return unavailable(new Error(what, { cause: error }));
}

/** True if PocketBase answered 400 and did not say which request it is about: whether it wrote is not known. */
export function isBadRequest(error: unknown): boolean {
  if (!isAssetError(error, 'CATALOG_UNAVAILABLE')) return false;
  const { cause } = (error.cause ?? {}) as { readonly cause?: unknown };
  const { status, index } = failureOf(cause);
  return status === 400 && index === undefined;
}
