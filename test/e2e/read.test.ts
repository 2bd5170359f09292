import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { Code, createClient } from '@connectrpc/connect';
import { AssetService, Disposition } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { File } from '@asset-service/contract/asset/v1/file_pb.js';
import { ErrorInfoSchema } from '@asset-service/contract/google/rpc/error_details_pb.js';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { startService, type Service } from '../support/service.ts';
import {
  clientOf,
  download,
  randomContent,
  TRANSPORTS,
  upload,
  urlOf,
  type AssetClient,
} from './support/calls.ts';
import { failureOf } from './support/failures.ts';
import { EMBEDDED, POCKETBASE, POSTGRES, type Setup } from './support/setups.ts';

const MiB = 2 ** 20;

describe.each([EMBEDDED, POCKETBASE])('reading on $name', (kind) => {
  let setup: Setup;
  let service: Service;
  let client: AssetClient;
  const content = randomContent(2 * MiB + 17);
  let file: File;
  let empty: File;

  beforeAll(async () => {
    setup = await kind.open();
    service = await startService(setup.env);
    client = clientOf(service.url);
    file = await upload(client, content, { file: { name: 'data.bin' } });
    empty = await upload(client, randomContent(0), { file: { name: 'empty' } });
  });

  afterAll(async () => {
    await service?.dispose();
    await setup?.dispose();
  });

  async function bytesOf(response: Response): Promise<Buffer> {
    return Buffer.from(await response.arrayBuffer());
  }

  describe('a URL', () => {
    it('comes with type, size and expiry', async () => {
      const before = Date.now();
      const answer = await client.getFileUrl({
        source: { case: 'fileId', value: file.id },
        ttl: { seconds: 100n },
      });
      expect(answer).toMatchObject({ contentType: 'application/octet-stream', sizeBytes: file.sizeBytes });
      const left = timestampDate(answer.expireTime!).getTime() - before;
      expect(left).toBeGreaterThanOrEqual(50_000);
      expect(left).toBeLessThanOrEqual(101_000);
      expect(new URL(answer.url).origin).toBe(setup.bucket?.endpoint ?? service.url);
    });

    it('serves GET', async () => {
      const got = await fetch(await urlOf(client, file.id));
      expect(got.status).toBe(200);
      expect(got.headers.get('content-length')).toBe(String(content.length));
      expect((await bytesOf(got)).equals(content)).toBe(true);
    });

    // An S3 signs the method along with the rest, and the URL is signed for GET.
    if (kind === EMBEDDED) {
      it('serves HEAD', async () => {
        const head = await fetch(await urlOf(client, file.id), { method: 'HEAD' });
        expect(head.status).toBe(200);
        expect(head.headers.get('content-length')).toBe(String(content.length));
        expect(await bytesOf(head)).toHaveLength(0);
      });
    }

    it('serves an empty file', async () => {
      const got = await fetch(await urlOf(client, empty.id));
      expect([got.status, (await bytesOf(got)).length]).toEqual([200, 0]);
    });

    it.each([
      ['bytes=0-0', 0, 1],
      ['bytes=10-1000009', 10, 1_000_010],
      [`bytes=${2 * MiB}-`, 2 * MiB, 2 * MiB + 17],
      ['bytes=-5', 2 * MiB + 12, 2 * MiB + 17],
      [`bytes=5-${10 * MiB}`, 5, 2 * MiB + 17],
    ])('serves the range %s', async (range, start, end) => {
      const got = await fetch(await urlOf(client, file.id), { headers: { range } });
      expect(got.status).toBe(206);
      expect(got.headers.get('content-range')).toBe(`bytes ${start}-${end - 1}/${content.length}`);
      expect((await bytesOf(got)).equals(content.subarray(start, end))).toBe(true);
    });

    it('refuses a range past the end', async () => {
      const got = await fetch(await urlOf(client, file.id), { headers: { range: 'bytes=9999999-' } });
      expect(got.status).toBe(416);
    });

    it('has an etag, and answers 304 to who has the bytes', async () => {
      const url = await urlOf(client, file.id);
      const etag = (await fetch(url, { method: 'GET' })).headers.get('etag');
      expect(etag).toBeTruthy();
      const again = await fetch(url, { headers: { 'if-none-match': etag! } });
      expect([again.status, (await bytesOf(again)).length]).toEqual([304, 0]);
      expect((await fetch(url, { headers: { 'if-none-match': '"other"' } })).status).toBe(200);
    });

    it('is the same within its time window, so that caches work', async () => {
      const ttl = { seconds: 7n * 24n * 3600n };
      const urls = [await urlOf(client, file.id, { ttl })];
      await sleep(1_100);
      urls.push(await urlOf(client, file.id, { ttl }));
      expect(urls[1]).toBe(urls[0]);
      expect((await fetch(urls[0]!)).headers.get('cache-control')).toMatch(/max-age=\d{4,}/);
      expect(await urlOf(client, file.id, { ttl, downloadName: 'other' })).not.toBe(urls[0]);
    });

    it('does not work after any change', async () => {
      const text = await urlOf(client, file.id, { disposition: Disposition.ATTACHMENT });
      const other = await urlOf(client, empty.id);
      const url = new URL(text);
      const tampered: string[] = [];
      if (setup.bucket) {
        const otherPath = new URL(text);
        otherPath.pathname = new URL(other).pathname;
        tampered.push(otherPath.href);
      } else {
        const start = text.lastIndexOf('/') + 1;
        for (const at of [start, start + 40, Math.floor((start + text.length) / 2), text.length - 2]) {
          tampered.push(text.slice(0, at) + (text[at] === 'x' ? 'y' : 'x') + text.slice(at + 1));
        }
        tampered.push(
          `${text}x`,
          text.slice(0, -4),
          `${text}?x=1`,
          text.slice(0, start) + other.slice(start, -8) + text.slice(-8),
        );
      }
      for (const [name, value] of url.searchParams) {
        const changed = new URL(text);
        const last = value.at(-1) === '1' ? '2' : '1';
        changed.searchParams.set(name, value.slice(0, -1) + last);
        tampered.push(changed.href);
        const without = new URL(text);
        without.searchParams.delete(name);
        tampered.push(without.href);
      }
      if (setup.bucket) tampered.push(`${url.origin}${url.pathname}`);
      expect(tampered.length).toBeGreaterThan(2);
      for (const one of tampered) {
        const { status } = await fetch(one);
        // S3 tells a query that makes no sense apart from one that is not permitted.
        expect([one, [400, 403].includes(status)]).toEqual([one, true]);
      }
      expect((await fetch(text, { method: 'DELETE' })).status).toBeGreaterThanOrEqual(400);
      expect((await fetch(text, { method: 'PUT', body: 'x' })).status).toBeGreaterThanOrEqual(400);
      expect((await bytesOf(await fetch(text))).equals(content)).toBe(true);
    });

    it('ends', async () => {
      const { url, expireTime } = await client.getFileUrl({
        source: { case: 'fileId', value: file.id },
        ttl: { seconds: 2n },
      });
      await sleep(timestampDate(expireTime!).getTime() - Date.now() + 1_100);
      expect((await fetch(url)).status).toBe(403);
    });

    it.each([
      ['plain.txt', /^attachment; filename=("?)plain\.txt\1$/],
      ['with "quotes".txt', /^attachment; filename="with \\"quotes\\"\.txt"/],
      ['invoice\u202efdp.exe', /^attachment; filename=("?)invoicefdp\.exe\1$/],
      ['Grüße 🍏.txt', /^attachment; .*filename\*=UTF-8''Gr%C3%BC%C3%9Fe%20%F0%9F%8D%8F\.txt/],
      ['a;b=c,d.txt', /^attachment; filename="a;b=c,d\.txt"/],
      ['%41%0d%0aSet-Cookie: x=1', /^attachment; /],
      ['x'.repeat(255), /^attachment; /],
    ])('offers to save the file as %j', async (downloadName, header) => {
      const got = await fetch(await urlOf(client, file.id, { downloadName }));
      expect(got.status).toBe(200);
      expect(got.headers.get('content-disposition')).toMatch(header);
      expect(got.headers.get('set-cookie')).toBeNull();
      await got.body?.cancel();
    });

    it('offers the name of the file by default', async () => {
      const got = await fetch(await urlOf(client, file.id));
      expect(got.headers.get('content-disposition')).toMatch(/^attachment; filename="?data\.bin"?$/);
      await got.body?.cancel();
    });

    it.each([
      'line\nbreak',
      'a\r\nb',
      '\u0000',
      'a\u0085b',
      '../../etc/passwd',
      'a\\b',
      '..',
      'x'.repeat(256),
      'x'.repeat(1025),
    ])('refuses the name %j', async (downloadName) => {
      const failure = await failureOf(urlOf(client, file.id, { downloadName }));
      expect(failure).toMatchObject({
        code: 'INVALID_ARGUMENT',
        reason: 'FIELD_INVALID',
        fields: ['download_name'],
      });
    });

    it.each([
      ['text/html', '<!doctype html><script>alert(1)</script>', 'attachment', 'application/octet-stream'],
      ['image/svg+xml', '<svg xmlns="http://www.w3.org/2000/svg"/>', 'attachment', 'image/svg+xml'],
      [
        'image/png+xml',
        '<svg xmlns="http://www.w3.org/2000/svg"/>',
        'attachment',
        'application/octet-stream',
      ],
      ['text/xml', '<?xml version="1.0"?><a/>', 'attachment', 'application/octet-stream'],
      ['application/javascript', 'alert(1)', 'attachment', 'application/octet-stream'],
      ['text/plain', '<script>a source</script>', 'inline', 'text/plain'],
      ['text/plain; charset=utf-8', 'hello', 'inline', 'text/plain; charset=utf-8'],
      ['text/plain; charset=utf-8, text/html', '<script>1</script>', 'inline', 'text/plain'],
      ['application/pdf', '%PDF-1.7\n', 'inline', 'application/pdf'],
    ])('shows %s inline only where it cannot run code', async (contentType, text, disposition, served) => {
      const made = await upload(client, new TextEncoder().encode(text), { file: { name: 'x', contentType } });
      const got = await fetch(await urlOf(client, made.id, { disposition: Disposition.INLINE }));
      expect(got.headers.get('content-disposition')).toMatch(new RegExp(`^${disposition}`));
      expect(got.headers.get('content-type')).toBe(served);
      if (!setup.bucket) {
        expect(got.headers.get('x-content-type-options')).toBe('nosniff');
        expect(got.headers.get('content-security-policy')).toContain("default-src 'none'");
      }
      await got.body?.cancel();
    });

    it('is refused for what has none', async () => {
      expect(await failureOf(urlOf(client, 'missing00000000'))).toMatchObject({
        ...{ code: 'NOT_FOUND', reason: 'FILE_NOT_FOUND', metadata: { file_id: 'missing00000000' } },
      });
      for (const ttl of [{ seconds: 0n }, { seconds: 604_801n }, { seconds: -1n }, { nanos: 5 }]) {
        expect(await failureOf(urlOf(client, file.id, { ttl }))).toMatchObject({ fields: ['ttl'] });
      }
      expect(await failureOf(client.getFileUrl({}))).toMatchObject({ reason: 'FIELD_INVALID' });
    });
  });

  it('gives URLs of many files in order, each with its own error', async () => {
    const gone = await upload(client, randomContent(1));
    await client.deleteFile({ fileId: gone.id });
    const ids = [file.id, 'missing00000000', empty.id, gone.id, file.id];
    const { results } = await client.batchGetFileUrls({
      requests: ids.map((value) => ({ source: { case: 'fileId' as const, value } })),
    });
    const told = results.map(({ result }) => {
      if (result.case === 'response') return Number(result.value.sizeBytes);
      if (result.case !== 'error') return undefined;
      const { code, details } = result.value;
      const info = anyUnpack(details[0]!, ErrorInfoSchema);
      expect(info?.domain).toBe('asset.v1');
      return [code, info?.reason, info?.metadata['file_id']];
    });
    expect(told).toEqual([
      content.length,
      [Code.NotFound, 'ERROR_REASON_FILE_NOT_FOUND', 'missing00000000'],
      0,
      [Code.NotFound, 'ERROR_REASON_FILE_DELETED', gone.id],
      content.length,
    ]);
    const [first] = results;
    if (first?.result.case !== 'response') throw new Error('no URL');
    expect((await bytesOf(await fetch(first.result.value.url))).equals(content)).toBe(true);
  });

  it('gives them in JSON too', async () => {
    const response = await fetch(`${service.url}/asset.v1.AssetService/BatchGetFileUrls`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ requests: [{ fileId: file.id }, { fileId: 'missing00000000' }] }),
    });
    const missing = { reason: 'ERROR_REASON_FILE_NOT_FOUND', metadata: { file_id: 'missing00000000' } };
    expect(await response.json()).toMatchObject({
      results: [
        { response: { sizeBytes: String(content.length) } },
        { error: { code: Code.NotFound, details: [missing] } },
      ],
    });
  });

  it('gives a thousand URLs at once, and no more', async () => {
    const requests = (count: number) =>
      Array.from({ length: count }, () => ({ source: { case: 'fileId' as const, value: file.id } }));
    expect((await client.batchGetFileUrls({ requests: requests(1000) })).results).toHaveLength(1000);
    for (const count of [0, 1001]) {
      const failure = await failureOf(client.batchGetFileUrls({ requests: requests(count) }));
      expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', fields: ['requests'] });
    }
  });

  it.each(Object.keys(TRANSPORTS))('streams a file through the service over %s', async (name) => {
    const through = createClient(AssetService, TRANSPORTS[name]!(service.url));
    const { content: got, files } = await download(through, file.id);
    expect(got.equals(content)).toBe(true);
    expect(files).toEqual([file]);
  });

  it.each([
    [0, 0],
    [0, 1],
    [5, 0],
    [5, 10],
    [MiB - 1, MiB + 1],
    [2 * MiB, 10 * MiB],
    [2 * MiB + 16, 1],
  ])('streams from offset %i at most %i bytes', async (offset, limit) => {
    const range = { readOffset: BigInt(offset), readLimit: BigInt(limit) };
    const { content: got, files } = await download(client, file.id, range);
    expect(got.equals(content.subarray(offset, limit > 0 ? offset + limit : undefined))).toBe(true);
    expect(files).toHaveLength(1);
  });

  it('streams nothing but the record from the end of a file', async () => {
    for (const [one, readOffset] of [
      [file, file.sizeBytes],
      [empty, 0n],
    ] as const) {
      const { content: got, files } = await download(client, one.id, { readOffset });
      expect([got.length, files.length]).toEqual([0, 1]);
    }
  });

  it('refuses to stream from past the end, and what is not there', async () => {
    expect(await failureOf(download(client, file.id, { readOffset: file.sizeBytes + 1n }))).toMatchObject({
      ...{ code: 'OUT_OF_RANGE', reason: 'READ_OFFSET_OUT_OF_RANGE' },
      metadata: { size_bytes: String(file.sizeBytes) },
    });
    expect(await failureOf(download(client, 'missing00000000'))).toMatchObject({ code: 'NOT_FOUND' });
    for (const [readOffset, readLimit] of [
      [-1n, 0n],
      [0n, -1n],
    ] as const) {
      expect(await failureOf(download(client, file.id, { readOffset, readLimit }))).toMatchObject({
        reason: 'FIELD_INVALID',
      });
    }
  });

  it('holds little memory for callers that stop reading', async () => {
    const large = await upload(client, new Uint8Array(64 * MiB), { withSize: true, chunkBytes: MiB });
    await sleep(200);
    const before = residentBytes(service.pid!);
    const aborts: AbortController[] = [];
    for (let i = 0; i < 8; i++) {
      const abort = new AbortController();
      aborts.push(abort);
      // Each on a connection of its own: eight times the file would be half a gigabyte.
      const stream = clientOf(service.url).downloadFile({ fileId: large.id }, { signal: abort.signal });
      await stream[Symbol.asyncIterator]().next();
    }
    await sleep(1_500);
    expect(residentBytes(service.pid!) - before).toBeLessThan(128 * MiB);
    expect((await client.getFile({ fileId: file.id })).file).toEqual(file);
    aborts.forEach((abort) => abort.abort());
  });
});

describe.each([POCKETBASE, POSTGRES])('the bucket on $name', (kind) => {
  it('serves signed URLs and nothing to strangers', async () => {
    const setup = await kind.open();
    const service = await startService(setup.env);
    try {
      const client = clientOf(service.url);
      const content = randomContent(1000);
      const file = await upload(client, content);
      const url = new URL(await urlOf(client, file.id));
      expect(url.origin).toBe(setup.bucket!.endpoint);
      expect(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(content)).toBe(true);
      const { endpoint, bucket } = setup.bucket!;
      expect((await fetch(`${url.origin}${url.pathname}`)).status).toBe(403);
      expect((await fetch(`${url.origin}${url.pathname}`, { method: 'PUT', body: 'x' })).status).toBe(403);
      expect((await fetch(`${endpoint}/${bucket}?list-type=2`)).status).toBe(403);
      expect((await fetch(`${endpoint}/${bucket}`)).status).toBe(403);
    } finally {
      await service.dispose();
      await setup.dispose();
    }
  });
});

/** Resident memory of a process, in bytes. */
function residentBytes(pid: number): number {
  const [, kibibytes] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) * 1024;
}
