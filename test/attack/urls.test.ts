import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { Disposition, UploadTransport } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { File } from '@asset-service/contract/asset/v1/file_pb.js';
import { parse } from 'content-disposition';
import { writeFile } from 'node:fs/promises';
import { request, type OutgoingHttpHeaders } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { clientOf, randomContent, upload, urlOf, type AssetClient } from '../e2e/support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { EMBEDDED, POSTGRES, type Setup } from '../e2e/support/setups.ts';
import { startService, type Service } from '../support/service.ts';
import { sharedVersityGW } from '../support/shared-servers.ts';

/** Statuses of a store for requests that are forbidden or invalid. */
const REFUSED = [400, 403];

const versitygw = sharedVersityGW();

if ('missing' in versitygw) {
  describe('signed URLs of S3 on VersityGW', () => {
    it.skip(`not run: ${versitygw.missing}`, () => undefined);
  });
}

const STORES = [
  { name: 'the filesystem', open: () => EMBEDDED.open() },
  { name: 'S3 on SeaweedFS', open: () => POSTGRES.open() },
  ...('missing' in versitygw
    ? []
    : [{ name: 'S3 on VersityGW', open: () => POSTGRES.open({ s3: versitygw }) }]),
];

describe.each(STORES)('signed URLs of $name', ({ open }) => {
  let setup: Setup;
  let service: Service;
  let client: AssetClient;
  let file: File;
  let other: File;

  beforeAll(async () => {
    setup = await open();
    service = await startService({ ...setup.env, ASSET_AUDIT_LOG: 'stdout' });
    client = clientOf(service.url);
    file = await upload(client, randomContent(1000), { file: { name: 'a.bin' } });
    other = await upload(client, randomContent(2000), { file: { name: 'b.bin' } });
  });

  afterAll(async () => {
    await service?.dispose();
    await setup?.dispose();
  });

  /** The status of a request with any header and any path, sent unchanged. */
  function status(
    url: string,
    options: { method?: string; headers?: OutgoingHttpHeaders; path?: string } = {},
  ): Promise<number> {
    const { hostname, port, pathname, search } = new URL(url);
    return new Promise((resolve, reject) => {
      const sent = request({ hostname, port, path: pathname + search, ...options }, (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode ?? 0));
      });
      sent.on('error', reject);
      sent.end();
    });
  }

  const url = () => urlOf(client, file.id);

  it('work unchanged', async () => {
    expect(await status(await url())).toBe(200);
  });

  it('are refused once any parameter is changed, emptied, doubled or removed', async () => {
    const text = await url();
    const names = [...new URL(text).searchParams.keys()];
    expect(names).toContain('x-grant');
    for (const name of names) {
      const value = new URL(text).searchParams.get(name)!;
      const flipped = value.slice(0, -1) + (value.endsWith('1') ? '2' : '1');
      for (const change of [
        (query: URLSearchParams) => query.set(name, flipped),
        (query: URLSearchParams) => query.set(name, ''),
        (query: URLSearchParams) => query.delete(name),
        // Some stores use the first of two parameters; if that is the right one, nothing changed.
        (query: URLSearchParams) =>
          name.startsWith('X-Amz-') ? query.delete(name) : query.append(name, flipped),
      ]) {
        const tampered = new URL(text);
        change(tampered.searchParams);
        // Some stores distinguish invalid values, such as a wrong date, from forbidden ones.
        expect([tampered.search, REFUSED.includes(await status(tampered.href))]).toEqual([
          tampered.search,
          true,
        ]);
      }
    }
  });

  it('are refused with a wrong parameter before the right one', async () => {
    const text = new URL(await url());
    for (const [name, value] of text.searchParams) {
      const wrong = `${name}=${encodeURIComponent(value.slice(0, -1) + (value.endsWith('1') ? '2' : '1'))}`;
      const path = `${text.pathname}?${wrong}&${text.search.slice(1)}`;
      expect([wrong, REFUSED.includes(await status(text.href, { path }))]).toEqual([wrong, true]);
    }
  });

  it('accept no additional parameters', async () => {
    const text = await url();
    for (const more of [
      ...[
        'response-content-type=text%2Fhtml',
        'response-content-disposition=inline',
        'versionId=1',
        'acl',
        'x=1',
      ],
      ...['x-grant=other', 'X-Amz-Expires=604800', 'uploads', 'partNumber=1', 'torrent'],
    ]) {
      expect([more, REFUSED.includes(await status(`${text}&${more}`))]).toEqual([more, true]);
    }
  });

  it('open no other file and no other path', async () => {
    const text = await url();
    const mine = new URL(text);
    const theirs = new URL(await urlOf(client, other.id));
    // If the path contains the grant, it is used with the parameters of the other file.
    const [path, query] = [theirs.pathname, mine.search];
    if (setup.bucket) {
      expect(await status(text, { path: path + query })).toBe(403);
      expect(await status(text, { path: `/${setup.bucket.bucket}/${query}` })).toBe(403);
      expect(await status(text, { path: `/${setup.bucket.bucket}?list-type=2&${query.slice(1)}` })).toBe(403);
    } else {
      expect(await status(text, { path: path + query })).toBe(403);
    }
    for (const changed of [
      ...[`${mine.pathname}/`, `${mine.pathname}x`, mine.pathname.slice(0, -1), `${mine.pathname}/../x`],
      ...[
        `${mine.pathname}%00`,
        `${mine.pathname}%2e%2e%2f`,
        mine.pathname.replace(/.$/, (char) => `%${char.charCodeAt(0).toString(16)}x`),
      ],
    ]) {
      expect([
        changed,
        [...REFUSED, 404].includes(await status(text, { path: changed + mine.search })),
      ]).toEqual([changed, true]);
    }
  });

  it('are for no other method', async () => {
    const text = await url();
    for (const method of ['PUT', 'POST', 'DELETE', 'PATCH']) {
      expect([method, [...REFUSED, 405].includes(await status(text, { method }))]).toEqual([method, true]);
    }
    expect(await status(text)).toBe(200);
  });

  it('are for one host, where the store knows by which it is called', async () => {
    if (!setup.bucket) return;
    expect(await status(await url(), { headers: { host: 'evil.example' } })).toBe(403);
  });

  it('gain nothing from headers', async () => {
    const text = new URL(await url());
    text.searchParams.delete(setup.bucket ? 'X-Amz-Signature' : 'x-grant');
    for (const headers of [
      { authorization: 'Bearer x' },
      { 'x-original-url': new URL(await url()).pathname },
      { 'x-http-method-override': 'GET', 'x-forwarded-host': text.host },
    ]) {
      expect(REFUSED).toContain(await status(text.href, { headers }));
    }
  });

  it('end', async () => {
    const source = { case: 'fileId' as const, value: file.id };
    const short = await client.getFileUrl({ source, ttl: { seconds: 1n } });
    await sleep(Math.max(0, timestampDate(short.expireTime!).getTime() - Date.now()) + 1_100);
    expect(await status(short.url)).toBe(403);
  });

  it('never live longer than seven days', async () => {
    const { expireTime } = await client.getFileUrl({
      source: { case: 'fileId', value: file.id },
      ttl: { seconds: 604_800n },
    });
    expect(timestampDate(expireTime!).getTime()).toBeLessThanOrEqual(Date.now() + 604_800_000);
  });

  it('to a part take nothing but that part', async () => {
    const { uploadId } = await client.startUpload({
      uploadSpec: { file: {}, sizeBytes: 100n },
      transport: UploadTransport.DIRECT,
    });
    const { parts } = await client.signUploadParts({ uploadId, partNumbers: [1] });
    const part = parts[0]!;
    const put = (to: string, size = 100) =>
      fetch(to, { method: 'PUT', body: randomContent(size) }).then((answer) => answer.status);
    const grant = new URL(part.url).searchParams.get('x-grant');
    expect(grant).toMatch(/^[\w-]{22}$/);
    for (const name of new URL(part.url).searchParams.keys()) {
      const tampered = new URL(part.url);
      tampered.searchParams.set(name, `${tampered.searchParams.get(name)}1`);
      expect([name, REFUSED.includes(await put(tampered.href))]).toEqual([name, true]);
    }
    expect(await put(part.url, 101)).toBeGreaterThanOrEqual(400);
    expect(await put(part.url, 99)).toBeGreaterThanOrEqual(400);
    expect(REFUSED).toContain(await status(part.url));
    expect(await put(part.url)).toBe(200);
    await eventually(() =>
      expect(grants()).toContainEqual(
        expect.objectContaining({ grant_id: grant, upload_id: uploadId, parts: 1 }),
      ),
    );
    await client.cancelUpload({ uploadId });
  });

  const grants = () => service.auditLines().filter(({ action }) => action === 'grant');

  it('show the name of their grant, and the log says who was given it', async () => {
    const text = await urlOf(client, file.id, { disposition: Disposition.ATTACHMENT });
    const id = new URL(text).searchParams.get('x-grant');
    expect(id).toMatch(/^[\w-]{22}$/);
    await eventually(() => {
      const told = grants().filter(({ grant_id }) => grant_id === id);
      expect(told.at(-1)).toMatchObject({
        ...{ file_id: file.id, disposition: 'attachment', principal: 'anonymous' },
        expires: expect.stringMatching(/^20\d\d-/),
      });
    });
    expect(await status(text)).toBe(200);
    const names = await Promise.all([
      urlOf(client, file.id, { downloadName: 'x' }),
      urlOf(client, other.id),
      urlOf(client, file.id, { ttl: { seconds: 1000n } }),
    ]);
    const ids = names.map((one) => new URL(one).searchParams.get('x-grant'));
    expect(new Set([id, ...ids]).size).toBe(4);
    if (!setup.bucket) {
      await eventually(() => {
        const served = service.logLines().filter(({ msg, grant_id }) => msg === 'blob' && grant_id === id);
        expect(served.at(-1)).toMatchObject({ method: 'GET', status: 200 });
      });
    }
    const log = JSON.stringify(service.logLines());
    expect(log).not.toMatch(/X-Amz-Signature|\/blobs\/[\w-]{30}|assets\//);
  });

  it.each([
    ['x"; filename="y.exe', 'x"; filename="y.exe'],
    ["x'; filename*=UTF-8''y.exe", "x'; filename*=UTF-8''y.exe"],
    ['%0d%0aSet-Cookie: a=1', '%0d%0aSet-Cookie: a=1'],
    ['Gru\u0308\u00dfe \u{1f34f} ;,=.txt', 'Gr\u00fc\u00dfe \u{1f34f} ;,=.txt'],
    ['a\u202e\u200bb', 'ab'],
  ])('offer the name %j and nothing that breaks out of the header', async (name, offered) => {
    const named = await upload(client, randomContent(1), { file: { name } });
    for (const to of [await urlOf(client, file.id, { downloadName: name }), await urlOf(client, named.id)]) {
      const answer = await fetch(to);
      await answer.body?.cancel();
      expect(answer.status).toBe(200);
      expect(parse(answer.headers.get('content-disposition')!)).toMatchObject({
        ...{ type: 'attachment', parameters: { filename: offered } },
      });
      expect(answer.headers.get('set-cookie')).toBeNull();
    }
  });
});

