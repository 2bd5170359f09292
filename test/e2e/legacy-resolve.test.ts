import { type BffClient, createBffClient, legacyFileHandler } from '@asset-service/bff';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { checkCatalog } from '../../src/app/catalog.ts';
import { checkLegacy } from '../../src/app/legacy.ts';
import { openPocketBaseCatalog } from '../../src/catalog/pocketbase/pocketbase-catalog.ts';
import { explainFailure } from '../../src/config/explain.ts';
import { loadConfig } from '../../src/config/config.ts';
import { eventually } from '../support/eventually.ts';
import { AUDIENCE, startIssuer, type Issuer } from '../support/issuer.ts';
import { ODD_NAMES } from '../support/legacy/contents.ts';
import { startLegacySystem, type LegacyFile, type LegacySystem } from '../support/legacy/system.ts';
import { startService, waitForHealth, type Service } from '../support/service.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { clientOf, download, type AssetClient } from './support/calls.ts';
import { failureOf } from './support/failures.ts';

type Headers = { readonly headers: Record<string, string> };

describe('files of an old system, served as they lie', () => {
  let legacy: LegacySystem;
  let issuer: Issuer;
  let proxy: TcpProxy;
  let service: Service;
  let client: AssetClient;
  let reader: Headers;
  let stranger: Headers;
  let writer: Headers;
  let env: Record<string, string>;

  beforeAll(async () => {
    [legacy, issuer] = await Promise.all([startLegacySystem({ size: 18 }), startIssuer()]);
    proxy = await startTcpProxy(legacy.bucket.endpoint);
    env = {
      ...legacy.env,
      ...{ ASSET_AUTH: 'oidc', ASSET_OIDC_ISSUER: issuer.url, ASSET_OIDC_AUDIENCE: AUDIENCE },
      ...{
        ASSET_LEGACY_S3_ENDPOINT: `http://${proxy.address}`,
        ASSET_LEGACY_S3_PUBLIC_ENDPOINT: legacy.bucket.endpoint,
      },
      ASSET_HEALTH_INTERVAL: '0.2',
    };
    service = await startService(env);
    client = clientOf(service.url);
    const headers = async (claims: object) => ({
      headers: { authorization: `Bearer ${await issuer.token({ ...claims })}` },
    });
    reader = await headers({ sub: 'old-bff', scope: 'asset:read' });
    stranger = await headers({ sub: 'stranger' });
    writer = await headers({ sub: 'old-bff', scope: 'asset:read asset:write' });
  });
  afterAll(async () => {
    await service?.dispose();
    await Promise.all([proxy?.close(), issuer?.dispose(), legacy?.dispose()]);
  });

  const whole = (): LegacyFile[] => legacy.files.filter(({ damage }) => damage === undefined);
  const byUrl = async (source: { case: 'fileId' | 'legacyPath'; value: string }) => {
    const answer = await client.getFileUrl({ source }, reader);
    const response = await fetch(answer.url);
    return { answer, response, content: Buffer.from(await response.arrayBuffer()) };
  };

  it('gives every whole file by its id: by URL and by download', async () => {
    for (const { id, content, contentType } of whole()) {
      const { answer, response, content: fetched } = await byUrl({ case: 'fileId', value: id });
      expect([id, response.status, fetched.equals(content)]).toEqual([id, 200, true]);
      expect(answer.sizeBytes).toBe(BigInt(content.length));
      expect(response.headers.get('content-type')).toContain(contentType);
      const { content: downloaded, files } = await download(client, id, {}, reader);
      expect([id, downloaded.equals(content)]).toEqual([id, true]);
      expect(files).toHaveLength(1);
    }
  });

  it('reads a range of an old file, by download and by URL', async () => {
    const { id, content } = legacy.file('large');
    const part = await download(client, id, { readOffset: 1_000n, readLimit: 50n }, reader);
    expect(part.content).toEqual(content.subarray(1_000, 1_050));
    const end = { readOffset: BigInt(content.length) };
    expect((await download(client, id, end, reader)).content).toHaveLength(0);
    const past = download(client, id, { readOffset: BigInt(content.length + 1) }, reader);
    expect(await failureOf(past)).toMatchObject({ reason: 'READ_OFFSET_OUT_OF_RANGE' });
    const { url } = await client.getFileUrl({ source: { case: 'fileId', value: id } }, reader);
    const ranged = await fetch(url, { headers: { range: 'bytes=10-19' } });
    expect(Buffer.from(await ranged.arrayBuffer())).toEqual(content.subarray(10, 20));
  });

  it('shows records and lists without a word of where the bytes lie', async () => {
    const { file } = await client.getFile({ fileId: legacy.file('empty').id }, reader);
    expect(file).toMatchObject({ name: 'empty', owner: legacy.file('empty').ownerId, sizeBytes: 0n });
    const { files } = await client.listFiles({ pageSize: 1_000 }, reader);
    expect(files).toHaveLength(legacy.files.length);
    expect(files.filter(({ attributes }) => Object.keys(attributes ?? {}).length > 0)).toEqual([]);
    const plain = files.find(({ name }) => name === 'file 0.txt');
    const shown = JSON.stringify(plain, (_, value: unknown) =>
      typeof value === 'bigint' ? `${value}` : value,
    );
    for (const word of [legacy.bucket.bucket, legacy.file('file 0.txt').secureName])
      expect(shown).not.toContain(word);
  });

  it.each(ODD_NAMES)(
    'gives the file whose object is called %s, by every form of its old path',
    async (name) => {
      const { id, content, key } = legacy.file(name);
      const paths = [key, `/${legacy.bucket.bucket}/${key}`, legacy.bucket.publicUrl(key)];
      for (const legacyPath of paths) {
        expect((await client.getFile({ legacyPath }, reader)).file?.id).toBe(id);
      }
      const { content: fetched } = await byUrl({ case: 'legacyPath', value: paths[2]! });
      expect(fetched.equals(content)).toBe(true);
      const pieces: Uint8Array[] = [];
      for await (const { data } of client.downloadFile({ legacyPath: key }, reader))
        pieces.push(data!.content);
      expect(Buffer.concat(pieces).equals(content)).toBe(true);
    },
  );

  it('gives a file of PocketBase by the URL and the path that PocketBase has for it, and by that of its thumb', async () => {
    const { id, key } = legacy.files.find(({ way }) => way === 'pocketbase')!;
    const name = key.split('/').at(-1)!;
    for (const collection of ['files', legacy.collectionId]) {
      const path = `/api/files/${collection}/${id}/${name}`;
      for (const legacyPath of [path, `${legacy.pocketbase.url}${path}?thumb=100x100`]) {
        expect((await client.getFile({ legacyPath }, reader)).file?.id).toBe(id);
      }
    }
    const thumb = `${legacy.collectionId}/${id}/thumbs_${name}/100x100_${name}`;
    expect((await client.getFile({ legacyPath: thumb }, reader)).file?.id).toBe(id);
  });

  it('gives URLs of many at once, by id and by path, each with its own answer', async () => {
    const [first, missing] = [legacy.file('empty'), legacy.file('missing')];
    const source = (value: string) => ({ source: { case: 'legacyPath' as const, value } });
    const requests = [
      source(first.key),
      { source: { case: 'fileId' as const, value: first.id } },
      source(missing.key),
      source('nothing/at-all.txt'),
    ];
    const { results } = await client.batchGetFileUrls({ requests }, reader);
    const ends = results.map(({ result }) => (result.case === 'error' ? result.value.code : result.case));
    // DATA_LOSS and NOT_FOUND.
    expect(ends).toEqual(['response', 'response', 15, 5]);
  });

  it.each(['missing', 'wrong-size', 'wrong-type', 'foreign-link'])(
    'refuses a damaged file (%s) and never gives other bytes',
    async (title) => {
      const { id, key } = legacy.file(title);
      const calls = [
        client.getFileUrl({ source: { case: 'fileId', value: id } }, reader),
        client.getFileUrl({ source: { case: 'legacyPath', value: key } }, reader),
        download(client, id, {}, reader),
      ];
      for (const call of calls) {
        const { code, reason, metadata } = await failureOf(call);
        expect({ code, reason, metadata }).toEqual({
          ...{ code: 'DATA_LOSS', reason: 'BLOB_MISSING', metadata: { file_id: id } },
        });
      }
      expect((await client.getFile({ fileId: id }, reader)).file?.name).toBe(title);
    },
  );

  describe('in a back end that had built URLs of the old bucket', () => {
    let bff: BffClient;
    let server: Server;
    let address: string;
    const failures: unknown[] = [];

    beforeAll(async () => {
      const token = (headers: Headers) => headers.headers['authorization']!.replace('Bearer ', '');
      const open = (headers: Headers) => createBffClient({ baseUrl: service.url, token: token(headers) });
      bff = open(reader);
      const other = open(stranger);
      const handler = legacyFileHandler(bff, {
        prefix: '/files/',
        clientFor: ({ headers }) => (headers['x-person'] === 'stranger' ? other : bff),
        onError: (error) => failures.push(error),
      });
      server = createServer((request, response) => void handler(request, response));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      server.once('close', () => other.close());
    });
    afterAll(() => {
      bff.close();
      server.close();
    });

    it('gives URLs by old paths', async () => {
      const { key, content } = legacy.file('a+b.txt');
      const { url } = await bff.urlForLegacyPath(key);
      expect(Buffer.from(await (await fetch(url)).arrayBuffer())).toEqual(content);
      const wrong = bff.urlForLegacyPath('nothing/here.txt');
      await expect(wrong).rejects.toMatchObject({ code: 'NOT_FOUND', reason: 'FILE_NOT_FOUND' });
    });

    it.each(ODD_NAMES)(
      'redirects the old URL of %s to the bytes, and shows them as the bucket did',
      async (name) => {
        const { id, content } = legacy.file(name);
        const old = `${address}/files/${id}/${encodeURIComponent(name)}?v=1`;
        const redirect = await fetch(old, { redirect: 'manual' });
        expect(redirect.status).toBe(302);
        expect(redirect.headers.get('cache-control')).toMatch(/^private, max-age=\d+$/);
        const response = await fetch(old);
        expect(Buffer.from(await response.arrayBuffer()).equals(content)).toBe(true);
        expect(response.headers.get('content-disposition')).toMatch(/^inline/);
      },
    );

    it('answers a failed call with trailers only', async () => {
      const { id } = legacy.file('missing');
      const { key } = legacy.file('empty');
      const status = async (path: string, init: RequestInit = {}) => {
        const response = await fetch(address + path, { redirect: 'manual', ...init });
        expect(await response.text()).toBe('');
        return response.status;
      };
      expect(await status(`/files/${key}`, { method: 'HEAD' })).toBe(302);
      expect(await status(`/files/${key}`, { method: 'POST' })).toBe(405);
      expect(await status(`/others/${key}`)).toBe(404);
      expect(await status('/files/')).toBe(404);
      expect(await status('/files/no/such.txt')).toBe(404);
      expect(await status(`/files/${key}`, { headers: { 'x-person': 'stranger' } })).toBe(403);
      expect(failures).toEqual([]);
      expect(await status(`/files/${id}/missing.txt`)).toBe(500);
      expect(failures).toEqual([expect.objectContaining({ reason: 'BLOB_MISSING' })]);
    });
  });

  it('tells nobody without permission whether a path names a file', async () => {
    const paths = [legacy.file('empty').key, `${legacy.file('empty').id}/other.txt`, 'nosuch/file', '%'];
    const told = await Promise.all(
      paths.flatMap((legacyPath) => [
        failureOf(client.getFile({ legacyPath }, stranger)),
        failureOf(client.getFileUrl({ source: { case: 'legacyPath', value: legacyPath } }, stranger)),
      ]),
    );
    expect(
      new Set(told.map((one) => JSON.stringify({ ...one, metadata: one.metadata['action'] }))).size,
    ).toBe(1);
    expect(told[0]?.reason).toBe('PERMISSION_DENIED');
    for (const legacyPath of paths.slice(1)) {
      expect((await failureOf(client.getFile({ legacyPath }, reader))).reason).toBe('FILE_NOT_FOUND');
    }
  });

  it.each([
    ['both', { fileId: 'a', legacyPath: 'b' }],
    ['none', {}],
  ])('asks for exactly one of id and path: %s', async (_, request) => {
    expect(await failureOf(client.getFile(request, reader))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      reason: 'FIELD_INVALID',
    });
    const read = async () => {
      for await (const _message of client.downloadFile(request, reader));
    };
    expect(await failureOf(read())).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('changes the record of an old file, but not its type to one that its bytes contradict', async () => {
    const { id, content } = legacy.file('without-link');
    const change = (file: object, paths: string[]) =>
      client.updateMetadata({ file: { id, ...file }, updateMask: { paths } }, writer);
    expect((await change({ name: 'renamed.txt' }, ['name'])).file?.name).toBe('renamed.txt');
    const wrong = change({ contentType: 'application/pdf' }, ['content_type']);
    expect(await failureOf(wrong)).toMatchObject({ reason: 'CONTENT_TYPE_MISMATCH' });
    await change({ contentType: 'text/csv' }, ['content_type']);
    expect((await download(client, id, {}, reader)).content).toEqual(content);
    // A record whose type was the mistake is put right, and its file can be read.
    const damaged = legacy.file('wrong-type').id;
    const file = { id: damaged, contentType: 'text/html' };
    await client.updateMetadata({ file, updateMask: { paths: ['content_type'] } }, writer);
    expect((await download(client, damaged, {}, reader)).content).toEqual(legacy.file('wrong-type').content);
  });

  it('serves at once what BFF and worker go on writing', async () => {
    for (const program of [legacy.bff, legacy.worker]) {
      const content = Buffer.from('new in the old way');
      const id = await program.write('later.txt', content);
      expect((await download(client, id, {}, reader)).content).toEqual(content);
    }
  });

  it('counts who uses old paths, by form and day', async () => {
    const { url, email, password } = legacy.pocketbase;
    const catalog = openPocketBaseCatalog({ url, email, password, fields: { name: 'title' } });
    try {
      await eventually(async () => {
        const uses = await catalog.legacy.listUses();
        expect(new Set(uses.map(({ caller }) => caller))).toEqual(new Set(['old-bff']));
        expect(new Set(uses.map(({ kind }) => kind))).toEqual(new Set(['bucket', 'api', 'url']));
        expect(uses.every(({ day, count }) => /^\d{4}-\d\d-\d\d$/.test(day) && count > 0)).toBe(true);
      });
    } finally {
      await catalog.close();
    }
  });

  it('says UNAVAILABLE while the old bucket does not answer, never that a file is gone', async () => {
    await proxy.cut();
    try {
      const { id } = legacy.file('empty');
      const call = client.getFileUrl({ source: { case: 'fileId', value: id } }, reader);
      expect(await failureOf(call)).toMatchObject({ code: 'UNAVAILABLE', reason: 'STORE_UNAVAILABLE' });
      await waitForHealth(service.url, 'NOT_SERVING');
      expect(JSON.stringify(service.logLines())).toContain('ASSET_LEGACY_S3_ENDPOINT');
    } finally {
      await proxy.restore();
    }
    await waitForHealth(service.url, 'SERVING');
  });

  describe('config --check', () => {
    const mistakesOf = async (more: Record<string, string>) => {
      const config = loadConfig({ ...env, ...more });
      const findings = await checkCatalog(config);
      const bucket = await checkLegacy(config).then(
        () => [],
        (error: unknown) => [explainFailure(error, config)],
      );
      return [...findings.filter(({ level }) => level === 'mistake').map(({ text }) => text), ...bucket];
    };

    it('is content with settings that fit', async () => {
      expect(await mistakesOf({})).toEqual([]);
    });

    it.each<[string, Record<string, string>, string[]]>([
      [
        'a bucket that is not there',
        { ASSET_LEGACY_S3_BUCKET: 'no-such-bucket' },
        ['ASSET_LEGACY_S3_BUCKET', 'no-such-bucket', '404'],
      ],
      [
        'a wrong key',
        { ASSET_LEGACY_S3_ACCESS_KEY_ID: 'wrong', ASSET_LEGACY_S3_SECRET_ACCESS_KEY: 'hidden-secret' },
        ['ASSET_LEGACY_S3_ACCESS_KEY_ID', '403'],
      ],
      [
        'an address where nothing is',
        { ASSET_LEGACY_S3_ENDPOINT: 'http://127.0.0.1:9' },
        ['ASSET_LEGACY_S3_ENDPOINT', '127.0.0.1:9'],
      ],
      [
        'a template with a field that is not there',
        { ASSET_LEGACY_LAYOUTS: '{id}/{secure_nam}' },
        ['ASSET_LEGACY_LAYOUTS', 'secure_nam', 'secure_name'],
      ],
      [
        'a link field that is not there',
        { ASSET_LEGACY_LINK_FIELD: 'lnk' },
        ['ASSET_LEGACY_LINK_FIELD', 'lnk', '"link"'],
      ],
    ])('names %s', async (_, more, words) => {
      const mistakes = await mistakesOf(more);
      expect(mistakes).toHaveLength(1);
      for (const word of words) expect(mistakes[0]).toContain(word);
      expect(mistakes[0]).not.toContain('hidden-secret');
    });
  });
});
