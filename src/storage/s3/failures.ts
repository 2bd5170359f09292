import { AssetError } from '../../errors/asset-error.ts';
import { storeUnavailable } from '../../errors/dependencies.ts';
import { checksumMismatch, uploadExpired } from '../../errors/uploads.ts';
import { connectionFault, SetupFault, type SetupPart } from '../../errors/setup-fault.ts';

/** The used properties of an SDK error. Inside test runners it need not be an instance of Error. */
interface S3Error {
  readonly name?: string;
  readonly code?: string;
  /** Region of the bucket, in an error about the region. */
  readonly Region?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** An error response to a request that the SDK did not send. Has the same form as an SDK error. */
export class S3Failure extends Error {
  readonly $metadata: { readonly httpStatusCode: number };

  /** @param answer - body of the response: XML, or empty */
  constructor(status: number, answer: string) {
    super(textOf('Message', answer) ?? `the store answered ${status}`);
    this.name = textOf('Code', answer) ?? 'UnknownError';
    this.$metadata = { httpStatusCode: status };
  }
}

const MISSING_KEY = ['NoSuchKey', 'NotFound'];
const BAD_CHECKSUM = ['BadDigest', 'XAmzContentChecksumMismatch', 'XAmzContentSHA256Mismatch'];

/** HTTP status of the response; undefined if there was none. */
export function statusOf(error: unknown): number | undefined {
  return (error as S3Error).$metadata?.httpStatusCode;
}

/** True if the error has one of these S3 codes. */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes((error as S3Error).name ?? '');
}

/**
 * True if the response says that the object does not exist. HEAD does not distinguish that from a missing bucket.
 */
export function isMissingKey(error: unknown): boolean {
  return statusOf(error) === 404 && hasCode(error, ...MISSING_KEY);
}

/** True if an object exists and the request was to create one. */
export function isTaken(error: unknown): boolean {
  return statusOf(error) === 412;
}

/** True if the range starts after the end of the object. */
export function isPastEnd(error: unknown): boolean {
  return statusOf(error) === 416;
}

/** True if the bytes did not match the checksum. */
export function isBadChecksum(error: unknown): boolean {
  return hasCode(error, ...BAD_CHECKSUM);
}

/** True if a retry of the same request may succeed. */
export function isTransient(error: unknown): boolean {
  if (error instanceof AssetError) return false;
  const status = statusOf(error);
  // No response: the connection failed.
  if (status === undefined) return true;
  // A request that the store does not know.
  if (status === 501) return false;
  // 409: another conditional request for the key is running.
  if (status >= 500 || status === 429 || status === 408 || status === 409) return true;
  // Codes with status 400, or in the body of a 200.
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
 * Converts an error for callers of the store. Everything they cannot correct is STORE_UNAVAILABLE, also a missing
 * bucket and refused credentials, which the operator must correct.
 */
export function toStoreError(error: unknown): unknown {
  if (error instanceof AssetError) return error;
  if (isBadChecksum(error)) return checksumMismatch('crc32c', 'a part of the data', error);
  if (hasCode(error, 'NoSuchUpload', 'InvalidPart')) return uploadExpired(error);
  return storeUnavailable(setupFaultOf(error) ?? error);
}

/** Setting and message for each S3 code. */
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
  [
    ['RequestTimeTooSkewed', 'RequestExpired'],
    'clock',
    'the clock of this machine and that of the store differ by more than the store admits: set it right',
  ],
  [['CredentialsProviderError', 'ProviderError'], 'credentials', 'no credentials were found'],
  [['AccessDenied', 'AllAccessDisabled'], 'permission', 'the access key may not do this with the bucket'],
];

/** What an operator must correct; undefined if the store just does not work, for example with status 503. */
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
  // An answer to HEAD has no code. AWS answers so to an expired token, and to another region.
  if (status === 400 && hasCode(error, 'UnknownError', 'Unknown', '400', 'BadRequest'))
    return new SetupFault(
      'permission',
      'the session token may have expired, or the region be wrong (HTTP 400)',
      error,
    );
  if (status === 301 || status === 307)
    return new SetupFault('region', `the bucket is elsewhere (HTTP ${status})`, error);
  // S3 gives a reason, except in a response to HEAD.
  if (status === 404 || status === 405 || status === 501) return notS3(status, error);
  return undefined;
}

/** The fault of an address that is not an S3. */
export function notS3(status: number, cause?: unknown): SetupFault {
  return new SetupFault('address', `what answers there is no S3 (HTTP ${status})`, cause);
}

/** Text of the first element with this name; undefined if there is none. */
function textOf(element: string, xml: string): string | undefined {
  return new RegExp(`<${element}>([^<]*)</${element}>`).exec(xml)?.[1];
}
