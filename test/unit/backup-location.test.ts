import { describe, expect, it } from '@jest/globals';
import { backupLocation } from '../../src/config/backup.ts';
import { loadConfig } from '../../src/config/config.ts';

const S3 = {
  ...{ ASSET_STORE: 's3', ASSET_S3_BUCKET: 'files', ASSET_S3_ENDPOINT: 'http://localhost:8333' },
  ...{ ASSET_S3_REGION: 'eu', ASSET_S3_FORCE_PATH_STYLE: 'false' },
};
const OWN = {
  ...{ ASSET_BACKUP_S3_ENDPOINT: 'https://other', ASSET_BACKUP_S3_REGION: 'us' },
  ...{ ASSET_BACKUP_S3_ACCESS_KEY_ID: 'key', ASSET_BACKUP_S3_SECRET_ACCESS_KEY: 'secret' },
};

describe('the location of backups', () => {
  const locationOf = (where: string, env: Readonly<Record<string, string>> = {}) =>
    backupLocation(where, loadConfig({ ASSET_DATA_DIR: '/srv/data', ...env }));

  it.each(['/mnt/backups', 'file:///mnt/backups', '/mnt/other/../backups/'])(
    'is the directory of %s',
    (where) => {
      expect(locationOf(where)).toEqual({ kind: 'directory', path: '/mnt/backups' });
    },
  );

  it('is a bucket on the server of the service', () => {
    const s3 = { bucket: 'b', endpoint: 'http://localhost:8333', region: 'eu', forcePathStyle: false };
    expect(locationOf('s3://b', S3)).toEqual({ kind: 's3', s3, prefix: '' });
    expect(locationOf('s3://b/x/y/', S3)).toEqual({ kind: 's3', s3, prefix: 'x/y/' });
  });

  it('is a bucket on a server of its own, with keys of its own', () => {
    const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' };
    const s3 = {
      bucket: 'files',
      endpoint: 'https://other',
      region: 'us',
      forcePathStyle: true,
      credentials,
    };
    expect(locationOf('s3://files/x', { ...S3, ...OWN })).toEqual({ kind: 's3', s3, prefix: 'x/' });
  });

  it.each([
    ['/srv/data', {}, 'is in ASSET_DATA_DIR'],
    ['/srv/data/blobs', {}, 'is in ASSET_DATA_DIR'],
    ['s3://files/backups', S3, 's3://files is the bucket of the service (ASSET_S3_BUCKET)'],
    [
      's3://files/backups',
      { ...S3, ASSET_BACKUP_S3_ENDPOINT: 'http://127.0.0.1:8333' },
      'is the bucket of the service',
    ],
    ['s3://', {}, 'give s3://BUCKET/PREFIX'],
    ['s3://b/../x', {}, 'give s3://BUCKET/PREFIX'],
    ['s3://b/Upper', {}, 'a prefix has the characters'],
    ['gs://b/x', {}, 'gs:// is no place for backups'],
  ])('is not %s', (where, env, why) => {
    expect(() => locationOf(where, env)).toThrow(why);
  });

  it.each([
    ['ASSET_BACKUP_S3_ACCESS_KEY_ID', 'ASSET_BACKUP_S3_SECRET_ACCESS_KEY'],
    ['ASSET_BACKUP_S3_SECRET_ACCESS_KEY', 'ASSET_BACKUP_S3_ACCESS_KEY_ID'],
  ])('needs both keys: %s is not enough', (given, missing) => {
    expect(() => locationOf('s3://b', { [given]: 'x' })).toThrow(`${missing}: is required with ${given}`);
  });

  it('may be beside the data of a service that keeps nothing there', () => {
    const env = { ...S3, ASSET_CATALOG: 'postgres', ASSET_POSTGRES_URL: 'postgres://h/d' };
    expect(locationOf('/srv/data/backups', env)).toMatchObject({ kind: 'directory' });
  });
});
