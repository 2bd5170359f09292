import { describe, expect, it } from '@jest/globals';
import { loadConfig } from '../../../src/config/config.ts';
import { explained, REPEAT } from '../../../src/cli/configuration.ts';
import { namingOldBucket } from '../../../src/legacy/check.ts';
import { S3Failure, toStoreError } from '../../../src/storage/s3/failures.ts';

const config = loadConfig({
  ...{ ASSET_STORE: 's3', ASSET_S3_BUCKET: 'files', AWS_ACCESS_KEY_ID: 'k', AWS_SECRET_ACCESS_KEY: 's' },
  ...{ ASSET_LEGACY_S3_BUCKET: 'public-files', ASSET_LEGACY_S3_ACCESS_KEY_ID: 'old' },
  ASSET_LEGACY_S3_SECRET_ACCESS_KEY: 'secret',
});

const answer = (code: string) => `<Error><Code>${code}</Code><Message>no</Message></Error>`;

/** What an operator reads of a step that fails with such an answer of a store. */
async function told(status: number, body: string, isOld: boolean): Promise<string> {
  const part = { read: () => Promise.reject(toStoreError(new S3Failure(status, body))) };
  const work = () => (isOld ? namingOldBucket(part) : part).read();
  return explained(config, work, REPEAT).then(
    () => '',
    (error: unknown) => (error as Error).message,
  );
}

describe('the failure of a store in a step of a move', () => {
  it('names the store, and says to repeat the command', async () => {
    expect(await told(503, '', true)).toMatch(/^the old bucket failed: .*HTTP 503.*repeat the command/);
    expect(await told(503, '', false)).toMatch(/^the store failed: .*HTTP 503.*repeat the command/);
  });

  it('names the settings of the bucket that refuses', async () => {
    const denied = answer('AccessDenied');
    expect(await told(403, denied, true)).toMatch(/^ASSET_LEGACY_S3_ACCESS_KEY_ID, ASSET_LEGACY_S3_BUCKET: /);
    expect(await told(403, denied, false)).toMatch(/^AWS_ACCESS_KEY_ID, ASSET_S3_BUCKET: /);
  });

  it('names a wrong clock', async () => {
    expect(await told(403, answer('RequestTimeTooSkewed'), false)).toMatch(/the clock of this machine/);
  });
});
