import { HeadObjectCommand, PutObjectCommand, type PutObjectCommandInput } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { migrateCatalog } from '../../src/app/catalog.ts';
import { loadConfig } from '../../src/config/config.ts';
import { FilesystemBlobStore } from '../../src/storage/filesystem/filesystem-store.ts';
import { SignedUrls } from '../../src/storage/signed-url.ts';
import { blobKey } from '../../src/files/bytes.ts';
import { clientOf, download } from '../e2e/support/calls.ts';
import { runCli } from '../e2e/support/cli.ts';
import { startFailingProxy, type FailingProxy } from '../support/legacy/failing-proxy.ts';
import { startLegacySystem, type LegacySystem } from '../support/legacy/system.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';

/** Objects of an old bucket with more headers than a type, by the name of their file. */
const OBJECTS = {
  'styles.css': { ContentType: 'text/css', ContentEncoding: 'gzip', CacheControl: 'public, max-age=60' },
  'latin1.txt': { ContentType: 'text/plain; charset=iso-8859-1' },
  'report.pdf': {
    ...{ ContentType: 'application/pdf', ContentDisposition: 'attachment; filename="report.pdf"' },
    ...{ ContentLanguage: 'de', Metadata: { 'original-filename': 'Report  (1).pdf', reviewer: 'anna' } },
  },
  'secret.pdf': {
    ...{ ContentType: 'application/pdf', ContentDisposition: 'attachment; filename="other.pdf"' },
    CacheControl: 'no-store',
  },
} satisfies Record<string, Partial<PutObjectCommandInput>>;
type Name = keyof typeof OBJECTS;
const NAMES = Object.keys(OBJECTS) as Name[];
const RECORD_TYPES = { css: 'text/css', txt: 'text/plain', pdf: 'application/pdf' };

