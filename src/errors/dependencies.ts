import { AssetError } from './asset-error.ts';
import { connectionFault, setupFaultIn } from './setup-fault.ts';

// Errors of the blob store and the file catalog.

/** Delay before the next try, in milliseconds. */
const RETRY_MS = 1_000;

/** The same, if somebody must free space first. */
const FULL_RETRY_MS = 10_000;

const STORE_PROBLEMS = {
  down: 'the blob store cannot be used now',
  full: 'the blob store has no room for new files now',
} as const;

/**
 * The error of a store that cannot be used, or not for new files.
 *
 * @param cause - for the log; preferably a `SetupFault`
 */
export function storeUnavailable(cause: unknown, problem: keyof typeof STORE_PROBLEMS = 'down'): AssetError {
  return new AssetError('STORE_UNAVAILABLE', `${STORE_PROBLEMS[problem]}: try again later`, {
    cause,
    retryAfterMs: problem === 'full' ? FULL_RETRY_MS : RETRY_MS,
  });
}

const CATALOG_PROBLEMS = {
  down: 'the file catalog cannot be reached now',
  full: 'the file catalog has no room for new files now',
  newer: 'the upload was begun by a later release of the service',
} as const;

/** The error of a catalog that does not answer, has no room, or has data of a later release. */
export function catalogUnavailable(
  cause: unknown,
  problem: keyof typeof CATALOG_PROBLEMS = 'down',
): AssetError {
  return new AssetError('CATALOG_UNAVAILABLE', `${CATALOG_PROBLEMS[problem]}: try again later`, {
    cause: problem === 'down' ? (setupFaultIn(cause) ?? connectionFault(cause) ?? cause) : cause,
    retryAfterMs: problem === 'full' ? FULL_RETRY_MS : RETRY_MS,
  });
}

/** The error of a value that the catalog refuses; `problem` is for the caller. */
export function valueRefused(field: string, problem: string, cause?: unknown): AssetError {
  return refused(`the catalog refuses ${field}: ${problem}`, field, cause);
}

/** The error of an id that another file or upload has. */
export function idTaken(what: 'file' | 'upload', cause?: unknown): AssetError {
  return valueRefused(
    'id',
    `there is ${what === 'file' ? 'a file' : 'an upload'} with this id already`,
    cause,
  );
}

/** The error for a refusal that names no field; its text is for the log. */
export function refusedByRule(cause: unknown): AssetError {
  const problem =
    'a rule of the product does not allow it; the operators find the rule in their log by the request id';
  return refused(`the catalog refuses the call: ${problem}`, undefined, cause);
}

/** The error of a catalog with a wrong setup; `message` is for its operator. */
export function setupRefused(message: string, field?: string, cause?: unknown): AssetError {
  return refused(message, field, cause);
}

function refused(message: string, field: string | undefined, cause: unknown): AssetError {
  return new AssetError('CATALOG_REFUSED', message, {
    metadata: field === undefined ? {} : { field },
    cause,
  });
}
