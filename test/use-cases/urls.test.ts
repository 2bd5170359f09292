import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { anyUnpack, timestampMs } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { Disposition } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { File } from '@asset-service/contract/asset/v1/file_pb.js';
import { ErrorInfoSchema } from '@asset-service/contract/google/rpc/error_details_pb.js';
import { setTimeout as sleep } from 'node:timers/promises';
import { randomContent, upload, urlOf, type AssetClient } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { openHouse, type House } from './support/house.ts';

const DAY_SECONDS = 24n * 3600n;

describe('a URL of a file', () => {
  const content = randomContent(10_017);
  let house: House;
  let client: AssetClient;
  let file: File;
  let empty: File;

  beforeAll(async () => {
    const usages = {
      saved: { disposition: 'attachment' },
      short: { urlLifetimeSeconds: { min: 60, max: 120, default: 90 } },
    };
    house = await openHouse({ policies: { usages, default: {} } });
    client = house.client;
    file = await upload(client, content, { file: { name: 'data.bin' } });
    empty = await upload(client, randomContent(0), { file: { name: 'empty' } });
  });

  afterAll(() => house?.close());

  const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer());
  const sourceOf = (value: string) => ({ case: 'fileId' as const, value });

  /** Status and headers of the answer to a URL, without its body. */
  async function headOf(url: string, init: RequestInit = {}): Promise<Response> {
    const answer = await fetch(url, init);
    await answer.body?.cancel();
    return answer;
  }

  /** For how long a URL is valid from now on, in seconds. */
  async function lifetime(fileId: string, seconds?: bigint): Promise<number> {
    const ttl = seconds === undefined ? {} : { ttl: { seconds } };
    const { expireTime } = await client.getFileUrl({ source: sourceOf(fileId), ...ttl });
    return (timestampMs(expireTime!) - Date.now()) / 1000;
  }

  it('comes with type and size, and leads to the service', async () => {
    const answer = await client.getFileUrl({ source: sourceOf(file.id) });
    expect(answer).toMatchObject({ contentType: 'application/octet-stream', sizeBytes: file.sizeBytes });
    expect(new URL(answer.url).origin).toBe(house.url);
  });

  it('lives for at most the time asked for, and for at least half of it', async () => {
    for (const seconds of [100n, 7n * DAY_SECONDS]) {
      const left = await lifetime(file.id, seconds);
      expect(left).toBeLessThanOrEqual(Number(seconds));
      // The call itself takes some time.
      expect(left).toBeGreaterThan(Number(seconds) / 2 - 30);
    }
  });

  it('lives as long as the usage says', async () => {
    const { id } = await upload(client, content, { file: { usage: 'short' } });
    for (const [asked, ttl] of [
      [undefined, 90],
      [1n, 60],
      [100n, 100],
      [DAY_SECONDS, 120],
    ] as const) {
      const left = await lifetime(id, asked);
      expect([asked, left > ttl / 2 - 20 && left <= ttl]).toEqual([asked, true]);
    }
  });

  it.each([{ seconds: 0n }, { seconds: 604_801n }, { seconds: -1n }, { nanos: 5 }])(
    'cannot live for %j',
    async (ttl) => {
      expect(await failureOf(urlOf(client, file.id, { ttl }))).toMatchObject({
        ...{ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID', fields: ['ttl'] },
      });
    },
  );

  it('is the same within its time window, so that caches work', async () => {
    const ttl = { seconds: 7n * DAY_SECONDS };
    const first = await urlOf(client, file.id, { ttl });
    // Until the clock shows another second.
    await sleep(1_100);
    expect(await urlOf(client, file.id, { ttl })).toBe(first);
    const [, maxAge] = /^max-age=(\d+), immutable$/.exec(
      (await headOf(first)).headers.get('cache-control')!,
    )!;
    expect(Number(maxAge)).toBe(Number(ttl.seconds) / 2);
    const others = await Promise.all([
      urlOf(client, file.id, { ttl, downloadName: 'other' }),
      urlOf(client, file.id, { ttl: { seconds: 6n * DAY_SECONDS } }),
      urlOf(client, empty.id, { ttl }),
    ]);
    expect(new Set([first, ...others]).size).toBe(4);
  });

  it('serves GET, HEAD and byte ranges', async () => {
    const url = await urlOf(client, file.id);
    const got = await fetch(url);
    expect([got.status, got.headers.get('content-length')]).toEqual([200, String(content.length)]);
    expect((await bytesOf(got)).equals(content)).toBe(true);
    const head = await fetch(url, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(content.length)]);
    expect(await bytesOf(head)).toHaveLength(0);
    for (const [range, start, end] of [
      ['bytes=0-0', 0, 1],
      ['bytes=10-1009', 10, 1010],
      ['bytes=10000-', 10_000, 10_017],
      ['bytes=-5', 10_012, 10_017],
      ['bytes=5-99999', 5, 10_017],
    ] as const) {
      const part = await fetch(url, { headers: { range } });
      expect([range, part.status]).toEqual([range, 206]);
      expect(part.headers.get('content-range')).toBe(`bytes ${start}-${end - 1}/${content.length}`);
      expect((await bytesOf(part)).equals(content.subarray(start, end))).toBe(true);
    }
    const past = await headOf(url, { headers: { range: 'bytes=99999-' } });
    expect(past.status).toBe(416);
    const none = await fetch(await urlOf(client, empty.id));
    expect([none.status, (await bytesOf(none)).length]).toEqual([200, 0]);
  });

  it('answers 304 to a reader that has the bytes', async () => {
    const url = await urlOf(client, file.id);
    const etag = (await headOf(url)).headers.get('etag');
    expect(etag).toBeTruthy();
    const again = await fetch(url, { headers: { 'if-none-match': etag! } });
    expect([again.status, (await bytesOf(again)).length]).toEqual([304, 0]);
    const other = await headOf(url, { headers: { 'if-none-match': '"other"' } });
    expect(other.status).toBe(200);
  });

  it('is refused once any part of it is changed', async () => {
    const text = await urlOf(client, file.id, { disposition: Disposition.ATTACHMENT });
    const other = await urlOf(client, empty.id);
    const start = text.lastIndexOf('/') + 1;
    const tampered = [start, start + 40, Math.floor((start + text.length) / 2), text.length - 2].map(
      (at) => text.slice(0, at) + (text[at] === 'x' ? 'y' : 'x') + text.slice(at + 1),
    );
    tampered.push(`${text}x`, text.slice(0, -4), `${text}?x=1`);
    tampered.push(text.slice(0, start) + other.slice(start, -8) + text.slice(-8));
    for (const one of tampered) expect([one, (await headOf(one)).status]).toEqual([one, 403]);
    expect((await headOf(text, { method: 'DELETE' })).status).toBe(405);
    expect((await headOf(text)).status).toBe(200);
  });

  it.each([
    ['plain.txt', /^attachment; filename=("?)plain\.txt\1$/],
    ['with "quotes".txt', /^attachment; filename="with \\"quotes\\"\.txt"/],
    ['invoice\u202efdp.exe', /^attachment; filename=("?)invoicefdp\.exe\1$/],
    ['Grüße 🍏.txt', /^attachment; .*filename\*=UTF-8''Gr%C3%BC%C3%9Fe%20%F0%9F%8D%8F\.txt/],
    ['a;b=c,d.txt', /^attachment; filename="a;b=c,d\.txt"/],
    ['%41%0d%0aSet-Cookie: x=1', /^attachment; /],
    ['x'.repeat(255), /^attachment; /],
    // The name of the file itself.
    ['', /^attachment; filename="?data\.bin"?$/],
  ])('offers to save the file as %j', async (downloadName, header) => {
    const { status, headers } = await headOf(await urlOf(client, file.id, { downloadName }));
    expect(status).toBe(200);
    expect(headers.get('content-disposition')).toMatch(header);
    expect(headers.get('set-cookie')).toBeNull();
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
    expect(await failureOf(urlOf(client, file.id, { downloadName }))).toMatchObject({
      ...{ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID', fields: ['download_name'] },
    });
  });

  it.each([
    ['text/html', '<!doctype html><script>alert(1)</script>', 'attachment', 'application/octet-stream'],
    ['image/svg+xml', '<svg xmlns="http://www.w3.org/2000/svg"/>', 'attachment', 'image/svg+xml'],
    ['image/png+xml', '<svg xmlns="http://www.w3.org/2000/svg"/>', 'attachment', 'application/octet-stream'],
    ['text/xml', '<?xml version="1.0"?><a/>', 'attachment', 'application/octet-stream'],
    ['application/javascript', 'alert(1)', 'attachment', 'application/octet-stream'],
    ['text/plain', '<script>a source</script>', 'inline', 'text/plain'],
    ['text/plain; charset=utf-8', 'hello', 'inline', 'text/plain; charset=utf-8'],
    ['text/plain; charset=utf-8, text/html', '<script>1</script>', 'inline', 'text/plain'],
    ['application/pdf', '%PDF-1.7\n', 'inline', 'application/pdf'],
  ])('shows %s inline only where it cannot run code', async (contentType, text, disposition, served) => {
    const made = await upload(client, new TextEncoder().encode(text), { file: { name: 'x', contentType } });
    const source = sourceOf(made.id);
    const answer = await client.getFileUrl({ source, disposition: Disposition.INLINE });
    expect(answer.contentType).toBe(served);
    const { headers } = await headOf(answer.url);
    expect(headers.get('content-disposition')).toMatch(new RegExp(`^${disposition}`));
    expect(headers.get('content-type')).toBe(served);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
  });

  it('never shows inline what the usage says is to be saved', async () => {
    const saved = await upload(client, content, { file: { usage: 'saved' } });
    const inline = urlOf(client, saved.id, { disposition: Disposition.INLINE });
    expect(await failureOf(inline)).toMatchObject({
      ...{ code: 'INVALID_ARGUMENT', reason: 'DISPOSITION_NOT_ALLOWED', metadata: { usage: 'saved' } },
    });
    const { headers } = await headOf(await urlOf(client, saved.id));
    expect(headers.get('content-disposition')).toMatch(/^attachment/);
  });

  it('is refused for a file that does not exist', async () => {
    expect(await failureOf(urlOf(client, 'missing00000000'))).toMatchObject({
      ...{ code: 'NOT_FOUND', reason: 'FILE_NOT_FOUND', metadata: { file_id: 'missing00000000' } },
    });
    expect(await failureOf(client.getFileUrl({}))).toMatchObject({ reason: 'FIELD_INVALID' });
    // No old system is configured.
    const old = client.getFileUrl({ source: { case: 'legacyPath', value: 'a/b.txt' } });
    expect(await failureOf(old)).toMatchObject({ code: 'INVALID_ARGUMENT', fields: ['legacy_path'] });
  });

  it('comes in a batch in the order asked, each with its own error', async () => {
    const gone = await upload(client, randomContent(1));
    await client.deleteFile({ fileId: gone.id });
    const ids = [file.id, 'missing00000000', empty.id, gone.id, file.id];
    const requests = [
      ...ids.map((id) => ({ source: sourceOf(id) })),
      { source: sourceOf(file.id), downloadName: 'a/b' },
    ];
    const { results } = await client.batchGetFileUrls({ requests });
    const told = results.map(({ result }) => {
      if (result.case === 'response') return Number(result.value.sizeBytes);
      const { code, details } = result.value!;
      const info = anyUnpack(details[0]!, ErrorInfoSchema);
      expect(info?.domain).toBe('asset.v1');
      return [code, info?.reason.replace('ERROR_REASON_', ''), info?.metadata['file_id']];
    });
    expect(told).toEqual([
      content.length,
      [Code.NotFound, 'FILE_NOT_FOUND', 'missing00000000'],
      0,
      [Code.NotFound, 'FILE_DELETED', gone.id],
      content.length,
      [Code.InvalidArgument, 'FIELD_INVALID', undefined],
    ]);
    const [first] = results;
    if (first?.result.case !== 'response') throw new Error('no URL');
    expect((await bytesOf(await fetch(first.result.value.url))).equals(content)).toBe(true);
  });

  it('comes in a batch of one to a thousand', async () => {
    const requests = (count: number) => Array.from({ length: count }, () => ({ source: sourceOf(file.id) }));
    expect((await client.batchGetFileUrls({ requests: requests(1000) })).results).toHaveLength(1000);
    for (const count of [0, 1001]) {
      const failure = await failureOf(client.batchGetFileUrls({ requests: requests(count) }));
      expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', fields: ['requests'] });
    }
  });

  it('comes in a batch of JSON', async () => {
    const response = await fetch(`${house.url}/asset.v1.AssetService/BatchGetFileUrls`, {
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
});
