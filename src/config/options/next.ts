import { z } from 'zod';
import { flag, http, option, text, type Option } from './option.ts';

/** A setting of a driver as one of the catalog that a move goes to. */
type NextName<Name> = Name extends `ASSET_${infer Rest}` ? `ASSET_NEXT_${Rest}` : never;

/** The name for the target of a move of a driver's setting. */
export function nextName<Name extends string>(name: Name): NextName<Name> {
  return name.replace(/^ASSET_/, 'ASSET_NEXT_') as NextName<Name>;
}

/** A text about settings of a catalog or a store as one about the target of a move. */
export function inNextNames(text: string): string {
  return text
    .replaceAll(/\bASSET_(?=CATALOG|DATA_DIR|POSTGRES_|POCKETBASE_|STORE\b|S3_)/g, 'ASSET_NEXT_')
    .replaceAll(/\bAWS_(?=ACCESS_KEY_ID|SECRET_ACCESS_KEY)/g, 'ASSET_NEXT_S3_');
}

/** The settings of the target of a store move, besides ASSET_NEXT_DATA_DIR. */
export const NEXT_STORE_OPTIONS = {
  ASSET_NEXT_STORE: option(
    z.enum(['filesystem', 's3']).optional(),
    '',
    'Blob store that `asset-service store move` goes to: filesystem (in ASSET_NEXT_DATA_DIR) or s3 (docs/moving.md). Every replica needs it during the move. By default none.',
  ),
  ASSET_NEXT_S3_ENDPOINT: option(
    http().optional(),
    '',
    'Address of the S3 server that a store move goes to. If it is not set, this setting, the public address, the region and ASSET_NEXT_S3_FORCE_PATH_STYLE are those of ASSET_S3_* where they are left out.',
  ),
  ASSET_NEXT_S3_PUBLIC_ENDPOINT: option(
    http().optional(),
    '',
    'Address at which browsers reach the S3 server that a store move goes to. By default ASSET_NEXT_S3_ENDPOINT.',
  ),
  ASSET_NEXT_S3_REGION: option(text().optional(), '', 'Region of the bucket that a store move goes to.'),
  ASSET_NEXT_S3_BUCKET: option(
    text().optional(),
    '',
    'Bucket that a store move goes to; it must exist and should be private. Required with ASSET_NEXT_STORE=s3.',
  ),
  ASSET_NEXT_S3_ACCESS_KEY_ID: option(
    text().optional(),
    '',
    'Access key for the bucket that a store move goes to. By default that of the AWS chain.',
  ),
  ASSET_NEXT_S3_SECRET_ACCESS_KEY: option(
    text().optional(),
    '',
    'Secret key that belongs to ASSET_NEXT_S3_ACCESS_KEY_ID.',
    true,
  ),
  ASSET_NEXT_S3_FORCE_PATH_STYLE: option(
    flag().optional(),
    '',
    'true puts the bucket into the path instead of the host name. By default true if an address is set.',
  ),
  ASSET_NEXT_S3_DUAL_STACK: option(flag().optional(), '', 'ASSET_S3_DUAL_STACK for a store move.'),
  ASSET_NEXT_S3_ACCELERATE: option(flag().optional(), '', 'ASSET_S3_ACCELERATE for a store move.'),
  ASSET_NEXT_S3_SSE: option(
    z.enum(['none', 'AES256', 'aws:kms']),
    'none',
    'Server-side encryption of the blobs in the bucket that a store move goes to.',
  ),
  ASSET_NEXT_S3_SSE_KMS_KEY_ID: option(
    text().optional(),
    '',
    'Key for ASSET_NEXT_S3_SSE=aws:kms; by default that of the bucket.',
  ),
} as const satisfies Record<string, Option>;

const DATA_DIR_MEANING =
  'Directory of the embedded catalog or store that a move goes to. By default ./data, like ASSET_DATA_DIR.';

/** The settings of the target of a catalog move: each of `options` with NEXT_ in front. */
export function nextOptions<Options extends Readonly<Record<string, Option>>>(options: Options) {
  const next = Object.entries(options).map(([name, { schema, default: text, secret }]) => [
    nextName(name),
    option(
      schema,
      text,
      name === 'ASSET_DATA_DIR' ? DATA_DIR_MEANING : `${name} of the catalog that a move goes to.`,
      secret,
    ),
  ]);
  return {
    ASSET_NEXT_CATALOG: option(
      z.enum(['sqlite', 'postgres', 'pocketbase']).optional(),
      '',
      'Catalog that `asset-service catalog move` goes to: sqlite, postgres or pocketbase. By default none.',
    ),
    ...(Object.fromEntries(next) as {
      readonly [Name in keyof Options as NextName<Name>]: Options[Name];
    }),
  };
}
