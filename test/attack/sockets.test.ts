import { toBinary, create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { UploadRequestSchema } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { writeFile } from 'node:fs/promises';
import http2 from 'node:http2';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import {
  clientOf,
  randomContent,
  send,
  spec,
  upload,
  urlOf,
  type UploadMessage,
} from '../e2e/support/calls.ts';
import { itSideBySide } from '../support/side-by-side.ts';
import { residentMiB, until, whileOthersWork } from './support/others.ts';
import {
  callHeaders,
  enveloped,
  FLAG,
  frame,
  FRAME,
  headerBlock,
  RawHttp2,
  settingsPayload,
} from './support/raw-http2.ts';
import { openSockets } from './support/raw-sockets.ts';

const MiB = 2 ** 20;
const RPC = '/asset.v1.AssetService';
const GET_FILE = `${RPC}/GetFile`;

/** Settings with short timeouts. */
const IMPATIENT = {
  ASSET_LIMIT_BODY_TIME: '5',
  ASSET_LIMIT_IDLE_TIME: '6',
  ASSET_UPLOAD_STALL_TIMEOUT: '5',
};

/** Memory that an attack may cost, in MiB: the limits of uploads and windows, and garbage. */
const ROOM_MIB = 400;

/** Sends a byte on each socket now and then until all are closed. */
async function drip(sockets: readonly Socket[], byte: string): Promise<void> {
  const timer = setInterval(() => {
    for (const socket of sockets) if (socket.writable) socket.write(byte);
  }, 200);
  try {
    await until(
      () => sockets.every((socket) => socket.closed),
      'the service closes connections that only drip',
      60_000,
    );
  } finally {
    clearInterval(timer);
    for (const socket of sockets) socket.destroy();
  }
}

describe('hostile connections', () => {
  let dir: string;
  let service: Service;
  let pid: number | undefined;

  beforeAll(async () => {
    dir = await makeDir('attack');
    const policy = join(dir, 'policy.json');
    await writeFile(policy, JSON.stringify({ usages: { small: { maxSizeBytes: 8 * MiB } }, default: {} }));
    service = await startService({ ...IMPATIENT, ASSET_POLICY_FILE: policy });
    pid = service.pid;
  });

  afterAll(async () => {
    expect(service?.pid).toBe(pid);
    await service?.dispose();
    await removeDir(dir);
  });

  itSideBySide({
    // The longest: the others are over before it is.
    'that never read their downloads are cut off, and cost bounded memory': async () => {
      const client = clientOf(service.url);
      const file = await upload(client, randomContent(16 * MiB));
      const url = await urlOf(client, file.id);
      await whileOthersWork(service, async () => {
        const before = residentMiB(service);
        const raw = RawHttp2.open(service.port, [[4, 0]]);
        const request = enveloped(Buffer.from([10, file.id.length, ...Buffer.from(file.id)]));
        const ids = Array.from({ length: 40 }, (_none, index) => 2 * index + 1);
        for (const id of ids) {
          raw.send(frame(FRAME.headers, FLAG.endHeaders, id, callHeaders(`${RPC}/DownloadFile`)));
          raw.send(frame(FRAME.data, FLAG.endStream, id, request));
        }
        const path = new URL(url).pathname + new URL(url).search;
        const sockets = Array.from({ length: 40 }, () => {
          const socket = connect(service.port, '127.0.0.1');
          socket.on('error', () => undefined);
          socket.pause();
          socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
          return socket;
        });
        const gone = () => new Set(raw.frames.filter(isEnd).map(({ streamId }) => streamId));
        await until(() => ids.every((id) => gone().has(id)), 'the service ends the streams', 60_000);
        expect(residentMiB(service) - before).toBeLessThan(ROOM_MIB);
        // A socket shows its end only when it is read.
        await until(
          () => {
            for (const socket of sockets) if (socket.writable) socket.write('\r\n');
            return sockets.every((socket) => socket.closed || socket.errored);
          },
          'the service ends the connections',
          60_000,
        );
        raw.close();
      });
    },
    'that drip the headers of HTTP/1.1 are closed': async () => {
      await whileOthersWork(service, async () => {
        const sockets = openSockets(
          service.port,
          50,
          `POST ${GET_FILE} HTTP/1.1\r\nhost: localhost\r\nx-slow: `,
        );
        await drip(sockets, 'a');
      });
    },

    'that drip the first bytes are closed': async () => {
      await whileOthersWork(service, async () => {
        const sockets = openSockets(service.port, 50, 'P');
        await until(
          () => sockets.every((socket) => socket.closed),
          'the service closes silent connections',
          60_000,
        );
      });
    },

    'that drip the body of a unary call over HTTP/1.1 are closed': async () => {
      await whileOthersWork(service, async () => {
        const head = `POST ${GET_FILE} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{`;
        await drip(openSockets(service.port, 50, head), ' ');
      });
    },

    'that drip the body of an upload over HTTP/1.1 are answered or closed': async () => {
      await whileOthersWork(service, async () => {
        const head = `POST ${RPC}/Upload HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/connect+proto\r\nconnect-protocol-version: 1\r\ncontent-length: 1000000\r\n\r\n`;
        const sockets = openSockets(service.port, 20, head);
        // The length of a message whose bytes arrive slowly.
        for (const socket of sockets) socket.write(Buffer.from([0, 0, 1, 0, 0]));
        await drip(sockets, 'a');
      });
    },

    ...Object.fromEntries(
      ['application/grpc', 'application/proto'].map((contentType) => [
        `that drip the body of a unary call over HTTP/2 lose the stream (${contentType})`,
        async () => {
          await whileOthersWork(service, async () => {
            const raw = RawHttp2.open(service.port);
            const ids = Array.from({ length: 50 }, (_none, index) => 2 * index + 1);
            for (const id of ids)
              raw.send(frame(FRAME.headers, FLAG.endHeaders, id, callHeaders(GET_FILE, contentType)));
            const gone = () => new Set(raw.frames.filter(isEnd).map(({ streamId }) => streamId));
            const timer = setInterval(() => {
              for (const id of ids) if (!gone().has(id)) raw.send(frame(FRAME.data, 0, id, Buffer.from([0])));
            }, 200);
            try {
              await until(() => ids.every((id) => gone().has(id)), 'the service ends the streams', 60_000);
            } finally {
              clearInterval(timer);
              raw.close();
            }
          });
        },
      ]),
    ),

    'with thousands of streams get no more than allowed, and only for a while': async () => {
      await whileOthersWork(service, async () => {
        const raw = RawHttp2.open(service.port);
        const ids = Array.from({ length: 3_000 }, (_none, index) => 2 * index + 1);
        for (const id of ids) raw.send(frame(FRAME.headers, FLAG.endHeaders, id, callHeaders(GET_FILE)));
        const ended = () => new Set(raw.frames.filter(isEnd).map(({ streamId }) => streamId)).size;
        await until(() => raw.ended || ended() === ids.length, 'the service ends the streams', 60_000);
        raw.close();
      });
    },
  });

  it('that reset their streams rapidly (CVE-2023-44487) are ended', async () => {
    await whileOthersWork(service, async () => {
      const before = residentMiB(service);
      const raw = RawHttp2.open(service.port);
      const headers = callHeaders(`${RPC}/ListFiles`);
      let id = 1;
      for (let round = 0; round < 2_000 && !raw.ended; round++) {
        const burst: Buffer[] = [];
        for (let i = 0; i < 50; i++, id += 2) {
          burst.push(frame(FRAME.headers, FLAG.endHeaders, id, headers));
          burst.push(frame(FRAME.reset, 0, id, Buffer.from([0, 0, 0, 8])));
        }
        raw.send(...burst);
        await raw.drained();
        await sleep(0);
      }
      await until(() => raw.ended, 'the service ends the connection');
      expect(id).toBeLessThan(200_000);
      expect(residentMiB(service) - before).toBeLessThan(ROOM_MIB);
    });
  });

  it('that never end their headers (CONTINUATION flood) are ended', async () => {
    await whileOthersWork(service, async () => {
      const before = residentMiB(service);
      const raw = RawHttp2.open(service.port);
      raw.send(frame(FRAME.headers, 0, 1, callHeaders(GET_FILE)));
      const piece = headerBlock([['x-more', 'y'.repeat(8_000)]]);
      let sent = 0;
      for (; sent < 20_000 && !raw.ended; sent++) {
        raw.send(frame(FRAME.more, 0, 1, piece));
        await raw.drained();
        if (sent % 16 === 0) await sleep(0);
      }
      await until(() => raw.ended, 'the service ends the connection');
      expect(sent).toBeLessThan(20_000);
      expect(residentMiB(service) - before).toBeLessThan(ROOM_MIB);
    });
  });

  it.each([
    ['PING', frame(FRAME.ping, 0, 0, Buffer.alloc(8))],
    ['SETTINGS', frame(FRAME.settings, 0, 0, settingsPayload([[4, 65_535]]))],
    ['empty DATA', frame(FRAME.data, 0, 1)],
  ])('that send a flood of %s frames are ended', async (_name, one) => {
    await whileOthersWork(service, async () => {
      const before = residentMiB(service);
      const raw = RawHttp2.open(service.port);
      raw.send(frame(FRAME.headers, FLAG.endHeaders, 1, callHeaders(`${RPC}/Upload`)));
      const burst = Buffer.concat(Array.from({ length: 2_000 }, () => one));
      for (let round = 0; round < 5_000 && !raw.ended; round++) {
        raw.send(burst);
        await raw.drained();
        await sleep(0);
      }
      expect(raw.ended).toBe(true);
      expect(residentMiB(service) - before).toBeLessThan(ROOM_MIB);
    });
  });

  it('with huge headers get 431, or lose the stream over HTTP/2', async () => {
    await whileOthersWork(service, async () => {
      const [socket] = openSockets(
        service.port,
        1,
        `GET / HTTP/1.1\r\nhost: localhost\r\nx-big: ${'y'.repeat(MiB)}\r\n\r\n`,
      );
      let said = '';
      socket!.on('data', (data) => (said += data.toString('latin1')));
      await until(() => socket!.closed, 'the service answers');
      expect(said).toMatch(/^HTTP\/1\.1 431 /);

      const session = http2.connect(service.url, { maxSendHeaderBlockLength: 10 * MiB });
      session.on('error', () => undefined);
      const headers = Object.fromEntries(
        Array.from({ length: 60 }, (_none, index) => [`x-big-${index}`, 'y'.repeat(8_000)]),
      );
      const code = await new Promise((resolve) => {
        const stream = session.request({ ':method': 'POST', ':path': GET_FILE, ...headers });
        stream.on('response', (answer) => resolve(answer[':status']));
        stream.on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
        stream.on('close', () => resolve('closed'));
      });
      session.destroy();
      expect(code).not.toBe(200);
    });
  });

  it('that upload without an end are cut off at the size of the usage', async () => {
    await whileOthersWork(service, async () => {
      const before = residentMiB(service);
      const client = clientOf(service.url);
      let sent = 0;
      async function* endless(): AsyncGenerator<UploadMessage> {
        yield spec({ usage: 'small' });
        const content = randomContent(MiB);
        for (;;) {
          yield { writeOffset: BigInt(sent), data: { content } };
          sent += MiB;
        }
      }
      const outcome = await send(client, endless()).then(
        () => undefined,
        (error: unknown) => ConnectError.from(error).code,
      );
      expect(outcome).toBe(Code.InvalidArgument);
      expect(sent).toBeLessThan(200 * MiB);
      expect(residentMiB(service) - before).toBeLessThan(ROOM_MIB);
    });
  });

  it('that send a million tiny pieces cost others nothing', async () => {
    await whileOthersWork(service, async () => {
      const before = residentMiB(service);
      const raw = RawHttp2.open(service.port);
      raw.send(frame(FRAME.headers, FLAG.endHeaders, 1, callHeaders(`${RPC}/Upload`)));
      const message = (init: UploadMessage) =>
        enveloped(toBinary(UploadRequestSchema, create(UploadRequestSchema, init)));
      raw.send(frame(FRAME.data, 0, 1, message(spec())));
      const content = new Uint8Array([1]);
      const window = () =>
        65_535 +
        raw.frames
          .filter(({ type, streamId }) => type === FRAME.window && streamId === 1)
          .reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0);
      let sent = 0;
      let bytes = 0;
      const end = Date.now() + 6_000;
      while (sent < 1_000_000 && Date.now() < end && !raw.ended) {
        const pieces: Buffer[] = [];
        for (let i = 0; i < 1_000; i++, sent++)
          pieces.push(message({ writeOffset: BigInt(sent), data: { content } }));
        const data = Buffer.concat(pieces);
        bytes += data.length;
        for (let at = 0; at < data.length; at += 16_384)
          raw.send(frame(FRAME.data, 0, 1, data.subarray(at, at + 16_384)));
        await raw.drained();
        await sleep(0);
        while (bytes - window() > 16 * MiB && Date.now() < end) await sleep(20);
      }
      expect(residentMiB(service) - before).toBeLessThan(ROOM_MIB);
      raw.close();
    });
  });
});

/** True for a frame with which the service ends a stream. */
function isEnd({ type, flags }: { readonly type: number; readonly flags: number }): boolean {
  return (
    type === FRAME.reset ||
    ((type === FRAME.headers || type === FRAME.data) && (flags & FLAG.endStream) !== 0)
  );
}
