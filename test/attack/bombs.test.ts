import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import http2 from 'node:http2';
import { brotliCompressSync, constants, deflateRawSync, gzipSync } from 'node:zlib';
import { decideContentType, SNIFF_BYTES } from '../../src/files/content-type/content-type.ts';
import { clientOf, download, upload } from '../e2e/support/calls.ts';
import { startService, type Service } from '../support/service.ts';
import { residentMiB, whileOthersWork } from './support/others.ts';
import { enveloped } from './support/raw-http2.ts';

const MiB = 2 ** 20;
const RPC = '/asset.v1.AssetService';

/** Memory that all bombs of a test may cost, in MiB; inflated they would take twenty times 256. */
const ROOM_MIB = 400;
const AT_ONCE = 20;

/** Zeros that inflate to 256 MiB: gzip members may be concatenated. */
const GZIP = Buffer.concat(Array.from({ length: 16 }, () => gzipSync(Buffer.alloc(16 * MiB))));
const BROTLI = brotliCompressSync(Buffer.alloc(256 * MiB), {
  params: { [constants.BROTLI_PARAM_QUALITY]: 1, [constants.BROTLI_PARAM_LGWIN]: 16 },
});

const ENCODINGS: [string, Buffer][] = [
  ['gzip', GZIP],
  ['br', BROTLI],
];

describe('a message that inflates beyond the limit', () => {
  let service: Service;

  beforeAll(async () => {
    service = await startService();
    // The first calls of a service allocate memory that is not the bomb's.
    const client = clientOf(service.url);
    await Promise.all(Array.from({ length: 20 }, () => upload(client, new Uint8Array(MiB))));
  });

  afterAll(() => service?.dispose());

  /** Sends a body over HTTP/2; returns headers, trailers and text of the response. */
  async function overHttp2(path: string, headers: Record<string, string>, body: Buffer) {
    const session = http2.connect(service.url);
    session.on('error', () => undefined);
    try {
      return await new Promise<Record<string, unknown>>((resolve, reject) => {
        const told: Record<string, unknown> = {};
        let text = '';
        const stream = session.request({ ':method': 'POST', ':path': path, ...headers });
        stream.on('response', (received) => Object.assign(told, received));
        stream.on('trailers', (received) => Object.assign(told, received));
        stream.on('data', (data: Buffer) => (text += data.toString('latin1')));
        stream.on('error', reject);
        stream.on('close', () => resolve({ ...told, text }));
        stream.end(body);
      });
    } finally {
      session.close();
    }
  }

  /** Sends the same body many times at once, while another caller works, and checks the memory. */
  async function bounded(send: () => Promise<void>): Promise<void> {
    const before = residentMiB(service);
    let peak = before;
    const timer = setInterval(() => (peak = Math.max(peak, residentMiB(service))), 20);
    try {
      await whileOthersWork(service, () => Promise.all(Array.from({ length: AT_ONCE }, send)));
    } finally {
      clearInterval(timer);
    }
    expect(peak - before).toBeLessThan(ROOM_MIB);
  }

  it.each(
    ENCODINGS.flatMap(([encoding, bomb]) =>
      ['GetFile', 'Upload', 'UploadChunk', 'DownloadFile'].map((method) => ({ encoding, bomb, method })),
    ),
  )('is refused in gRPC ($encoding, $method)', async ({ encoding, bomb, method }) => {
    const headers = { 'content-type': 'application/grpc', te: 'trailers', 'grpc-encoding': encoding };
    await bounded(async () => {
      const told = await overHttp2(`${RPC}/${method}`, headers, enveloped(bomb, 1));
      expect(told).toMatchObject({ ':status': 200, 'grpc-status': '8' });
    });
  });

  it.each(ENCODINGS)('is refused in gRPC-Web (%s)', async (encoding, bomb) => {
    await bounded(async () => {
      const headers = { 'content-type': 'application/grpc-web+proto', 'grpc-encoding': encoding };
      const body = new Uint8Array(enveloped(bomb, 1));
      const answer = await fetch(`${service.url}${RPC}/GetFile`, { method: 'POST', headers, body });
      expect(`${answer.headers.get('grpc-status')} ${await answer.text()}`).toMatch(/^8 |grpc-status: ?8\r/);
    });
  });

  it.each(
    ENCODINGS.flatMap(([encoding, bomb]) =>
      ['application/json', 'application/proto'].map((type) => ({ encoding, bomb, type })),
    ),
  )('is refused in the body of Connect ($encoding, $type)', async ({ encoding, bomb, type }) => {
    await bounded(async () => {
      const headers = { 'content-type': type, 'content-encoding': encoding };
      const body = new Uint8Array(bomb);
      const answer = await fetch(`${service.url}${RPC}/UploadChunk`, { method: 'POST', headers, body });
      expect(answer.status).toBe(429);
      expect(await answer.json()).toMatchObject({ code: 'resource_exhausted' });
    });
  });

  it.each(ENCODINGS)('is refused in a stream of Connect (%s)', async (encoding, bomb) => {
    await bounded(async () => {
      const headers = { 'content-type': 'application/connect+proto', 'connect-content-encoding': encoding };
      const told = await overHttp2(`${RPC}/Upload`, headers, enveloped(bomb, 1));
      expect(told['text']).toContain('"code":"resource_exhausted"');
    });
  });

  it('is distinguished from a compressed message of normal size', async () => {
    const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
    const body = new Uint8Array(gzipSync('{}'));
    const answer = await fetch(`${service.url}${RPC}/ListFiles`, { method: 'POST', headers, body });
    expect(answer.status).toBe(200);
  });
});

