import type { Settings } from './options/options.ts';
import type { Mistakes } from './settings.ts';

/** The S3 bucket of the blobs. */
export interface S3Config {
  readonly endpoint?: string;
  readonly publicEndpoint?: string;
  readonly region: string;
  readonly bucket: string;
  readonly forcePathStyle: boolean;
  /** Undefined if the AWS environment decides. */
  readonly dualStack?: boolean;
  readonly accelerate?: boolean;
  readonly encryption?: { readonly algorithm: 'AES256' | 'aws:kms'; readonly kmsKeyId?: string };
}

/** The S3 configuration in the settings; reports addresses that the driver cannot use. */
export function s3Config(settings: Settings, mistakes: Mistakes): S3Config {
  const { ASSET_S3_ENDPOINT: endpoint, ASSET_S3_PUBLIC_ENDPOINT: publicEndpoint } = settings;
  const { ASSET_S3_SSE: algorithm, ASSET_S3_SSE_KMS_KEY_ID: kmsKeyId } = settings;
  const { ASSET_S3_DUAL_STACK: dualStack, ASSET_S3_ACCELERATE: accelerate } = settings;
  checkS3Address(settings, mistakes);
  return {
    ...(endpoint !== undefined && { endpoint }),
    ...(publicEndpoint !== undefined && { publicEndpoint }),
    region: settings.ASSET_S3_REGION,
    bucket: mistakes.require('ASSET_S3_BUCKET', 'ASSET_STORE=s3'),
    forcePathStyle: settings.ASSET_S3_FORCE_PATH_STYLE ?? endpoint !== undefined,
    ...(dualStack !== undefined && { dualStack }),
    ...(accelerate !== undefined && { accelerate }),
    ...(algorithm !== 'none' && {
      encryption: { algorithm, ...(kmsKeyId !== undefined && { kmsKeyId }) },
    }),
  };
}

function checkS3Address(settings: Settings, mistakes: Mistakes): void {
  const { ASSET_S3_BUCKET: bucket = '', ASSET_S3_ENDPOINT: endpoint } = settings;
  const { ASSET_S3_ACCELERATE: accelerate, ASSET_S3_FORCE_PATH_STYLE: pathStyle } = settings;
  for (const name of ['ASSET_S3_DUAL_STACK', 'ASSET_S3_ACCELERATE'] as const) {
    if (settings[name] === true && endpoint !== undefined)
      mistakes.add(name, 'is for AWS alone: leave ASSET_S3_ENDPOINT unset');
  }
  if (accelerate === true && pathStyle === true)
    mistakes.add('ASSET_S3_ACCELERATE', 'cannot go with ASSET_S3_FORCE_PATH_STYLE=true');
  if (accelerate === true && /^arn:|\./.test(bucket))
    mistakes.add('ASSET_S3_ACCELERATE', 'needs ASSET_S3_BUCKET to be the name of a bucket, without dots');
  const problem = /^arn:[^:]*:s3::|--x-s3$/.test(bucket)
    ? 'cannot be a multi-region access point or a directory bucket: both ask for signatures of another kind'
    : bucket.startsWith('arn:') && accessPointProblem(bucket, settings);
  if (problem) mistakes.add('ASSET_S3_BUCKET', problem);
}

/** Why an ARN cannot be used; false if it can. */
function accessPointProblem(arn: string, settings: Settings): string | false {
  const region = /^arn:[^:]+:s3:([^:]+):\d{12}:accesspoint[:/][a-z0-9-]+$/.exec(arn)?.[1];
  if (region === undefined) return 'must be a name, or such as arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME';
  if (region !== settings.ASSET_S3_REGION) return `is in the region ${region}: set ASSET_S3_REGION=${region}`;
  if (settings.ASSET_S3_FORCE_PATH_STYLE === true)
    return 'is an access point, which cannot go with ASSET_S3_FORCE_PATH_STYLE=true';
  const address = settings.ASSET_S3_ENDPOINT ?? settings.ASSET_S3_PUBLIC_ENDPOINT;
  if (address === undefined) return false;
  return 'is an access point, which is at AWS alone: leave ASSET_S3_ENDPOINT and ASSET_S3_PUBLIC_ENDPOINT unset';
}
