import { resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isBlobKey } from '../storage/blob.ts';
import type { Config } from './config.ts';
import { isSameServer } from './legacy.ts';
import type { S3Config } from './s3.ts';
import { SettingsError } from './settings.ts';

/** Why an argument is no location of backups. */
export class BackupLocationError extends Error {}

/** Where backups are. */
export type BackupLocation =
  | { readonly kind: 'directory'; readonly path: string }
  | {
      readonly kind: 's3';
      readonly s3: S3Config & { readonly credentials?: { accessKeyId: string; secretAccessKey: string } };
      /** Start of all keys; empty, or ends with a slash. */
      readonly prefix: string;
    };

/**
 * The location in an argument of the command line: the path or `file:` URL of a directory, or s3://BUCKET/PREFIX.
 *
 * @throws BackupLocationError if it cannot have backups of this service, SettingsError if the settings for it are wrong
 */
export function backupLocation(argument: string, config: Config): BackupLocation {
  const [, scheme] = /^([a-z][a-z0-9+.-]+):\/\//i.exec(argument) ?? [];
  if (scheme?.toLowerCase() === 's3') return bucketLocation(argument, config);
  if (scheme !== undefined && scheme.toLowerCase() !== 'file') {
    throw new BackupLocationError(
      `${scheme}:// is no place for backups: give a directory, or s3://BUCKET/PREFIX`,
    );
  }
  const path = resolve(scheme === undefined ? argument : fileURLToPath(argument));
  const isEmbedded = config.store.kind === 'filesystem' || config.catalog.kind === 'sqlite';
  const own = resolve(config.settings.ASSET_DATA_DIR);
  if (isEmbedded && `${path}${sep}`.startsWith(`${own}${sep}`)) {
    throw new BackupLocationError(
      `${path} is in ASSET_DATA_DIR: a backup there is lost with the files. Give another directory`,
    );
  }
  return { kind: 'directory', path };
}

function bucketLocation(argument: string, { settings, store }: Config): BackupLocation {
  const [, bucket, path = ''] = /^s3:\/\/([^/]+)(?:\/(.*))?$/i.exec(argument) ?? [];
  const prefix = path.replace(/\/$/, '');
  if (bucket === undefined || (prefix !== '' && !isBlobKey(prefix))) {
    throw new BackupLocationError(
      `${argument} is no place for backups: give s3://BUCKET/PREFIX; a prefix has the characters a-z, 0-9, ".", "_", "-" and "/"`,
    );
  }
  const own = settings.ASSET_BACKUP_S3_ENDPOINT;
  const endpoint = own ?? settings.ASSET_S3_ENDPOINT;
  const s3 = {
    bucket,
    ...(endpoint !== undefined && { endpoint }),
    region: settings.ASSET_BACKUP_S3_REGION ?? settings.ASSET_S3_REGION,
    forcePathStyle:
      settings.ASSET_BACKUP_S3_FORCE_PATH_STYLE ??
      (own === undefined ? settings.ASSET_S3_FORCE_PATH_STYLE : undefined) ??
      endpoint !== undefined,
    ...credentials(settings),
  };
  if (store.kind === 's3' && store.s3.bucket === bucket && isSameServer(store.s3, s3)) {
    throw new BackupLocationError(
      `s3://${bucket} is the bucket of the service (ASSET_S3_BUCKET): a backup there is lost with the files. Give another bucket`,
    );
  }
  return { kind: 's3', s3, prefix: prefix === '' ? '' : `${prefix}/` };
}

function credentials(settings: Config['settings']) {
  const accessKeyId = settings.ASSET_BACKUP_S3_ACCESS_KEY_ID;
  const secretAccessKey = settings.ASSET_BACKUP_S3_SECRET_ACCESS_KEY;
  if (accessKeyId !== undefined && secretAccessKey !== undefined)
    return { credentials: { accessKeyId, secretAccessKey } };
  if (accessKeyId === secretAccessKey) return {};
  const [missing, given] = [
    `ASSET_BACKUP_S3_${accessKeyId === undefined ? 'ACCESS_KEY_ID' : 'SECRET_ACCESS_KEY'}`,
    `ASSET_BACKUP_S3_${accessKeyId === undefined ? 'SECRET_ACCESS_KEY' : 'ACCESS_KEY_ID'}`,
  ];
  throw new SettingsError([`${missing}: is required with ${given}`]);
}
