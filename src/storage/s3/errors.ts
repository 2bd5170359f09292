import { checksumMismatch, multipartGone, storeUnavailable } from '../store-errors.ts';
import { AssetError } from '../../errors.ts';

/** What is looked at in an error of the SDK. Inside test runners it need not be an instance of Error. */
interface S3Error {
  readonly name?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** What the store answered to a request that the SDK did not send. It looks like an error of the SDK. */
export class S3Failure extends Error {
  readonly $metadata: { readonly httpStatusCode: number };

  /** @param answer - body of the answer: XML, or nothing */
  constructor(status: number, answer: string) {
    super(textOf('Message', answer) ?? `the store answered ${status}`);
    this.name = textOf('Code', answer) ?? 'UnknownError';
    this.$metadata = { httpStatusCode: status };
  }
}

const MISSING_KEY = ['NoSuchKey', 'NotFound'];
const BAD_CHECKSUM = ['BadDigest', 'XAmzContentChecksumMismatch', 'XAmzContentSHA256Mismatch'];

/** HTTP status of the answer; undefined if there was none. */
export function statusOf(error: unknown): number | undefined {
  return (error as S3Error).$metadata?.httpStatusCode;
}

/** True if the error has one of these S3 codes. */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes((error as S3Error).name ?? '');
}

/** True if the answer says that there is no such object. A HEAD cannot tell that from a missing bucket. */
export function isMissingKey(error: unknown): boolean {
  return statusOf(error) === 404 && hasCode(error, ...MISSING_KEY);
}

/** True if there is an object already and the request was to create one. */
export function isTaken(error: unknown): boolean {
  return statusOf(error) === 412;
}

/** True if the range asked for begins past the end of the object. */
export function isPastEnd(error: unknown): boolean {
  return statusOf(error) === 416;
}

/** True if the store found other bytes than the checksum says. */
export function isBadChecksum(error: unknown): boolean {
  return hasCode(error, ...BAD_CHECKSUM);
}

/** True if the same request may succeed when it is sent again. */
export function isTransient(error: unknown): boolean {
  if (error instanceof AssetError) return false;
  const status = statusOf(error);
  // No answer: the connection failed.
  if (status === undefined) return true;
  // 409: another conditional request on the key is under way.
  if (status >= 500 || status === 429 || status === 408 || status === 409) return true;
  // Codes that come with a 400, or within the body of a 200.
  return hasCode(
    error,
    'RequestTimeout',
    'RequestTimeTooSkewed',
    'ExpiredToken',
    'InternalError',
    'SlowDown',
  );
}

/**
 * What callers of the store see of an error. Everything that is not theirs to mend is STORE_UNAVAILABLE: also a
 * missing bucket and refused credentials, which are the operator's.
 */
export function toStoreError(error: unknown): unknown {
  if (error instanceof AssetError) return error;
  if (isBadChecksum(error)) return checksumMismatch(error);
  if (hasCode(error, 'NoSuchUpload', 'InvalidPart')) return multipartGone(error);
  return storeUnavailable(error);
}

/** Text of the first element of this name; undefined if there is none. */
function textOf(element: string, xml: string): string | undefined {
  return new RegExp(`<${element}>([^<]*)</${element}>`).exec(xml)?.[1];
}
