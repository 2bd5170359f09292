import { z } from 'zod';
import { flag, http, option, text, type Option } from './option.ts';

/** Settings of the old system, whose files the service serves in place until they are moved. */
export const LEGACY_OPTIONS = {
  ASSET_LEGACY_S3_BUCKET: option(
    text().optional(),
    '',
    'Old bucket, whose files are served as they lie until they are moved (docs/migration.md). It must not be the bucket of the service. Whatever of the next six settings is left out is that of ASSET_S3_*.',
  ),
  ASSET_LEGACY_S3_ENDPOINT: option(http().optional(), '', 'Address of the S3 server of the old bucket.'),
  ASSET_LEGACY_S3_PUBLIC_ENDPOINT: option(
    http().optional(),
    '',
    'Address at which browsers reach the S3 server of the old bucket; URLs are signed for it. By default ASSET_LEGACY_S3_ENDPOINT, where that is set.',
  ),
  ASSET_LEGACY_S3_REGION: option(text().optional(), '', 'Region of the old bucket.'),
  ASSET_LEGACY_S3_ACCESS_KEY_ID: option(
    text().optional(),
    '',
    'Access key for the old bucket. By default that of the AWS chain.',
  ),
  ASSET_LEGACY_S3_SECRET_ACCESS_KEY: option(
    text().optional(),
    '',
    'Secret key that belongs to ASSET_LEGACY_S3_ACCESS_KEY_ID.',
    true,
  ),
  ASSET_LEGACY_S3_FORCE_PATH_STYLE: option(
    flag().optional(),
    '',
    'true to put the old bucket into the path instead of the host name.',
  ),
  ASSET_LEGACY_LAYOUTS: option(
    z.string().min(1),
    '{id}/{secure_name},{collection_id}/{id}/{file}',
    "Templates of the keys in the old bucket, separated by commas and tried in order: text, and the record's own fields in braces, hidden ones and file fields too, with collection_id and collection_name. Each has {id}. Callers do not see these fields.",
  ),
  ASSET_LEGACY_LINK_FIELD: option(
    z.string().regex(/^\w+$/, 'must be the name of a field').optional(),
    '',
    'Field of the record that may hold the path or the URL of its object in the old bucket. Callers do not see it. By default link, where the collection has such a field.',
  ),
} as const satisfies Record<string, Option>;
