import { afterAll, beforeAll, describe } from '@jest/globals';
import type { Driver, OpenedStore } from './blob-store/driver.ts';
import { describeListing } from './blob-store/listing.ts';
import { describePartBlobs } from './blob-store/part-blobs.ts';
import { describeReading } from './blob-store/reading.ts';
import { describeSignedParts } from './blob-store/signed-parts.ts';
import { describeSignedUrls } from './blob-store/signed-urls.ts';
import { describeTrouble } from './blob-store/trouble.ts';
import { describeWholeBlobs } from './blob-store/whole-blobs.ts';
import { describeWriting } from './blob-store/writing.ts';

/**
 * Tests a driver against the contract in `src/storage/blob-store.ts`. A driver lists what it cannot do, with the
 * reason.
 */
export function describeBlobStore(driver: Driver): void {
  describe(`blob store ${driver.name}`, () => {
    let open: OpenedStore;
    const opened = () => open;

    beforeAll(async () => {
      open = await driver.open();
    });

    afterAll(async () => {
      await open.close();
    });

    describeWholeBlobs(driver, opened);
    describePartBlobs(driver, opened);
    describeListing(driver, opened);
    describeReading(opened);
    describeSignedUrls(driver, opened);
    describeSignedParts(driver, opened);
    describeWriting(driver, opened);
    describeTrouble(driver, opened);
  });
}
