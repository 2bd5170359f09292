import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { File } from '@asset-service/contract/asset/v1/file_pb.js';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { FilesystemBlobStore } from '../../src/storage/filesystem/filesystem-store.ts';
import { SignedUrls, type BlobGrant } from '../../src/storage/signed-url.ts';
import { clientOf, download, randomContent, upload, urlOf, type AssetClient } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { EMBEDDED, type Setup } from '../e2e/support/setups.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';

const SECRET = 'what lies outside of the data directory';

/** All files in a directory, with their content. */
async function contentsOf(dir: string): Promise<Record<string, string>> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.map(async (entry) => {
    const path = join(entry.parentPath, entry.name);
    return [path, entry.isFile() ? await readFile(path, 'utf8') : ''] as const;
  });
  return Object.fromEntries(await Promise.all(files));
}

describe('a link planted in the data directory', () => {
  let parent: string;
  let data: string;
  let outside: string;
  let store: FilesystemBlobStore;
  let before: Record<string, string>;

  beforeEach(async () => {
    parent = await makeDir('planted');
    data = join(parent, 'data');
    outside = join(parent, 'outside');
    await mkdir(outside);
    for (const name of ['secret', 'blob~', 'data']) await writeFile(join(outside, name), SECRET);
    await writeFile(join(outside, 'multipart.json'), '{"partSizeBytes":100}');
    store = new FilesystemBlobStore(data, new SignedUrls('http://127.0.0.1', randomBytes(32)));
    before = await contentsOf(outside);
  });

  afterEach(async () => {
    expect(await contentsOf(outside)).toEqual(before);
    await removeDir(parent);
  });

  const BODY = { sizeBytes: 3, chunks: [Buffer.from('abc')] };
  const PROPERTIES = { contentType: 'text/plain' };
  const put = (key: string) => store.put(key, BODY, PROPERTIES);

  /** The call is refused, and its message names nothing on the disk. */
  async function refused(call: Promise<unknown>): Promise<void> {
    const error = await call.then(
      (value) => ({ message: 'not refused', value }),
      (reason: { message: string; reason: string }) => reason,
    );
    expect(error).toMatchObject({ reason: 'STORE_UNAVAILABLE' });
    expect(error.message).not.toContain(parent);
  }

  it('in the place of a blob is neither read nor taken for one', async () => {
    await put('a/blob');
    const path = join(data, 'blobs', 'a', 'blob~');
    await rm(path);
    await symlink(join(outside, 'secret'), path);
    await refused(store.read('a/blob'));
    await refused(store.read('a/blob', { offset: 1, length: 1 }));
    await refused(store.stat('a/blob'));
    await refused(put('a/blob'));
    await store.delete('a/blob');
    expect(await store.stat('a/blob')).toBeUndefined();
  });

  it('that leads nowhere is not written through', async () => {
    await put('a/other');
    await symlink(join(outside, 'new'), join(data, 'blobs', 'a', 'blob~'));
    await refused(put('a/blob'));
    await symlink(join(outside, 'folder'), join(data, 'blobs', 'b'));
    await refused(put('b/blob'));
  });

  it('in place of a directory opens nothing behind it', async () => {
    await symlink(outside, join(data, 'blobs', 'a'));
    await refused(store.read('a/blob'));
    await refused(store.stat('a/blob'));
    await refused(store.delete('a/blob'));
    await refused(put('a/new'));
    await refused(put('a/b/c/new'));
    const id = await store.startMultipart('a/many', { ...PROPERTIES, partSizeBytes: 100 });
    const part = await store.putPart('a/many', id, 1, BODY);
    await refused(store.completeMultipart('a/many', id, [part]));
  });

  it.each(['blobs', 'unfinished'])('in the place of %s stops everything', async (name) => {
    await put('a/blob');
    await rename(join(data, name), join(data, 'away'));
    await symlink(outside, join(data, name));
    await refused(store.check());
    await refused(put('b/blob'));
    if (name === 'blobs') await refused(store.read('a/blob'));
    else {
      await refused(store.startMultipart('b', { ...PROPERTIES, partSizeBytes: 100 }));
      await refused(store.abortMultiparts('a/blob'));
    }
  });

  describe('in an unfinished blob', () => {
    let id: string;
    let dir: string;

    beforeEach(async () => {
      id = await store.startMultipart('a', { ...PROPERTIES, partSizeBytes: 100 });
      dir = join(data, 'unfinished', id);
    });

    it('in place of the bytes is not written to, and does not become a blob', async () => {
      const part = await store.putPart('a', id, 1, BODY);
      await rm(join(dir, 'data'));
      await symlink(join(outside, 'secret'), join(dir, 'data'));
      await refused(store.putPart('a', id, 2, BODY));
      await refused(store.putPart('a', id, 1, BODY));
      await rm(join(dir, 'part-1.json'), { force: true });
      await writeFile(join(dir, 'part-1.json'), JSON.stringify(part));
      await refused(store.completeMultipart('a', id, [part]));
      expect(await store.stat('a')).toBeUndefined();
    });

    it('in the place of the record of a part is neither read nor written', async () => {
      for (const name of ['part-1.json', 'part-2.json']) {
        await symlink(join(outside, 'multipart.json'), join(dir, name));
      }
      await refused(store.listParts('a', id));
      await store.putPart('a', id, 1, BODY);
      await refused(store.listParts('a', id));
    });

    it('in the place of its directory is refused, and aborting removes only the link', async () => {
      await rm(dir, { recursive: true });
      await symlink(outside, dir);
      await refused(store.putPart('a', id, 1, BODY));
      await refused(store.listParts('a', id));
      await refused(store.completeMultipart('a', id, []));
      await store.abortMultiparts('a');
      expect(await readdir(join(data, 'unfinished'))).toEqual([]);
    });
  });

  it('is distinguished from a data directory that is itself a link', async () => {
    await symlink(data, join(parent, 'link'));
    store = new FilesystemBlobStore(
      join(parent, 'link'),
      new SignedUrls('http://127.0.0.1', randomBytes(32)),
    );
    await store.check();
    expect(await put('a/blob')).toBe('created');
    const chunks = await (await store.read('a/blob')).toArray();
    expect(Buffer.concat(chunks as Buffer[]).toString()).toBe('abc');
  });

  it('may also be a named pipe, which blocks nothing', async () => {
    await put('a/other');
    await promisify(execFile)('mkfifo', [join(data, 'blobs', 'a', 'blob~')]);
    await refused(store.read('a/blob'));
    await refused(store.stat('a/blob'));
  });
});