/** Header of a tar archive whose only member claims this size, in octal. */
function tar(size: string): Buffer {
  const header = Buffer.alloc(512);
  header.write('a.bin');
  header.write(`0000644\0${'0'.repeat(7)}\0${'0'.repeat(7)}\0${size.padStart(11, '0')}\0`, 100);
  header.write('        0', 148);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

/** A file of a ZIP archive. */
function zipped(name: string, content: Buffer, sizes: { compressed: number; plain: number }): Buffer {
  const header = Buffer.alloc(30);
  header.write('PK\x03\x04');
  header.writeUInt16LE(20, 4);
  header.writeUInt16LE(8, 8);
  header.writeUInt32LE(sizes.compressed, 18);
  header.writeUInt32LE(sizes.plain, 22);
  header.writeUInt16LE(name.length, 26);
  return Buffer.concat([header, Buffer.from(name), content]);
}

/** A PNG of these dimensions, with one more chunk. */
function png(width: number, height: number, chunk: string, length: number, content: Buffer): Buffer {
  const header = Buffer.alloc(33);
  Buffer.from('89504e470d0a1a0a', 'hex').copy(header);
  header.writeUInt32BE(13, 8);
  header.write('IHDR', 12);
  header.writeUInt32BE(width, 16);
  header.writeUInt32BE(height, 20);
  header.set([8, 6], 24);
  const more = Buffer.alloc(8);
  more.writeUInt32BE(length, 0);
  more.write(chunk, 4);
  return Buffer.concat([header, more, content]);
}

const ZEROS = deflateRawSync(Buffer.alloc(256 * MiB));
const MAX = 0xffffffff;

/** A detector that recursively inflates content would never finish with such files. */
const NESTED = Array.from({ length: 200 }).reduce<Buffer>((inner) => gzipSync(inner), Buffer.from('x'));

const BOMBS: [string, string, Buffer][] = [
  ['gzip of zeros', 'application/gzip', GZIP],
  ['gzip of a tar of zeros', 'gzip', gzipSync(Buffer.concat([tar('77777777777'), Buffer.alloc(64 * MiB)]))],
  ['gzip in gzip, 200 times', 'application/gzip', NESTED],
  ['gzip that ends early', 'application/gzip', GZIP.subarray(0, 20)],
  ['a tar whose member has 8 GiB', 'application/x-tar', tar('77777777777')],
  ['a ZIP of zeros', 'application/zip', zipped('a', ZEROS, { compressed: ZEROS.length, plain: 256 * MiB })],
  [
    'a ZIP whose types are zeros',
    'application/',
    zipped('[Content_Types].xml', ZEROS, { compressed: ZEROS.length, plain: 256 * MiB }),
  ],
  [
    'a ZIP whose types are zeros, in the head',
    'application/',
    zipped('[Content_Types].xml', ZEROS.subarray(0, 4000), { compressed: 4000, plain: 100 }),
  ],
  [
    'a ZIP whose mimetype is zeros',
    'application/',
    zipped('mimetype', ZEROS, { compressed: MAX, plain: MAX }),
  ],
  [
    'a ZIP of hundreds of empty files',
    'application/',
    Buffer.concat(
      Array.from({ length: 500 }, () => zipped('a', Buffer.alloc(0), { compressed: 0, plain: 0 })),
    ),
  ],
  ['a PNG of 2^31 points each way', 'image/png', png(0x7fffffff, 0x7fffffff, 'IDAT', ZEROS.length, ZEROS)],
  ['a PNG whose chunk has 4 GiB', '', png(1, 1, 'IDAT', MAX, ZEROS)],
  ['a PNG whose text inflates', 'image/png', png(1, 1, 'zTXt', ZEROS.length, ZEROS)],
  ['a PNG of hundreds of empty chunks', 'image/', png(1, 1, 'tEXt', 0, Buffer.alloc(4100))],
  [
    'an ASF whose objects have no size',
    '',
    Buffer.concat([Buffer.from('3026b2758e66cf11a6d900aa0062ce6c', 'hex'), Buffer.alloc(4084)]),
  ],
  ['EBML of elements without size', '', Buffer.from(`1a45dfa3${'80'.repeat(4096)}`, 'hex')],
  [
    'ID3 of 256 MiB',
    '',
    Buffer.concat([Buffer.from('ID3\x04\0\0\x7f\x7f\x7f\x7f', 'latin1'), Buffer.alloc(4000)]),
  ],
  ['TIFF that leads to itself', '', Buffer.from(`49492a00${'08000000'.repeat(1024)}`, 'hex')],
];

describe('a file that inflates enormously', () => {
  it.each(BOMBS)('is known by its head, and by no more: %s', async (_name, type, bomb) => {
    const before = process.memoryUsage.rss();
    const head = bomb.subarray(0, SNIFF_BYTES);
    expect(await decideContentType('', 'x', head, 'none')).toContain(type);
    expect((process.memoryUsage.rss() - before) / MiB).toBeLessThan(100);
  });

  it('is stored unchanged', async () => {
    const service = await startService();
    try {
      const client = clientOf(service.url);
      const before = residentMiB(service);
      for (const [, , bomb] of BOMBS) {
        const content = new Uint8Array(bomb);
        const { id } = await upload(client, content);
        expect((await download(client, id)).content.equals(content)).toBe(true);
      }
      expect(residentMiB(service) - before).toBeLessThan(ROOM_MIB);
    } finally {
      await service.dispose();
    }
  });
});
