import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LEGACY_VIEWS } from '../support/legacy/collections.ts';
import { startLegacySystem, type LegacySystem } from '../support/legacy/system.ts';

/** The legacy system that the tests of the move start from is what old systems are. */
describe('the legacy system of the tests', () => {
  let legacy: LegacySystem;

  beforeAll(async () => {
    legacy = await startLegacySystem({ size: 24 });
  });
  afterAll(() => legacy?.dispose());

  it('lets its BFF and its worker read and write', async () => {
    for (const program of [legacy.bff, legacy.worker]) {
      const content = Buffer.from('written past the service');
      expect(await program.read(await program.write('new file.txt', content))).toEqual(content);
    }
    const whole = legacy.files.filter(({ damage, way }) => damage === undefined && way === 'bff');
    const read = await Promise.all(whole.map(({ id }) => legacy.bff.read(id)));
    expect(whole.filter(({ content }, index) => !content.equals(read[index]!))).toEqual([]);
    await expect(legacy.bff.read(legacy.file('missing').id)).rejects.toThrow('404');
  });

  it('has a bucket that everybody may read and list, in both layouts, with thumbs', async () => {
    const listed = await legacy.bucket.client.send(
      new ListObjectsV2Command({ Bucket: legacy.bucket.bucket }),
    );
    const keys = (listed.Contents ?? []).map(({ Key }) => Key!);
    expect(keys).toEqual(expect.arrayContaining([legacy.file('empty').key, ...legacy.orphans]));
    const picture = legacy.files.find(({ way }) => way === 'pocketbase')!;
    expect(keys).toContain(picture.key);
    expect(
      keys.some((key) => key.includes('/thumbs_') && key.startsWith(`${legacy.collectionId}/${picture.id}/`)),
    ).toBe(true);
    expect((await fetch(legacy.bucket.publicUrl(picture.key))).status).toBe(200);
    expect((await fetch(`${legacy.bucket.endpoint}/${legacy.bucket.bucket}/?list-type=2`)).status).toBe(200);
  });

  it('has a record that PocketBase refuses to change, and views over its files', async () => {
    const { id } = legacy.file('broken-relation');
    await expect(legacy.admin.collection('files').update(id, { title: 'new' })).rejects.toMatchObject({
      status: 400,
    });
    for (const view of LEGACY_VIEWS) {
      expect((await legacy.admin.collection(view).getList(1, 1)).totalItems).toBeGreaterThan(0);
    }
  });
});
