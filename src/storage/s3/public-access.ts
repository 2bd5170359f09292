import { GetBucketAclCommand, GetBucketPolicyCommand } from '@aws-sdk/client-s3';
import type { PublicAccess } from '../object-reader.ts';
import { isPublicGrant, isPublicPolicy } from './access-settings.ts';
import { abortBy, type S3Bucket } from './bucket.ts';
import { hasCode, statusOf } from './failures.ts';
import { escapePath } from './signature.ts';
import { resolveTarget } from './target.ts';

const TIMEOUT_MS = 10_000;

/** Reads policy and ACL of a bucket, and tries to read and list it without credentials. */
export async function publicAccessOf(
  bucket: S3Bucket,
  publicEndpoint: string | undefined,
  sampleKey: string | undefined,
  signal: AbortSignal | undefined,
): Promise<PublicAccess> {
  const { url, path } = await resolveTarget(bucket.client, bucket.name, publicEndpoint);
  const at = (rest: string) => `${url.protocol}//${url.host}${path}${rest}`;
  const [policy, acl, get, list] = await Promise.all([
    policyOf(bucket, signal),
    aclOf(bucket, signal),
    sampleKey === undefined ? ('unknown' as const) : tried(at(escapePath(sampleKey)), signal),
    tried(at('?list-type=2&max-keys=1'), signal),
  ]);
  return { policy, acl, anonymousGet: get, anonymousList: list };
}

async function policyOf(bucket: S3Bucket, signal: AbortSignal | undefined): Promise<PublicAccess['policy']> {
  try {
    const command = new GetBucketPolicyCommand({ Bucket: bucket.name });
    const { Policy = '' } = await bucket.send(signal, (attempt) =>
      bucket.client.send(command, abortBy(attempt)).catch((error: unknown) => {
        if (hasCode(error, 'NoSuchBucketPolicy')) return { Policy: '' };
        throw error;
      }),
    );
    return Policy !== '' && isPublicPolicy(Policy) ? 'open' : 'closed';
  } catch {
    return 'unknown';
  }
}

async function aclOf(bucket: S3Bucket, signal: AbortSignal | undefined): Promise<PublicAccess['acl']> {
  try {
    const command = new GetBucketAclCommand({ Bucket: bucket.name });
    const { Grants = [] } = await bucket.send(signal, (attempt) =>
      bucket.client.send(command, abortBy(attempt)),
    );
    return Grants.some(isPublicGrant) ? 'open' : 'closed';
  } catch (error) {
    // A store without ACLs permits nothing by them.
    return statusOf((error as { cause?: unknown }).cause) === 501 ? 'closed' : 'unknown';
  }
}

/** Result of a request without credentials; only a refusal means `closed`. */
async function tried(url: string, signal: AbortSignal | undefined): Promise<PublicAccess['anonymousGet']> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await fetch(url, { signal: signal ? AbortSignal.any([signal, timeout]) : timeout });
    await response.body?.cancel();
    if (response.ok) return 'open';
    return response.status === 401 || response.status === 403 ? 'closed' : 'unknown';
  } catch {
    return 'unknown';
  }
}
