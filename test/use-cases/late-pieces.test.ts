import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { download, randomContent, type AssetClient } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { eventually } from '../support/eventually.ts';
import { openHouse, type House } from './support/house.ts';

describe('a piece that the store writes after its upload has become a file', () => {
  let house: House;
  let client: AssetClient;

  beforeAll(async () => {
    house = await openHouse({ env: { ASSET_RESERVATION_TTL: '1' } });
    client = house.client;
  });

  afterAll(() => house?.close());

  it('is removed after the grace time, and the file stays', async () => {
    const content = randomContent(3_000);
    const { uploadId } = await client.startUpload({ uploadSpec: { sizeBytes: 3_000n } });
    const send = (from: number, to: number) =>
      client.uploadChunk({
        ...{ uploadId, writeOffset: BigInt(from), data: { content: content.subarray(from, to) } },
        finishWrite: to === content.length,
      });
    await send(0, 1_000);
    const [piece] = (await house.blobPaths()).filter((path) => path.includes(uploadId));
    const late = await readFile(piece!);

    // The store fails, without telling whether it will write this piece.
    const dir = dirname(piece!);
    await rename(dir, `${dir}.away`);
    await writeFile(dir, '');
    expect((await failureOf(send(1_000, 2_000))).code).toBe('UNAVAILABLE');
    await rm(dir);
    await rename(`${dir}.away`, dir);

    await send(1_000, 2_000);
    const { writeStatus } = await send(2_000, 3_000);
    expect(writeStatus.case).toBe('file');
    expect(existsSync(piece!)).toBe(false);
    await mkdir(dir, { recursive: true });
    await writeFile(piece!, late);

    await eventually(async () => {
      await house.sweep();
      expect(existsSync(piece!)).toBe(false);
    });
    expect((await download(client, uploadId)).content.equals(content)).toBe(true);
  });
});
