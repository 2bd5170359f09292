import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { startService, type Service } from '../support/service.ts';
import { clientOf, randomContent, upload, type AssetClient } from '../e2e/support/calls.ts';
import { failureOf, type Failure } from '../e2e/support/failures.ts';
import { EMBEDDED, POCKETBASE, POSTGRES, type Setup } from '../e2e/support/setups.ts';

/** Counts the logins of superusers. */
const HOOKS = `
onRecordAuthWithPasswordRequest((e) => { $app.store().set('logins', ($app.store().get('logins') || 0) + 1); e.next(); }, '_superusers');
routerAdd('GET', '/logins', (e) => e.json(200, { logins: $app.store().get('logins') || 0 }));
`;

/** Texts whose characters are long or special in a query. */
const HOSTILE: Record<string, string> = {
  quotes: '"',
  apostrophes: "'",
  backslashes: '\\',
  kanji: '漢',
  emoji: '😀',
  NUL: '\0',
  'half a surrogate pair': '\ud800',
  'line ends': '\r\n',
  percent: '%',
  parentheses: '(',
};

/** What a caller must not be able to cause: an outage, a fault, or a retry. */
const FAULTS = /^(UNAVAILABLE|INTERNAL|UNKNOWN|DEADLINE_EXCEEDED|DATA_LOSS)$/;