describe('signed URLs of the filesystem', () => {
  it('end when the signing key is changed, and live on when it is not', async () => {
    const setup = await EMBEDDED.open();
    const key = 'k'.repeat(32);
    const first = await startService({ ...setup.env, ASSET_URL_SIGNING_KEY: key });
    const file = await upload(clientOf(first.url), randomContent(10));
    const text = await urlOf(clientOf(first.url), file.id);
    const path = new URL(text).pathname + new URL(text).search;
    await first.dispose();
    for (const [signingKey, expected] of [
      [key, 200],
      ['r'.repeat(32), 403],
    ] as const) {
      const service = await startService({ ...setup.env, ASSET_URL_SIGNING_KEY: signingKey });
      const answer = await fetch(service.url + path);
      await answer.body?.cancel();
      expect(answer.status).toBe(expected);
      await service.dispose();
    }
    await setup.dispose();
  });

  it('end when the file is purged', async () => {
    const setup = await EMBEDDED.open();
    const policy = `${setup.env['ASSET_DATA_DIR']}/policy.json`;
    await writeFile(policy, JSON.stringify({ default: { retentionSeconds: 0 } }));
    const service = await startService({
      ...setup.env,
      ASSET_POLICY_FILE: policy,
      ASSET_SWEEP_INTERVAL: '1',
    });
    const client = clientOf(service.url);
    const { id } = await upload(client, randomContent(10));
    const text = await urlOf(client, id);
    await client.deleteFile({ fileId: id });
    await eventually(async () => expect((await fetch(text)).status).toBe(404));
    await service.dispose();
    await setup.dispose();
  });
});
