import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { UploadTransport } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import http from 'node:http';
import http2 from 'node:http2';
import { clientOf } from '../e2e/support/calls.ts';
import { startService, type Service } from '../support/service.ts';
import { residentMiB, until, whileOthersWork } from './support/others.ts';

const MiB = 2 ** 20;
const PART_BYTES = 8 * MiB;
const STREAMS = 100;
/** Memory that the attack may cost, in MiB: what one connection may send in advance, and the calls themselves. */
const ROOM_MIB = 250;

/** One PUT of a part: its status, or 0 if it was cut off. */
interface Put {
  status: number | undefined;
  /** Sends a byte. */
  drip(): void;
}

describe('the URL of one part, used many times at once', () => {
  let service: Service;

  beforeAll(async () => {
    service = await startService({ ASSET_UPLOAD_STALL_TIMEOUT: '4' });
  });

  afterAll(() => service?.dispose());

  async function partUrl(): Promise<URL> {
    const client = clientOf(service.url);
    const { uploadId } = await client.startUpload({
      uploadSpec: { file: {}, sizeBytes: BigInt(PART_BYTES) },
      transport: UploadTransport.DIRECT,
    });
    const { parts } = await client.signUploadParts({ uploadId, partNumbers: [1] });
    return new URL(parts[0]!.url);
  }

  const overHttp2 = (session: http2.ClientHttp2Session) => (url: URL, body?: Buffer) => {
    const stream = session.request({ ':method': 'PUT', ':path': url.pathname + url.search });
    const put: Put = { status: undefined, drip: () => void (stream.destroyed || stream.write('x')) };
    stream.on('response', (headers) => (put.status = Number(headers[':status'])));
    stream.on('close', () => (put.status ??= 0));
    stream.on('error', () => undefined);
    stream.resume();
    if (body) stream.end(body);
    return put;
  };

  const overHttp1 = (url: URL, body?: Buffer) => {
    const headers = { 'content-length': PART_BYTES };
    const request = http.request(url, { method: 'PUT', headers, agent: false }, (response) => {
      put.status = response.statusCode;
      response.resume();
    });
    const put: Put = { status: undefined, drip: () => void (request.destroyed || request.write('x')) };
    request.on('close', () => (put.status ??= 0)).on('error', () => undefined);
    if (body) request.end(body);
    else request.flushHeaders();
    return put;
  };

  it.each(['HTTP/2', 'HTTP/1.1'])('holds few of them, and ends one that drips, over %s', async (version) => {
    await whileOthersWork(service, async () => {
      const url = await partUrl();
      const session = http2.connect(service.url, { maxSessionMemory: 4_000 });
      session.on('error', () => undefined);
      const put = version === 'HTTP/2' ? overHttp2(session) : overHttp1;
      const before = residentMiB(service);
      let peak = before;
      const first = put(url);
      first.drip();
      const timer = setInterval(() => {
        first.drip();
        peak = Math.max(peak, residentMiB(service));
      }, 50);
      try {
        const body = Buffer.alloc(PART_BYTES);
        const puts = Array.from({ length: STREAMS }, () => put(url, body));
        await until(
          () => puts.every(({ status }) => status !== undefined),
          'each is answered or cut',
          60_000,
        );
        expect(first.status).not.toBe(200);
        const stored = puts.filter(({ status }) => status === 200).length;
        expect(stored).toBeGreaterThan(0);
        expect(stored).toBeLessThan(5);
        expect(puts.filter(({ status }) => ![0, 200, 503].includes(status!))).toEqual([]);
        expect(peak - before).toBeLessThan(ROOM_MIB);
      } finally {
        clearInterval(timer);
        session.destroy();
      }
    });
  });
});
