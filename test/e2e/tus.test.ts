import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { request as requestHttp } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Upload as TusUpload } from 'tus-js-client';
import { eventually } from '../support/eventually.ts';
import { FLAGS, ROOT } from '../support/install.ts';
import { freePort } from '../support/ports.ts';
import { makeDir, startServer, type Server } from '../support/process.ts';
import { openHouse, type House } from '../use-cases/support/house.ts';
import { download, randomContent, sha256 } from './support/calls.ts';

const MiB = 2 ** 20;
const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex');

describe('uploads of tus clients through BFFs', () => {
  let house: House;
  /** Two processes that share nothing. */
  let bffs: (Server & { readonly url: string })[];
  let ann: Record<string, string>;
  let bob: Record<string, string>;

  beforeAll(async () => {
    house = await openHouse({
      identities: true,
      policies: {
        usages: {
          small: { maxSizeBytes: 40 * MiB },
          image: { contentTypes: ['image/*'] },
        },
      },
      env: { ASSET_LIMIT_OPEN_UPLOADS: '20' },
    });
    const user = async (sub: string) => ({ 'x-user': sub, 'x-user-token': await house.token({ sub }) });
    [ann, bob] = [await user('ann'), await user('bob')];
    bffs = await Promise.all([startBff(house.url), startBff(house.url)]);
  });

  afterAll(async () => {
    for (const bff of bffs ?? []) await bff.dispose();
    await house?.close();
  });

  async function startBff(serviceUrl: string) {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}/uploads`;
    const server = await startServer({
      name: 'BFF',
      command: process.execPath,
      args: [...FLAGS, join(ROOT, 'test/e2e/support/tus-bff.ts')],
      env: {
        SERVICE_URL: serviceUrl,
        SERVICE_TOKEN: await house.token({ sub: 'bff', scope: 'asset:act-for-user' }),
        PORT: String(port),
      },
      dir: await makeDir('bff'),
      ownsDir: true,
      ready: async () => (await fetch(url, { method: 'OPTIONS' })).ok,
    });
    return Object.assign(server, { url });
  }

  /** One request of the protocol. */
  async function tus(method: string, url: string, headers: Record<string, string>, body?: Uint8Array) {
    const type: Record<string, string> = body ? { 'content-type': 'application/offset+octet-stream' } : {};
    const response = await fetch(url, {
      method,
      headers: { 'tus-resumable': '1.0.0', ...type, ...headers },
      ...(body && { body: body as Uint8Array<ArrayBuffer> }),
    });
    const text = await response.text();
    const json = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : undefined;
    return { status: response.status, header: (name: string) => response.headers.get(name), text, json };
  }

  const metadata = (values: Record<string, string>) =>
    Object.entries(values)
      .map(([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`)
      .join(',');

  /** Begins an upload and returns its path, `/uploads/<id>`. */
  async function begin(
    size: number | undefined,
    values: Record<string, string> = {},
    { user = ann, bff = 0 } = {},
  ): Promise<string> {
    const length: Record<string, string> =
      size === undefined ? { 'upload-defer-length': '1' } : { 'upload-length': String(size) };
    const headers = { ...user, ...length, 'upload-metadata': metadata({ filename: 'a.bin', ...values }) };
    const { status, header, text } = await tus('POST', bffs[bff]!.url, headers);
    expect({ status, text }).toEqual({ status: 201, text: '' });
    return header('location')!;
  }

  const at = (path: string, bff = 0) => new URL(path, bffs[bff]!.url).href;
  const idOf = (path: string) => path.split('/').at(-1)!;

  async function offsetOf(path: string, bff = 0, user = ann): Promise<number> {
    const { status, header } = await tus('HEAD', at(path, bff), user);
    expect(status).toBe(200);
    return Number(header('upload-offset'));
  }

  const patch = (path: string, offset: number, body: Uint8Array, { user = ann, bff = 0, more = {} } = {}) =>
    tus('PATCH', at(path, bff), { ...user, 'upload-offset': String(offset), ...more }, body);

  /** Uploads as a browser does. */
  function upload(source: Buffer | Readable, options: object): Promise<TusUpload> {
    return new Promise((resolve, reject) => {
      const made: TusUpload = new TusUpload(source as Buffer, {
        endpoint: bffs[0]!.url,
        headers: ann,
        retryDelays: [10, 100],
        metadata: { filename: 'Grüße.txt', filetype: 'text/plain', usage: 'small', case: 'c1', owner: 'bob' },
        ...options,
        onError: reject,
        onSuccess: () => resolve(made),
      });
      made.start();
    });
  }

  async function expectFile(url: string, content: Buffer): Promise<void> {
    const fileId = idOf(url);
    const { file } = await house.client.getFile({ fileId });
    expect(file).toMatchObject({
      name: 'Grüße.txt',
      contentType: 'text/plain',
      usage: 'small',
      owner: 'ann',
    });
    expect(file!.relations['case']!.ids).toEqual(['c1']);
    expect((await download(house.client, fileId)).content.equals(content)).toBe(true);
  }

  it.each([
    ['in one request', {}],
    ['in chunks', { chunkSize: MiB }],
    ['through a proxy that passes no PATCH', { overridePatchMethod: true }],
    ['with the POST', { uploadDataDuringCreation: true }],
    ['with the POST, in chunks', { uploadDataDuringCreation: true, chunkSize: 2 * MiB }],
  ])('become files %s', async (_how, options) => {
    const content = Buffer.from('x'.repeat(5 * MiB + 17));
    const { url } = await upload(content, options);
    await expectFile(url!, content);
    expect((await house.blobs()).filter((name) => name.includes(idOf(url!)))).toHaveLength(1);
  });

  it('may have a size that becomes known at the end', async () => {
    const content = Buffer.from('y'.repeat(3 * MiB + 5));
    const source = Readable.from([content.subarray(0, MiB), content.subarray(MiB)]);
    const { url } = await upload(source, { uploadLengthDeferred: true, chunkSize: MiB });
    await expectFile(url!, content);

    // Alone, after all bytes; and one that contradicts them or the policy.
    const path = await begin(undefined);
    await patch(path, 0, Buffer.from('abc'));
    const { header, status } = await tus('HEAD', at(path, 1), ann);
    expect([status, header('upload-defer-length'), header('upload-length')]).toEqual([200, '1', null]);
    const big = await patch(path, 3, Buffer.from('d'), { more: { 'upload-length': String(50 * MiB) } });
    expect([big.status, big.json]).toEqual([413, expect.objectContaining({ reason: 'FILE_TOO_LARGE' })]);
    const small = await patch(path, 3, Buffer.alloc(0), { more: { 'upload-length': '2' } });
    expect(small.status).toBe(400);
    expect(await offsetOf(path)).toBe(3);
    const end = await patch(path, 3, Buffer.alloc(0), { bff: 1, more: { 'upload-length': '3' } });
    expect(end.status).toBe(204);
    expect((await house.client.getFile({ fileId: idOf(path) })).file!.sizeBytes).toBe(3n);
  });

  it('may be empty', async () => {
    const path = await begin(0);
    expect((await house.client.getFile({ fileId: idOf(path) })).file!.sizeBytes).toBe(0n);
    expect(await offsetOf(path)).toBe(0);
  });

  it('tell the product the file at the end', async () => {
    const content = randomContent(1000);
    const path = await begin(1000);
    const { header } = await patch(path, 0, content);
    expect(header('x-sha256')).toBe(Buffer.from(sha256(content)).toString('hex'));
    const { file } = await house.client.getFile({ fileId: idOf(path) });
    expect(file).toMatchObject({ name: 'a.bin', owner: 'ann' });
    const head = await tus('HEAD', at(path), ann);
    expect(head.header('upload-metadata')).toContain(metadata({ filename: 'a.bin' }));
  });

  /** Sends the begin of a PATCH and leaves it open. */
  function halfPatch(path: string, offset: number, length: number, body: Uint8Array) {
    const headers = {
      ...ann,
      ...{ 'tus-resumable': '1.0.0', 'content-type': 'application/offset+octet-stream' },
      ...{ 'upload-offset': String(offset), 'content-length': String(length) },
    };
    const request = requestHttp(at(path), { method: 'PATCH', headers });
    request.on('error', () => undefined);
    request.write(body);
    return request;
  }

  it('stand after a cut connection at what the service took, to the byte', async () => {
    const content = randomContent(9 * MiB);
    const path = await begin(content.length);
    const cut = halfPatch(path, 0, content.length, content.subarray(0, 700_001));
    await sleep(300);
    cut.destroy();
    await eventually(async () => expect(await offsetOf(path, 1)).toBe(700_001));
    expect((await patch(path, 0, content)).json).toMatchObject({ reason: 'WRITE_OFFSET_MISMATCH' });
    expect((await patch(path, 700_001, content.subarray(700_001), { bff: 1 })).status).toBe(204);
    expect((await download(house.client, idOf(path))).content.equals(content)).toBe(true);
  });

  it.each([0, 1])('go on beside a request that hangs, on BFF %i', async (bff) => {
    const content = randomContent(2 * MiB);
    const path = await begin(content.length);
    const hanging = halfPatch(path, 0, content.length, content.subarray(0, 900_000));
    try {
      await sleep(300);
      const offset = await offsetOf(path, bff);
      // In the same process the bytes of the request that hangs are kept first.
      if (bff === 0) expect(offset).toBe(900_000);
      expect((await patch(path, offset, content.subarray(offset), { bff })).status).toBe(204);
      expect((await download(house.client, idOf(path))).content.equals(content)).toBe(true);
    } finally {
      hanging.destroy();
    }
  });

  it('go on at another BFF when theirs is killed in the middle', async () => {
    const content = randomContent(20 * MiB);
    const path = await begin(content.length);
    const request = halfPatch(path, 0, content.length, content.subarray(0, 12 * MiB));
    await sleep(500);
    await bffs[0]!.kill();
    request.destroy();
    try {
      await eventually(async () => expect(await offsetOf(path, 1)).toBeGreaterThan(MiB));
      const resumed = await upload(Buffer.from(content), { uploadUrl: at(path, 1), endpoint: bffs[1]!.url });
      expect(idOf(resumed.url!)).toBe(idOf(path));
      expect((await download(house.client, idOf(path))).content.equals(content)).toBe(true);
    } finally {
      await bffs[0]!.start();
    }
  });

  it('are begun once, however often the POST is repeated', async () => {
    const fingerprint = randomUUID();
    const path = await begin(10, { fingerprint });
    expect(await begin(10, { fingerprint }, { bff: 1 })).toBe(path);
    expect(await begin(10, { fingerprint, usage: 'image' })).not.toBe(path);
    expect(await begin(10, { fingerprint, case: 'c2' })).not.toBe(path);
    expect(await begin(10, { fingerprint }, { user: bob })).not.toBe(path);
    expect(await begin(11, { fingerprint })).not.toBe(path);
    expect(await begin(10)).not.toBe(await begin(10));
    await patch(path, 0, Buffer.from('0123'));
    expect(await begin(10, { fingerprint }, { bff: 1 })).toBe(path);
    await patch(path, 4, Buffer.from('456789'));
    // It is a file now: a browser that repeats the POST finds that everything is there.
    expect(await begin(10, { fingerprint })).toBe(path);
    expect(await offsetOf(path, 1)).toBe(10);
    await house.client.deleteFile({ fileId: idOf(path) });
    const again = await begin(10, { fingerprint });
    expect(again).not.toBe(path);
    expect(await begin(10, { fingerprint }, { bff: 1 })).toBe(again);
  });

  it('are one file when a POST with bytes is repeated, and by a client that repeats it', async () => {
    const values = { filename: 'p', fingerprint: randomUUID() };
    const headers = { ...ann, 'upload-length': '6', 'upload-metadata': metadata(values) };
    const post = (body: string) => tus('POST', bffs[0]!.url, headers, Buffer.from(body));
    const first = await post('abc');
    expect([first.status, first.header('upload-offset')]).toEqual([201, '3']);
    const second = await post('abcdef');
    expect([second.header('location'), second.header('upload-offset')]).toEqual([
      first.header('location'),
      '3',
    ]);
    await patch(first.header('location')!, 3, Buffer.from('def'));
    expect((await post('abcdef')).header('upload-offset')).toBe('6');
    const client = await upload(Buffer.from('abcdef'), { metadata: values });
    expect(idOf(client.url!)).toBe(idOf(first.header('location')!));
  });

  it('of others are not there', async () => {
    const path = await begin(3);
    for (const [method, body] of [['HEAD'], ['DELETE'], ['PATCH', Buffer.from('abc')]] as const) {
      const { status, json } = await tus(method, at(path), { ...bob, 'upload-offset': '0' }, body);
      expect(status).toBe(404);
      if (method !== 'HEAD') expect(json).toMatchObject({ code: 'NOT_FOUND', reason: 'UPLOAD_NOT_FOUND' });
    }
    expect(await offsetOf(path)).toBe(0);
  });

  it('are refused with a status, and the reason in JSON', async () => {
    const post = (headers: Record<string, string>, body?: Uint8Array) =>
      tus('POST', bffs[0]!.url, { ...ann, 'upload-length': '9', ...headers }, body);
    const answers = {
      'too large': await post({ 'upload-length': String(41 * MiB) }),
      'wrong type': await post({ 'upload-metadata': metadata({ usage: 'image', filetype: 'text/plain' }) }),
      'not signed in': await tus('POST', bffs[0]!.url, { 'upload-length': '9' }),
      'expired token': await post({ 'x-user-token': 'broken' }),
      'not the protocol': await post({ 'tus-resumable': '0.1.0' }),
      'no length': await tus('POST', bffs[0]!.url, ann),
      'no such upload': await tus('HEAD', `${bffs[0]!.url}/nosuchupload123`, ann),
      'no id': await tus('DELETE', bffs[0]!.url, ann),
      'bad name': await post({ 'upload-metadata': metadata({ filename: 'x'.repeat(3000) }) }),
    };
    const got = Object.fromEntries(
      Object.entries(answers).map(([what, { status, json }]) => [what, [status, json?.['reason']]]),
    );
    expect(got).toEqual({
      'too large': [413, 'FILE_TOO_LARGE'],
      'wrong type': [415, 'CONTENT_TYPE_NOT_ALLOWED'],
      'not signed in': [401, undefined],
      'expired token': [401, 'CREDENTIALS_INVALID'],
      'not the protocol': [400, undefined],
      'no length': [400, undefined],
      'no such upload': [404, undefined],
      'no id': [404, 'UPLOAD_NOT_FOUND'],
      'bad name': [400, 'FIELD_INVALID'],
    });
    expect(answers['too large'].json!['metadata']).toMatchObject({ max_size_bytes: String(40 * MiB) });
    expect(answers['too large'].header('content-type')).toBe('application/json');
  });

  it('are refused for what they contain, also while much is still to come, and leave nothing', async () => {
    const content = Buffer.concat([Buffer.from('%PDF-1.7\n'), randomContent(30 * MiB)]);
    const path = await begin(content.length, { usage: 'image', filetype: 'image/png' });
    const { status, json } = await patch(path, 0, content);
    expect([status, json]).toEqual([415, expect.objectContaining({ reason: 'CONTENT_TYPE_MISMATCH' })]);
    expect((await tus('HEAD', at(path), ann)).status).toBe(404);
    expect((await house.blobs()).filter((name) => name.includes(idOf(path)))).toEqual([]);

    const ten = await begin(10, { usage: 'image', filetype: 'image/png' });
    const more = await patch(ten, 0, Buffer.concat([PNG, PNG]));
    expect([more.status, more.json?.['reason']]).toEqual([413, 'SIZE_MISMATCH']);
    expect(await offsetOf(ten)).toBe(0);
  });

  it('are removed by their user', async () => {
    const path = await begin(9 * MiB);
    await patch(path, 0, randomContent(6 * MiB));
    expect((await tus('DELETE', at(path, 1), ann)).status).toBe(204);
    expect((await tus('HEAD', at(path), ann)).status).toBe(404);
    expect((await house.blobs()).filter((name) => name.includes(idOf(path)))).toEqual([]);
    // One that runs is ended.
    const running = await begin(9 * MiB);
    const request = halfPatch(running, 0, 9 * MiB, randomContent(MiB));
    await sleep(200);
    expect((await tus('DELETE', at(running), ann)).status).toBe(204);
    request.destroy();
    expect((await tus('HEAD', at(running), ann)).status).toBe(404);
    // A finished one is a file.
    const finished = await begin(0);
    const { status, json } = await tus('DELETE', at(finished), ann);
    expect([status, json?.['reason']]).toEqual([409, 'UPLOAD_FINISHED']);
  });

  it('say when they expire, and when to try again', async () => {
    const dayMs = 86_400_000;
    const headers = { ...bob, 'upload-length': '20' };
    const first = await tus('POST', bffs[0]!.url, headers);
    const expires = (answer: typeof first) => Date.parse(answer.header('upload-expires') ?? '') - Date.now();
    expect(expires(first)).toBeGreaterThan(dayMs - 60_000);
    const part = await patch(first.header('location')!, 0, Buffer.from('a'), { user: bob });
    expect(expires(part)).toBeGreaterThan(dayMs - 60_000);
    const options = await tus('OPTIONS', bffs[0]!.url, {});
    expect(options.header('tus-extension')).toBe(
      'creation,creation-with-upload,creation-defer-length,termination,expiration',
    );

    let answer = first;
    for (let tries = 0; answer.status === 201 && tries < 25; tries++) {
      answer = await tus('POST', bffs[0]!.url, headers);
    }
    expect([answer.status, answer.json?.['reason']]).toEqual([429, 'TOO_MANY_UPLOADS']);
    expect(Number(answer.header('retry-after'))).toBeGreaterThan(0);
    expect(answer.header('access-control-expose-headers')).toContain('Retry-After');

    const lonely = await startBff(`http://127.0.0.1:${await freePort()}`);
    const away = await tus('POST', lonely.url, headers);
    expect([away.status, away.header('retry-after')]).toEqual([503, '1']);
    // No address of the back end.
    expect(away.text).not.toContain('127.0.0.1');
    await lonely.dispose();
  });
});

it('an upload of a tus client that has expired is not there', async () => {
  const house = await openHouse({ env: { ASSET_UPLOAD_SESSION_TTL: '1' } });
  const { createBffClient } = await import('@asset-service/bff');
  const { createTusServer } = await import('@asset-service/bff/tus');
  const client = createBffClient({ baseUrl: house.url });
  try {
    const tus = createTusServer({ path: '/', caller: () => ({ client, userId: 'ann' }) });
    const headers = { 'tus-resumable': '1.0.0', 'upload-length': '3' };
    const created = await tus.handleWeb(new Request('http://bff/', { method: 'POST', headers }));
    expect(created.headers.get('upload-expires')).toMatch(/GMT$/);
    const url = new URL(created.headers.get('location')!, 'http://bff/');
    const head = () => tus.handleWeb(new Request(url, { method: 'HEAD', headers }));
    expect((await head()).status).toBe(200);
    await sleep(1_100);
    expect(await tus.cleanUpExpiredUploads()).toBe(0);
    await house.sweep();
    expect((await head()).status).toBe(404);
  } finally {
    client.close();
    await house.close();
  }
});
