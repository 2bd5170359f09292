import { flag, http, option, text, type Option } from './option.ts';

/** The settings of backups in a bucket. */
export const BACKUP_OPTIONS = {
  ASSET_BACKUP_S3_ENDPOINT: option(
    http().optional(),
    '',
    'Address of the S3 server for `asset-service backup` and `restore` with s3://BUCKET/PREFIX (docs/backup.md). If it is not set, this setting and the next two are those of ASSET_S3_*.',
  ),
  ASSET_BACKUP_S3_REGION: option(text().optional(), '', 'Region of the bucket with the backups.'),
  ASSET_BACKUP_S3_FORCE_PATH_STYLE: option(
    flag().optional(),
    '',
    'true puts the bucket with the backups into the path instead of the host name. By default true if the address is set.',
  ),
  ASSET_BACKUP_S3_ACCESS_KEY_ID: option(
    text().optional(),
    '',
    'Access key for the bucket with the backups. By default that of the AWS chain.',
  ),
  ASSET_BACKUP_S3_SECRET_ACCESS_KEY: option(
    text().optional(),
    '',
    'Secret key that belongs to ASSET_BACKUP_S3_ACCESS_KEY_ID.',
    true,
  ),
} as const satisfies Record<string, Option>;
