import { checksumMismatch, multipartGone, storeUnavailable } from '../store-errors.ts';
import { AssetError } from '../../errors.ts';
import { connectionFault, SetupFault, type SetupPart } from '../../setup-fault.ts';

/** What is looked at in an error of the SDK. Inside test runners it need not be an instance of Error. */
interface S3Error {
  readonly name?: string;
  readonly code?: string;
  /** Where the bucket is, in an error about the region. */
  readonly Region?: string;
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
  return storeUnavailable(setupFaultOf(error) ?? error);
}

/** What of the set-up each code of S3 points at, and what it says. */
const FAULTS: readonly (readonly [codes: readonly string[], part: SetupPart, text: string])[] = [
  [['NoSuchBucket'], 'bucket', 'the bucket does not exist'],
  [['InvalidBucketName'], 'bucket', 'no bucket can have this name'],
  [['InvalidAccessKeyId'], 'access-key', 'the store does not know this access key'],
  [['SignatureDoesNotMatch'], 'secret-key', 'the secret key does not belong to the access key'],
  [
    ['ExpiredToken', 'InvalidToken', 'TokenRefreshRequired'],
    'session-token',
    'the session token does not hold',
  ],
  [
    [
      'PermanentRedirect',
      'TemporaryRedirect',
      'AuthorizationHeaderMalformed',
      'IllegalLocationConstraintException',
    ],
    'region',
    'the bucket is in another region',
  ],
  [['CredentialsProviderError', 'ProviderError'], 'credentials', 'no credentials were found'],
  [['AccessDenied', 'AllAccessDisabled'], 'permission', 'the access key may not do this with the bucket'],
];

/** What an operator has to mend; undefined for a store that just does not work, such as one that answers with a 503. */
export function setupFaultOf(error: unknown): SetupFault | undefined {
  const status = statusOf(error);
  const found = FAULTS.find(([codes]) => hasCode(error, ...codes));
  if (found !== undefined) {
    const [, part, text] = found;
    const { name = '', Region: region } = error as S3Error;
    const expected = part === 'region' && region !== undefined ? `: it expects ${region}` : '';
    const mark = status === undefined ? name : `HTTP ${status} ${name}`;
    return new SetupFault(part, `${text}${expected} (${mark})`, error);
  }
  if (status === undefined) return connectionFault(error);
  if (status === 403)
    return new SetupFault('permission', 'the store refuses the access key (HTTP 403)', error);
  if (status === 301 || status === 307)
    return new SetupFault('region', `the bucket is elsewhere (HTTP ${status})`, error);
  // An S3 says why, but in the answer to HEAD.
  if (status === 404 || status === 405 || status === 501) return notS3(status, error);
  return undefined;
}

/** The fault of an address where something else than an S3 answers. */
export function notS3(status: number, cause?: unknown): SetupFault {
  return new SetupFault('address', `what answers there is no S3 (HTTP ${status})`, cause);
}

/** Text of the first element of this name; undefined if there is none. */
function textOf(element: string, xml: string): string | undefined {
  return new RegExp(`<${element}>([^<]*)</${element}>`).exec(xml)?.[1];
}