describe('the headers of old objects', () => {
  let legacy: LegacySystem;
  let proxy: FailingProxy;
  let service: Service;
  let dir: string;
  let env: Record<string, string>;

  beforeAll(async () => {
    [legacy, dir] = await Promise.all([startLegacySystem({ size: 0 }), makeDir('legacy-headers')]);
    proxy = await startFailingProxy(legacy.bucket.endpoint);
    env = { ...legacy.env, ASSET_S3_ENDPOINT: proxy.url };
    for (const { id } of legacy.files) {
      await legacy.admin
        .collection('files')
        .delete(id)
        .catch(() => undefined);
    }
    await migrateCatalog(loadConfig(env));
    service = await startService(env);
  });
  afterAll(async () => {
    await service?.dispose();
    await Promise.all([proxy?.close(), legacy?.dispose()]);
    await removeDir(dir);
  });

  const contentOf = (name: Name) =>
    name === 'styles.css'
      ? gzipSync('body { color: red }')
      : Buffer.from(`content of ${name} \xe4`, 'latin1');

  async function addFiles(): Promise<Map<Name, string>> {
    const ids = new Map<Name, string>();
    for (const name of NAMES) {
      const content = contentOf(name);
      const { id } = await legacy.admin.collection('files').create({
        ...{ title: name, secure_name: name, size: content.length, usage: 'invoice' },
        mime: RECORD_TYPES[name.split('.')[1] as keyof typeof RECORD_TYPES],
      });
      const key = `${id}/${name}`;
      const object = { Bucket: legacy.bucket.bucket, Key: key, Body: content, ...OBJECTS[name] };
      await legacy.bucket.client.send(new PutObjectCommand(object));
      ids.set(name, id);
    }
    return ids;
  }

  const run = (...args: string[]) => runCli(['legacy', ...args], { cwd: dir, env });
  const json = async (...args: string[]) => {
    const { stdout, stderr } = await run(...args, '--json');
    return { ...(JSON.parse(stdout) as Record<string, unknown>), stderr };
  };
  /** What a browser gets of a file. */
  const get = async (id: string) => {
    const { url } = await clientOf(service.url).getFileUrl({ source: { case: 'fileId', value: id } });
    const response = await fetch(url);
    const names = ['content-type', 'content-encoding', 'content-language', 'x-amz-meta-reviewer'];
    const headers = names.map((name) => response.headers.get(name));
    return { headers, bytes: Buffer.from(await response.arrayBuffer()) };
  };
  const differences = { 'content-encoding': 1, disposition: 1, 'cache-control': 1 };

  async function expectSame(ids: Map<Name, string>, before: Map<Name, Awaited<ReturnType<typeof get>>>) {
    for (const [name, id] of ids) {
      expect([name, await get(id)]).toEqual([name, before.get(name)]);
      const { content } = await download(clientOf(service.url), id);
      expect([name, content.equals(contentOf(name))]).toEqual([name, true]);
      const key = { Bucket: env['ASSET_S3_BUCKET'], Key: blobKey(id) };
      const { Metadata, ...stored } = await legacy.bucket.client.send(new HeadObjectCommand(key));
      const { Metadata: metadata = {}, ...headers } = { Metadata: {}, ...OBJECTS[name] };
      expect([name, stored]).toEqual([name, expect.objectContaining(headers)]);
      expect([name, Metadata]).toEqual([name, expect.objectContaining(metadata)]);
    }
    const { contentType } = (await clientOf(service.url).getFile({ fileId: ids.get('latin1.txt')! })).file!;
    expect(contentType).toBe('text/plain; charset=iso-8859-1');
  }

  const read = async (ids: Map<Name, string>) =>
    new Map(await Promise.all([...ids].map(async ([name, id]) => [name, await get(id)] as const)));

  it('are given as before, where they change what the bytes mean, or named before the move', async () => {
    const ids = await addFiles();
    const before = await read(ids);
    expect(before.get('styles.css')).toEqual({
      headers: ['text/css', 'gzip', null, null],
      bytes: Buffer.from('body { color: red }'),
    });
    expect(before.get('latin1.txt')!.headers[0]).toBe('text/plain; charset=iso-8859-1');
    expect(before.get('report.pdf')!.headers.slice(2)).toEqual(['de', 'anna']);
    const path = join(dir, 'audit.jsonl');
    expect(await json('audit', '--report', path)).toMatchObject({
      records: { whole: 4 },
      headers: differences,
    });
    const lines = (await readFile(path, 'utf8')).split('\n');
    const line = JSON.parse(lines.find((one) => one.includes(ids.get('secret.pdf')!))!) as object;
    expect(line).toMatchObject({
      differs: { disposition: 'attachment; filename="other.pdf"', 'cache-control': 'no-store' },
    });
    proxy.passed.length = 0;
    const report = join(dir, 'moved.jsonl');
    expect(await json('backfill', '--yes', '--report', report)).toMatchObject({
      ...{ moved: 4, server_side: 4, other_headers: 2, stderr: '' },
    });
    expect(
      (await readFile(report, 'utf8')).split('\n').filter((one) => one.includes('"differs"')),
    ).toHaveLength(2);
    expect(proxy.passed.filter((one) => one.startsWith('PUT'))).toHaveLength(4);
    await expectSame(ids, before);
  });

  it('are kept by a copy through this machine too, which is said once', async () => {
    const ids = await addFiles();
    const before = await read(ids);
    proxy.fail = (_method, _path, headers) => (headers['x-amz-copy-source'] === undefined ? undefined : 403);
    const { stderr, ...report } = await json('backfill', '--yes', '--workers', '1');
    proxy.fail = undefined;
    expect(report).toMatchObject({ moved: 4, already: 4, server_side: 0, other_headers: 2 });
    expect(stderr.match(/does not copy from the old bucket/g)).toHaveLength(1);
    await expectSame(ids, before);
  });

  it('are kept in a directory too', async () => {
    const ids = await addFiles();
    const data = join(dir, 'data');
    const onDisk = { ...env, ASSET_STORE: 'filesystem', ASSET_DATA_DIR: data };
    const { stdout, stderr } = await runCli(['legacy', 'backfill', '--yes', '--json'], {
      cwd: dir,
      env: onDisk,
    });
    expect([stderr, JSON.parse(stdout)]).toEqual([
      '',
      expect.objectContaining({ already: 8, moved: 4, refused: 0, other_headers: 2 }),
    ]);
    const store = new FilesystemBlobStore(data, new SignedUrls('http://x', Buffer.alloc(32)), 0);
    expect(await store.headersOf(blobKey(ids.get('styles.css')!))).toMatchObject({ contentEncoding: 'gzip' });
    expect(await store.headersOf(blobKey(ids.get('report.pdf')!))).toMatchObject({
      ...{ contentLanguage: 'de', metadata: { reviewer: 'anna' } },
    });
  });
});
