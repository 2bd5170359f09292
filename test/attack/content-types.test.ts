import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Disposition } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clientOf, upload, urlOf, type AssetClient } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';

const SCRIPT = new Uint8Array(Buffer.from('alert(document.domain)'));
const JPEG = new Uint8Array(Buffer.from('ffd8ffe000104a46494600010100000100010000', 'hex'));

describe('a policy of content types', () => {
  let dir: string;
  let service: Service;
  let client: AssetClient;

  beforeAll(async () => {
    dir = await makeDir('content-types');
    const policies = {
      usages: { avatar: { contentTypes: ['image/*'] }, photo: { contentTypes: ['image/jpg'] } },
      default: {},
    };
    await writeFile(join(dir, 'policies.json'), JSON.stringify(policies));
    service = await startService({ ASSET_POLICY_FILE: join(dir, 'policies.json') });
    client = clientOf(service.url);
  });

  afterAll(async () => {
    await service?.dispose();
    await removeDir(dir);
  });

  const change = (id: string, file: { usage?: string; contentType?: string }) =>
    client.updateMetadata({ file: { id, ...file }, updateMask: { paths: Object.keys(file) } });

  it('is not evaded by a usage that is given later', async () => {
    const { id } = await upload(client, SCRIPT, { file: { contentType: 'image/png' } });
    for (const usage of ['avatar', 'photo']) {
      expect((await failureOf(change(id, { usage }))).code).toBe('INVALID_ARGUMENT');
      expect((await failureOf(change(id, { usage, contentType: 'image/jpeg' }))).code).toBe(
        'INVALID_ARGUMENT',
      );
    }
    expect((await client.getFile({ fileId: id })).file?.usage).toBe('');
  });

  it('is not evaded by a subtype that nobody knows', async () => {
    const sent = upload(client, SCRIPT, { file: { usage: 'avatar', contentType: 'image/x-mine' } });
    expect(await failureOf(sent)).toMatchObject({ reason: 'CONTENT_TYPE_MISMATCH' });
  });

  it.each(['image/jpg', 'image/pjpeg', 'application/octet-stream', ''])(
    'takes a photo that is called %j, and shows it',
    async (contentType) => {
      for (const usage of ['avatar', 'photo']) {
        const file = await upload(client, JPEG, { file: { usage, contentType } });
        expect(file.contentType).toBe('image/jpeg');
        const answer = await fetch(await urlOf(client, file.id, { disposition: Disposition.INLINE }));
        expect(answer.headers.get('content-type')).toBe('image/jpeg');
        expect(answer.headers.get('content-disposition')).toMatch(/^inline/);
      }
    },
  );

  it('records the type of the bytes when a usage is set later', async () => {
    const { id, etag } = await upload(client, JPEG, { file: { contentType: 'image/x-mine' } });
    const { file: changed } = await change(id, { usage: 'avatar' });
    expect(changed).toMatchObject({ usage: 'avatar', contentType: 'image/jpeg' });
    expect(changed?.etag).not.toBe(etag);
  });
});
