import type { DownloadFileRequest } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Code } from '@connectrpc/connect';
import { crc32c } from '@node-rs/crc32';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { serviceError } from './clients-double.ts';
import { content, file, PIECE, start } from './clients-worker-double.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'clients-download-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Serves `content`; `spoil` may throw, cut or change a piece before it is sent. */
function serving(
  requests: DownloadFileRequest[],
  spoil: (piece: Buffer, sent: number) => Buffer = (piece) => piece,
) {
  let sent = 0;
  return async function* (request: DownloadFileRequest) {
    requests.push(request);
    const start = Number(request.readOffset);
    const end =
      request.readLimit === 0n ? content.length : Math.min(content.length, start + Number(request.readLimit));
    if (start >= end) yield { file };
    for (let at = start; at < end; at += PIECE) {
      const piece = content.subarray(at, Math.min(end, at + PIECE));
      sent += 1;
      const data = { content: spoil(piece, sent), crc32c: crc32c(piece) };
      yield at === start ? { file, data } : { data };
      await sleep(1);
    }
  };
}

describe('downloads', () => {
  it('open a file, whole and in part, with its record', async () => {
    const requests: DownloadFileRequest[] = [];
    const { client } = await start({ downloadFile: serving(requests) });
    const whole = await client.openRead('abc');
    expect(whole.file).toMatchObject({
      id: 'abc',
      sizeBytes: content.length,
      sha256: file.checksums.sha256.toString('hex'),
    });
    expect((await buffer(whole.stream)).equals(content)).toBe(true);
    const part = await client.openRead('abc', { offset: 150_000, length: 250_001 });
    expect((await buffer(part.stream)).equals(content.subarray(150_000, 400_001))).toBe(true);
    const end = await client.openRead('abc', { offset: content.length });
    expect((await buffer(end.stream)).length).toBe(0);
  });

  for (const transport of ['grpc', 'connect'] as const) {
    it(`go on where a cut connection stopped them, over ${transport}`, async () => {
      const requests: DownloadFileRequest[] = [];
      let cut = () => {};
      const { client, double } = await start(
        {
          downloadFile: serving(requests, (piece, sent) => {
            if (sent === 4 || sent === 9) cut();
            if (sent === 6) throw serviceError(Code.Unavailable, 'STORE_UNAVAILABLE', { retryMs: 5 });
            return piece;
          }),
        },
        // A deadline would leave a timer in the double, whose library forgets it where a connection is cut.
        { transport, timeouts: { transferMs: 0 } },
      );
      cut = () => double.cut();
      const path = join(folder, `resumed-${transport}.bin`);
      const received: number[] = [];
      const got = await client.downloadToFile('abc', path, {
        onProgress: (event) => received.push(event.receivedBytes),
      });
      expect(got.id).toBe('abc');
      expect((await readFile(path)).equals(content)).toBe(true);
      const offsets = requests.map(({ readOffset }) => Number(readOffset));
      expect(offsets[0]).toBe(0);
      expect(offsets.length).toBeGreaterThanOrEqual(3);
      expect(offsets.slice(1).every((offset, index) => offset > 0 && offset >= offsets[index]!)).toBe(true);
      expect(received).toEqual(received.toSorted((a, b) => a - b));
      expect(received.at(-1)).toBe(content.length);
    });
  }

  it('never show a damaged or a partial file under its path', async () => {
    const path = join(folder, 'kept.bin');
    await writeFile(path, 'what was there');
    const flip = (piece: Buffer) => {
      const other = Buffer.from(piece);
      other[5]! ^= 1;
      return other;
    };
    const wrongPiece = await start({
      downloadFile: serving([], (piece, sent) => (sent === 3 ? flip(piece) : piece)),
    });
    await expect(wrongPiece.client.downloadToFile('abc', path)).rejects.toMatchObject({
      code: 'DATA_LOSS',
      reason: 'DOWNLOAD_DAMAGED',
    });
    const wrongWhole = await start({
      async *downloadFile() {
        const other = flip(content);
        yield { file, data: { content: other, crc32c: crc32c(other) } };
      },
    });
    await expect(wrongWhole.client.downloadToFile('abc', path)).rejects.toMatchObject({
      reason: 'DOWNLOAD_DAMAGED',
    });
    const short = await start({
      async *downloadFile() {
        yield { file, data: { content: content.subarray(0, 10), crc32c: crc32c(content.subarray(0, 10)) } };
      },
    });
    await expect(short.client.downloadToFile('abc', path)).rejects.toMatchObject({
      reason: 'DOWNLOAD_DAMAGED',
    });
    expect(await readFile(path, 'utf8')).toBe('what was there');
    expect((await readdir(folder)).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('reject at once where there is no file', async () => {
    const { client } = await start({
      async *downloadFile() {
        throw serviceError(Code.NotFound, 'FILE_NOT_FOUND', { metadata: { file_id: 'abc' } });
      },
    });
    await expect(client.openRead('abc')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      reason: 'FILE_NOT_FOUND',
      metadata: { file_id: 'abc' },
    });
  });

  it('leave nothing behind that keeps a process alive', async () => {
    const { client } = await start({ downloadFile: serving([]) });
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const { stream } = await client.openRead('abc');
    stream.destroy();
    const begun = await client.openRead('abc');
    for await (const _ of begun.stream) break;
    for (let i = 0; i < 100 && timers() > before; i++) await sleep(10);
    expect(timers()).toBeLessThanOrEqual(before);
  });

  it('take no more from the service than is read, and end with the stream', async () => {
    let sent = 0;
    let ended = false;
    const { client } = await start({
      async *downloadFile(_request, context) {
        context.signal.addEventListener('abort', () => (ended = true));
        const piece = Buffer.alloc(1024 * 1024);
        for (; sent < 64; sent++) {
          yield {
            data: { content: piece },
            ...(sent === 0 ? { file: { ...file, sizeBytes: 64n * 1024n * 1024n } } : {}),
          };
        }
      },
    });
    const { stream } = await client.openRead('abc');
    stream.read(1);
    await sleep(300);
    expect(sent).toBeLessThan(24);
    stream.destroy();
    for (let i = 0; i < 100 && !ended; i++) await sleep(10);
    expect(ended).toBe(true);
  });
});
