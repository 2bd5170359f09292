import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type PocketBase from 'pocketbase';
import { adminOf } from '../conformance/file-catalog/pocketbase-admin.ts';
import { eventually } from '../support/eventually.ts';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { startService, waitForHealth, type Service } from '../support/service.ts';
import { clientOf, randomContent, upload, type AssetClient } from './support/calls.ts';
import { failureOf } from './support/failures.ts';
import { POCKETBASE, type Setup } from './support/setups.ts';

const TEXT = 'Accounting has closed this month';

/** Hooks that refuse by name; that of changes goes by the name before. */
const HOOKS = `
onRecordCreateRequest((e) => {
  if (e.record.getString('name') === 'new.txt') throw new ApiError(409, '${TEXT}');
  if (e.record.getString('name') === 'busy.txt') throw new TooManyRequestsError('Busy');
  e.next();
}, 'files');
onRecordUpdateRequest((e) => {
  if (e.record.original().getString('name') === 'closed.txt') throw new ForbiddenError('${TEXT}');
  e.next();
}, 'files');
`;

describe('a PocketBase that refuses or changes', () => {
  let pocketbase: PocketBaseServer;
  let admin: PocketBase;
  let setup: Setup;
  let service: Service;
  let client: AssetClient;
  const content = randomContent(2_000);

  beforeAll(async () => {
    pocketbase = await startPocketBase({ hooks: HOOKS });
    admin = await adminOf(pocketbase);
    setup = await POCKETBASE.open({ pocketbase });
    // Where the service stands must not change what a time is.
    service = await startService({ ...setup.env, ASSET_HEALTH_INTERVAL: '1', TZ: 'America/New_York' });
    client = clientOf(service.url);
    const { fields } = await admin.collections.getOne('files');
    await admin.collections.update('files', { fields: [...fields, { name: 'taken', type: 'date' }] });
  });

  afterAll(async () => {
    await service?.dispose();
    await pocketbase?.dispose();
  });

  let before: string[];
  beforeEach(async () => void (before = await setup.blobs()));

  const refused = { code: 'INVALID_ARGUMENT', reason: 'CATALOG_REFUSED', retryMs: undefined };
  const linesOf = (text: string) => service.logLines().filter((line) => JSON.stringify(line).includes(text));

  it('has an upload refused at once, with the text in the log and nothing stored', async () => {
    const lines = linesOf(TEXT).length;
    const failure = await failureOf(upload(client, content, { file: { name: 'new.txt' } }));
    expect(failure).toMatchObject(refused);
    expect(failure.message).not.toContain(TEXT);
    await eventually(() => expect(linesOf(TEXT)).toHaveLength(lines + 1));
    expect(linesOf(TEXT).at(-1)).toMatchObject({ level: 40, rpc: 'Upload', code: 'INVALID_ARGUMENT' });

    const uploadSpec = { file: { name: 'new.txt' }, sizeBytes: BigInt(content.length) };
    const { uploadId } = await client.startUpload({ uploadSpec });
    async function* messages() {
      yield { firstMessage: { case: 'uploadId', value: uploadId } as const };
      yield { writeOffset: 0n, data: { content }, finishWrite: true };
    }
    expect(await failureOf(client.upload(messages()))).toMatchObject(refused);
    expect(await failureOf(client.getUpload({ uploadId }))).toMatchObject({ reason: 'UPLOAD_NOT_FOUND' });
    expect(await setup.blobs()).toEqual(before);
  });

  it('has a change, a delete and an undelete refused', async () => {
    const { id, etag } = await upload(client, content, { file: { name: 'closed.txt' } });
    const change = { file: { id, name: 'b.txt' }, updateMask: { paths: ['name'] } };
    expect(await failureOf(client.updateMetadata(change))).toMatchObject(refused);
    expect(await failureOf(client.deleteFile({ fileId: id }))).toMatchObject(refused);
    expect((await client.getFile({ fileId: id })).file?.etag).toBe(etag);
    await admin
      .collection('files')
      .update(id, { name: 'open.txt' })
      .catch(() => undefined);
    const deleted = await upload(client, content, { file: { name: 'open.txt' } });
    await client.deleteFile({ fileId: deleted.id });
    await admin.collection('files').update(deleted.id, { name: 'closed.txt' });
    expect(await failureOf(client.undeleteFile({ fileId: deleted.id }))).toMatchObject(refused);
  });

  it('is told to try again where a hook is busy', async () => {
    expect(await failureOf(upload(client, content, { file: { name: 'busy.txt' } }))).toMatchObject({
      ...{ code: 'UNAVAILABLE', reason: 'CATALOG_UNAVAILABLE', retryMs: 1_000 },
    });
  });

  it('refuses a time that would be kept as another', async () => {
    const taking = (taken: string) => upload(client, content, { file: { attributes: { taken } } });
    for (const text of ['2024-02-30T00:00:00Z', 'Invoice 5', '2026-01-02', '2026-01-02T03:04:05']) {
      const failure = await failureOf(taking(text));
      expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', metadata: { attribute: 'taken' } });
      expect(failure.message).toContain('2026-01-02T03:04:05.678Z');
    }
    expect(await setup.blobs()).toEqual(before);
    const { attributes } = await taking('2026-01-02T03:04:05.5+01:00');
    expect(attributes).toMatchObject({ taken: '2026-01-02 02:04:05.500Z' });
  });

  it('is NOT_SERVING while a field is gone, names it in the log, and recovers by itself', async () => {
    const { id } = await upload(client, content, { file: { name: 'a.txt' }, requestId: 'before' });
    const rename = async (from: string, to: string) => {
      const { fields } = await admin.collections.getOne('files');
      const renamed = fields.map((field: { name: string }) =>
        field.name === from ? { ...field, name: to } : field,
      );
      await admin.collections.update('files', { fields: renamed });
    };
    const down = { code: 'UNAVAILABLE', reason: 'CATALOG_UNAVAILABLE' };
    await rename('sha256', 'digest');
    expect(await failureOf(upload(client, content, { requestId: 'again' }))).toMatchObject(down);
    expect(await failureOf(client.deleteFile({ fileId: id }))).toMatchObject(down);
    expect(await failureOf(client.getFile({ fileId: id }))).toMatchObject(down);
    await waitForHealth(service.url, 'NOT_SERVING');
    const named = linesOf('collection \\"files\\" of PocketBase has no field \\"sha256\\"');
    expect(named.filter(({ dependency }) => dependency === 'catalog')).not.toEqual([]);

    await rename('digest', 'sha256');
    await waitForHealth(service.url, 'SERVING');
    const first = await upload(client, content, { requestId: 'again' });
    expect((await upload(client, content, { requestId: 'again' })).id).toBe(first.id);
    const { items } = await admin.collection('files').getList(1, 50, { filter: 'name=""' });
    expect(items.map((item) => item.id)).toContain(first.id);
    await client.deleteFile({ fileId: id });
  });
});