describe('the route of the blobs', () => {
  const KEY = 'k'.repeat(32);
  let setup: Setup;
  let dir: string;
  let service: Service;
  let client: AssetClient;
  let file: File;
  let url: string;

  beforeAll(async () => {
    setup = await EMBEDDED.open();
    dir = setup.env['ASSET_DATA_DIR']!;
    await writeFile(`${dir}-secret`, SECRET);
    service = await startService({ ...setup.env, ASSET_URL_SIGNING_KEY: KEY });
    client = clientOf(service.url);
    file = await upload(client, randomContent(100), { file: { name: 'a.bin' } });
    url = await urlOf(client, file.id);
  });

  afterAll(async () => {
    await service?.dispose();
    await rm(`${dir}-secret`, { force: true });
    await setup?.dispose();
  });

  /** Response to a request whose target is sent byte by byte. */
  function answerTo(target: string, method: string): Promise<string> {
    return new Promise((resolve) => {
      let text = '';
      const socket = connect(service.port, '127.0.0.1');
      socket.on('data', (data) => (text += data.toString('latin1')));
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(text));
      const head = `${method} ${target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`;
      socket.write(Buffer.from(head, 'utf8'));
    });
  }

  /** The response reveals neither what is outside nor any path. */
  function tellsNothing(answer: string): void {
    expect(answer).not.toContain(SECRET);
    expect(answer).not.toContain(dir);
    expect(answer).not.toMatch(/root:|SQLite|ENOENT|ENAMETOOLONG|ELOOP|node:|\.ts\b|assets\//);
  }

  const token = () => new URL(url).pathname.slice('/blobs/'.length);

  it.each<[string, () => string]>([
    ['dots', () => '/blobs/../../../../../../etc/passwd'],
    ['dots after a URL', () => `/blobs/${token()}/../../url-signing.key`],
    ['encoded dots', () => '/blobs/%2e%2e/%2e%2e/%2e%2e/etc/passwd'],
    ['encoded slashes', () => '/blobs/..%2f..%2f..%2fetc%2fpasswd'],
    ['doubly encoded slashes', () => '/blobs/..%252f..%252fetc%252fpasswd'],
    ['overlong UTF-8', () => '/blobs/%c0%ae%c0%ae%c0%afetc%c0%afpasswd'],
    ['backslashes', () => '/blobs/..\\..\\etc\\passwd'],
    ['encoded backslashes', () => '/blobs/..%5c..%5cetc%5cpasswd'],
    ['an absolute path', () => '/blobs//etc/passwd'],
    ['the end of a string', () => `/blobs/${token()}%00.png`],
    ['the end of a string in the middle', () => '/blobs/catalog.sqlite%00'],
    ['Unicode that folds to dots', () => '/blobs/\u2025/\uff0e\uff0e/\uff0fetc/passwd'],
    ['Unicode that is broken', () => '/blobs/%ff%fe%ed%a0%80'],
    ['a percent sign', () => '/blobs/%'],
    ['two slashes', () => `//blobs/${token()}`],
    ['another host', () => `//evil.example/blobs/${token()}`],
    ['a whole URL', () => `http://evil.example/blobs/../catalog.sqlite`],
    ['another scheme', () => 'file:///etc/passwd?/blobs/'],
    ['no path', () => '*'],
    ['a URL that no parser takes', () => 'http://[::1/blobs/x'],
    ['a port that is none', () => '//x:99999999/blobs/x'],
    ['a fragment', () => `/blobs/${token()}#`],
    ['the padding of base64', () => `/blobs/${token()}=`],
    ['a token of nothing', () => '/blobs/'],
    ['a token of the wrong bytes', () => `/blobs/${'A'.repeat(200)}`],
    ['a token that is very long', () => `/blobs/${'A'.repeat(12_000)}`],
    ['a token that is too long', () => `/blobs/${'A'.repeat(100_000)}`],
  ])('gives nothing for %s', async (_name, target) => {
    const before = await setup.blobs();
    for (const query of ['', new URL(url).search]) {
      for (const method of ['GET', 'HEAD', 'PUT', 'DELETE']) {
        const answer = await answerTo(target() + query, method);
        expect([method, answer.slice(0, 12)]).toEqual([
          method,
          expect.stringMatching(/^(HTTP\/1\.1 4\d\d)?$/),
        ]);
        tellsNothing(answer);
      }
    }
    expect(await setup.blobs()).toEqual(before);
    expect((await fetch(url)).status).toBe(200);
  });

  it.each([
    '../catalog.sqlite',
    '../url-signing.key',
    'a/../../../etc/passwd',
    '/etc/passwd',
    '..',
    '.',
    '',
    'a//b',
    'a\\..\\b',
    'a\0b',
    '%2e%2e/catalog.sqlite',
    '\u2025/x',
    'A'.repeat(10_000),
    'a'.repeat(512),
  ])('opens blobs and nothing else, even to who has the key that signs: %j', async (key) => {
    const urls = new SignedUrls(service.url, Buffer.from(KEY));
    const lifetime = { issuedAt: new Date(), ttlSeconds: 60 };
    const types = { contentType: 'text/plain', contentDisposition: 'inline', cacheControl: 'private' };
    const before = await setup.blobs();
    for (const [grant, method] of [
      [{ kind: 'read', id: 'x', key, ...types }, 'GET'],
      [{ kind: 'part', id: 'x', key, multipartId: '../x', partNumber: 1, sizeBytes: 0 }, 'PUT'],
      [{ kind: 'part', id: 'x', key: 'a', multipartId: key, partNumber: 1, sizeBytes: 0 }, 'PUT'],
    ] satisfies [BlobGrant, string][]) {
      const forged = new URL(urls.sign(grant, lifetime).url);
      const answer = await answerTo(forged.pathname + forged.search, method);
      expect(answer).toMatch(/^HTTP\/1\.1 (4\d\d|503) /);
      tellsNothing(answer);
    }
    expect(await setup.blobs()).toEqual(before);
  });

  it.each(['../../etc/passwd', '..%2f', 'a\0b', '\u2025', 'a/b', '\\', 'x'.repeat(5000)])(
    'is not reached by a name that is a path: %j',
    async (name) => {
      for (const call of [
        () => client.getFile({ fileId: name }),
        () => client.getFileUrl({ source: { case: 'fileId', value: name } }),
        () => client.deleteFile({ fileId: name }),
        () => client.uploadChunk({ uploadId: name }),
        () => client.getUpload({ uploadId: name }),
        () => client.completeUpload({ uploadId: name }),
        () => client.cancelUpload({ uploadId: name }),
      ]) {
        const failure = await failureOf(call());
        expect(['INVALID_ARGUMENT', 'NOT_FOUND']).toContain(failure.code);
        tellsNothing(JSON.stringify(failure));
      }
    },
  );

  it('reveals nothing about a planted link, for every form of request', async () => {
    const planted = await upload(client, randomContent(64));
    const text = await urlOf(client, planted.id);
    const path = (await setup.blobs()).find((name) => name.includes(planted.id))!;
    await rm(path);
    await symlink(`${dir}-secret`, path);
    for (const method of ['GET', 'HEAD']) {
      const { pathname, search } = new URL(text);
      const answer = await answerTo(pathname + search, method);
      expect(answer).toMatch(/^HTTP\/1\.1 503 /);
      tellsNothing(answer);
    }
    const failure = await failureOf(download(client, planted.id));
    expect(failure).toMatchObject({ code: 'UNAVAILABLE', reason: 'STORE_UNAVAILABLE' });
    tellsNothing(JSON.stringify(failure));
  });
});
