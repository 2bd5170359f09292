import { openS3 } from './blob-store/s3-driver.ts';
import { describeBlobStore } from './blob-store.suite.ts';
import { sharedS3 } from '../support/shared-servers.ts';

describeBlobStore({
  name: 'S3 on SeaweedFS',
  open: () => openS3(sharedS3()),
  exceptions: {
    'head-by-signed-url': 'the method is part of the signature of an S3',
    'streamed-parts': 'an S3 asks for the length beforehand',
    'one-completion':
      'it looks whether the key is taken, and puts the parts together later: of two that race, now and then both are ' +
      'answered as made, and the last one stays',
    'long-segments': 'it keeps segments as names of files',
  },
  partSizeBytes: 5 * 1024 * 1024,
});
