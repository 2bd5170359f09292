import {
  CreateBucketCommand,
  GetPublicAccessBlockCommand,
  PutBucketAclCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { S3BucketAccess } from '../../src/storage/s3/bucket-access.ts';
import { BUCKET_SETTINGS, type BucketSetting } from '../../src/storage/bucket-access.ts';
import type { S3Address } from '../support/seaweedfs.ts';
import { sharedS3, sharedVersityGW } from '../support/shared-servers.ts';

/** An S3 with bucket ACLs and a public access block, such as moto; it need not enforce them. */
const OTHER = process.env['ASSET_TEST_OTHER_S3_ENDPOINT'];

const other = (): S3Address => ({
  ...{ endpoint: OTHER!, region: 'us-east-1', accessKeyId: 'test', secretAccessKey: 'test' },
});

suite('SeaweedFS', sharedS3, ['policy']);
const versity = sharedVersityGW();
if ('missing' in versity) it.skip(`VersityGW (${versity.missing})`, () => undefined);
else suite('VersityGW', () => versity, ['policy']);
if (OTHER === undefined) {
  it.skip('another S3 with ACLs and a public access block (ASSET_TEST_OTHER_S3_ENDPOINT is not set)', () =>
    undefined);
} else {
  suite('another S3', other, BUCKET_SETTINGS);
}

function suite(name: string, address: () => S3Address, known: readonly BucketSetting[]): void {
  describe(`the access to a bucket of ${name}`, () => {
    const bucket = `access-${randomBytes(6).toString('hex')}`;
    let client: S3Client;
    let access: S3BucketAccess;

    beforeAll(async () => {
      const { endpoint, region, ...credentials } = address();
      const options = { endpoint, region, credentials, forcePathStyle: true };
      client = new S3Client(options);
      await client.send(new CreateBucketCommand({ Bucket: bucket }));
      access = new S3BucketAccess({ ...options, bucket });
    });
    afterAll(() => {
      client?.destroy();
      access?.close();
    });

    const publicPolicy = JSON.stringify({
      Version: '2012-10-17',
      Statement: [
        {
          ...{ Sid: 'everybody', Effect: 'Allow', Principal: '*', Action: ['s3:GetObject'] },
          Resource: [`arn:aws:s3:::${bucket}/*`],
        },
      ],
    });

    it('reads, closes and restores every setting that the store knows', async () => {
      if (known.includes('acl'))
        await client.send(new PutBucketAclCommand({ Bucket: bucket, ACL: 'public-read' }));
      await access.write('policy', publicPolicy);
      const before = new Map<BucketSetting, string | null>();
      for (const setting of BUCKET_SETTINGS) {
        const value = await access.read(setting);
        if (!known.includes(setting)) continue;
        expect([setting, value]).toEqual([
          setting,
          setting === 'public-access-block' ? null : expect.any(String),
        ]);
        before.set(setting, value!);
      }
      for (const [setting, value] of before) {
        const closed = access.closed(setting, value);
        expect(access.isSame(setting, value, closed)).toBe(false);
        await access.write(setting, closed);
        expect(access.isSame(setting, (await access.read(setting))!, closed)).toBe(true);
        // Nothing is left to close.
        expect(access.isSame(setting, access.closed(setting, closed), closed)).toBe(true);
      }
      for (const [setting, value] of [...before].toReversed()) {
        await access.write(setting, value);
        expect(access.isSame(setting, (await access.read(setting))!, value)).toBe(true);
      }
    });

    if (!known.includes('public-access-block')) return;
    it('blocks all four ways of public access', async () => {
      await access.write('public-access-block', access.closed('public-access-block', null));
      const { PublicAccessBlockConfiguration } = await client.send(
        new GetPublicAccessBlockCommand({ Bucket: bucket }),
      );
      expect(PublicAccessBlockConfiguration).toEqual({
        ...{
          BlockPublicAcls: true,
          IgnorePublicAcls: true,
          BlockPublicPolicy: true,
          RestrictPublicBuckets: true,
        },
      });
    });
  });
}
