import { describe, it } from '@jest/globals';
import { sharedVersityGW } from '../support/shared-servers.ts';
import { openS3 } from './blob-store/s3-driver.ts';
import { describeBlobStore } from './blob-store.suite.ts';

const versitygw = sharedVersityGW();

if ('missing' in versitygw) {
  describe('blob store S3 on VersityGW', () => {
    it.skip(`not run: ${versitygw.missing}`, () => undefined);
  });
} else {
  describeBlobStore({
    name: 'S3 on VersityGW',
    open: () => openS3(versitygw),
    exceptions: {
      'head-by-signed-url': 'the method is part of the signature of an S3',
      'refuses-broken-parts': 'it stores them at the size that was said; only a checksum tells',
      'streamed-parts': 'an S3 asks for the length beforehand',
      'nested-keys': 'it keeps keys as paths of files',
      'long-segments': 'it keeps segments as names of files',
    },
    partSizeBytes: 5 * 1024 * 1024,
  });
}