describe.each([EMBEDDED, POCKETBASE, POSTGRES])('nothing that a caller sends is an outage: $name', (kind) => {
  let pocketbase: PocketBaseServer | undefined;
  let setup: Setup;
  let service: Service;
  let client: AssetClient;
  let logins: number;

  const countLogins = async () =>
    pocketbase ? ((await (await fetch(`${pocketbase.url}/logins`)).json()) as { logins: number }).logins : 0;

  beforeAll(async () => {
    if (kind === POCKETBASE) pocketbase = await startPocketBase({ hooks: HOOKS });
    setup = await kind.open({ ...(pocketbase && { pocketbase }) });
    service = await startService(setup.env);
    client = clientOf(service.url);
    logins = await countLogins();
  });

  afterAll(async () => {
    await service?.dispose();
    await setup?.dispose();
    await pocketbase?.dispose();
  });

  /** The outcome of a call: `ok`, or an error that is not a fault. */
  async function harmless(call: Promise<unknown>): Promise<'ok' | Failure> {
    const result = await call.then(
      () => 'ok' as const,
      (error: unknown) => failureOf(Promise.reject(error)),
    );
    if (result === 'ok') return result;
    expect(result.code).not.toMatch(FAULTS);
    expect(result.retryMs).toBeUndefined();
    return result;
  }

  /** The same in JSON, which accepts texts that Protobuf does not. */
  async function harmlessJson(method: string, message: object): Promise<void> {
    const answer = await fetch(`${service.url}/asset.v1.AssetService/${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(message),
    });
    expect([200, 400, 404, 409]).toContain(answer.status);
    expect(await answer.text()).not.toMatch(/unavailable|"internal"|"unknown"|deadline/i);
  }

  it.each(Object.entries(HOSTILE))('filters and ids of %s', async (_, character) => {
    const full = (length: number) => character.repeat(length).slice(0, length * 2);
    const relation = { name: 'project', id: full(255) };
    const filters = [
      { owner: full(255) },
      { usage: full(128) },
      { relation },
      { contentType: full(255) },
      { contentType: `image/${full(240)}` },
      { contentType: `${full(100)}/*` },
      { owner: full(255), usage: full(128), relation, contentType: `image/${'x'.repeat(240)}` },
    ];
    for (const filter of filters) {
      await harmless(client.listFiles({ filter }));
      await harmlessJson('ListFiles', { filter });
    }
    const ids = Array.from({ length: 100 }, (_, i) => `${i}${full(60)}`);
    await harmless(client.batchGetFiles({ fileIds: ids }));
    await harmlessJson('BatchGetFiles', { fileIds: ids });
    const [fileId, uploadId] = [full(64), full(64)];
    for (const method of ['GetFile', 'DeleteFile', 'UndeleteFile', 'GetFileUrl']) {
      await harmlessJson(method, { fileId });
    }
    for (const method of ['GetUpload', 'CancelUpload', 'CompleteUpload']) {
      await harmlessJson(method, { uploadId });
    }
  });

  it('invented page tokens', async () => {
    for (let i = 0; i < 2; i++) await upload(client, randomContent(10));
    const { nextPageToken } = await client.listFiles({ pageSize: 1 });
    const token = JSON.parse(Buffer.from(nextPageToken, 'base64url').toString()) as [number, string, string];
    const [time, id, hash] = token;
    const forged: unknown[] = Object.values(HOSTILE).map((character) => [time, character.repeat(32), hash]);
    forged.push(
      [8.64e15, id, hash],
      [253_402_300_800_000, id, hash],
      [-1, id, hash],
      [0, id, hash],
      [1e300, id, hash],
    );
    forged.push([time, '漢'.repeat(64), hash], [time, `${id}\0`, hash], [time, { $gt: '' }, hash]);
    for (const one of forged) {
      const pageToken = Buffer.from(JSON.stringify(one)).toString('base64url');
      const result = await harmless(client.listFiles({ pageSize: 1, pageToken }));
      if (result !== 'ok') expect(result.reason).toBe('PAGE_TOKEN_INVALID');
    }
    expect((await client.listFiles({ pageSize: 1, pageToken: nextPageToken })).files).toHaveLength(1);
  });

  it('times outside the range of Timestamp', async () => {
    const most = 2n ** 63n - 1n;
    for (const seconds of [most, -most, 253_402_300_800n, -62_135_596_801n]) {
      for (const name of ['createTimeFrom', 'createTimeTo'] as const) {
        const result = await harmless(client.listFiles({ filter: { [name]: { seconds, nanos: 0 } } }));
        expect(result).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' });
      }
    }
    for (const nanos of [-1, 1_000_000_000]) {
      const filter = { createTimeFrom: { seconds: 0n, nanos } };
      expect(await harmless(client.listFiles({ filter }))).toMatchObject({ reason: 'FIELD_INVALID' });
    }
    const ends = {
      createTimeFrom: { seconds: -62_135_596_800n },
      createTimeTo: { seconds: 253_402_300_799n },
    };
    expect((await client.listFiles({ filter: ends })).files.length).toBeGreaterThan(0);
  });

  it('invalid content types', async () => {
    const { id } = await upload(client, randomContent(10), { file: { contentType: 'x/y; a="b c"' } });
    const types = [
      ...['text/plain\r\nx-evil: 1', 'text/plain\n', 'text/plain\0', 'text', '/', 'text/', 'te xt/plain'],
      ...[
        'text/plain; a="\r\n"',
        'text/plain\r\n; a=b',
        'text/plain\n;',
        'text/plain\v; a=b',
        'text/plain\u2028; a=b',
      ],
      ...['bild/Übung', 'text/plain; a=Ü', `image/png${'; '.repeat(100)}\n`],
    ];
    for (const contentType of types) {
      const invalid = { code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' };
      expect(await harmless(upload(client, randomContent(10), { file: { contentType } }))).toMatchObject(
        invalid,
      );
      expect(await harmless(client.startUpload({ uploadSpec: { file: { contentType } } }))).toMatchObject(
        invalid,
      );
      const change = { file: { id, contentType }, updateMask: { paths: ['content_type'] } };
      expect(await harmless(client.updateMetadata(change))).toMatchObject(invalid);
    }
    expect((await client.getFile({ fileId: id })).file?.contentType).toBe('x/y; a="b c"');
  });

  it('descriptions of hostile text', async () => {
    const { id } = await upload(client, randomContent(10));
    for (const character of Object.values(HOSTILE)) {
      const text = (length: number) => character.repeat(length).slice(0, length * 2);
      const files = [
        { owner: text(255) },
        { usage: text(128) },
        { attributes: { title: text(200), [text(20)]: 1 } },
        { attributes: { extra: { [text(20)]: [text(20)] } } },
        { relations: { project: { ids: [text(255)] } } },
      ];
      for (const file of files) {
        await harmless(upload(client, randomContent(10), { file, requestId: '' }));
        const [path] = Object.keys(file);
        await harmlessJson('UpdateMetadata', { file: { id, ...file }, updateMask: path });
      }
      await harmlessJson('UpdateMetadata', { file: { id, name: 'a' }, etag: text(60), updateMask: 'name' });
      await harmlessJson('StartUpload', { uploadSpec: { file: { name: 'a' }, requestId: text(60) } });
    }
  });

  it('makes no service log in again', async () => {
    expect(await countLogins()).toBe(logins);
  });
});
