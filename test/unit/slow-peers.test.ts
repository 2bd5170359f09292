import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import http2, { type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { closeIfVanished } from '../../src/rpc/listener/connection-limits.ts';
import { StreamWindows } from '../../src/rpc/listener/stream-windows.ts';
import { callHeaders, FLAG, frame, FRAME, RawHttp2, settingsPayload } from '../attack/support/raw-http2.ts';
import { eventually } from '../support/eventually.ts';

/** A type of frames that a peer has to ignore (RFC 9113, section 5.5). */
const UNKNOWN_TYPE = 0xfa;

/** A setting of HTTP/2 (RFC 9113, section 6.5.2), and its greatest value. */
const INITIAL_WINDOW = 4;
const MAX_WINDOW = 2 ** 31 - 1;

/** How long a peer may be silent here, in milliseconds. */
const SILENT_MS = 400;

let server: http2.Http2Server;
let peer: RawHttp2;
let windows: StreamWindows;
let onSession: (session: ServerHttp2Session, socket: Socket) => void;

/** A server, and a peer that acknowledges nothing by itself. */
beforeEach(async () => {
  windows = new StreamWindows(SILENT_MS);
  onSession = () => undefined;
  server = http2.createServer({ settings: { initialWindowSize: windows.initialBytes } });
  let socket: Socket;
  server.prependListener('connection', (accepted: Socket) => (socket = accepted));
  server.on('session', (session) => onSession(session, socket));
  server.on('sessionError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterEach(() => {
  peer.socket.destroy();
  server.close();
});

async function connectPeer(): Promise<void> {
  peer = RawHttp2.open((server.address() as AddressInfo).port);
  peer.answers = false;
  await once(server, 'session');
}

/** Sends a few bytes now and then, as over a network that is nearly full, for longer than a peer may be silent. */
async function drip(): Promise<void> {
  const until = performance.now() + 4 * SILENT_MS;
  while (performance.now() < until) {
    peer.send(frame(UNKNOWN_TYPE, 0, 0, Buffer.alloc(10)));
    await sleep(SILENT_MS / 20);
  }
}

describe('a peer that has to acknowledge a smaller window', () => {
  beforeEach(async () => {
    onSession = (session, socket) => windows.add(session, socket);
    await connectPeer();
    windows.divideAmong(100);
  });

  it('goes on if what it sends only arrives slowly', async () => {
    await drip();
    expect(peer.ended).toBe(false);
    // One acknowledgement of the first settings, one of the smaller window.
    peer.send(frame(FRAME.settings, FLAG.ack, 0), frame(FRAME.settings, FLAG.ack, 0));
    await sleep(2 * SILENT_MS);
    expect(peer.ended).toBe(false);
  });

  it('is ended if it sends nothing', async () => {
    await eventually(() => expect(peer.ended).toBe(true));
  });

  it('is ended if it sends more than all uploads may', async () => {
    const content = frame(UNKNOWN_TYPE, 0, 0, Buffer.alloc(16_000));
    for (let sent = 0; sent <= 33 * 2 ** 20; sent += content.length) {
      peer.send(content);
      await peer.drained();
    }
    const isAlive = setInterval(() => peer.send(frame(UNKNOWN_TYPE, 0, 0, Buffer.alloc(10))), 20);
    await eventually(() => expect(peer.ended).toBe(true)).finally(() => clearInterval(isAlive));
  });
});

describe('a peer that does not answer a PING', () => {
  beforeEach(async () => {
    onSession = (session, socket) => closeIfVanished(session, socket, SILENT_MS);
    await connectPeer();
  });

  it('goes on while it sends', async () => {
    await drip();
    expect(peer.ended).toBe(false);
    expect(peer.frames.filter(({ type }) => type === FRAME.ping)).toHaveLength(1);
  });

  it('is ended if it sends nothing', async () => {
    await eventually(() => expect(peer.ended).toBe(true));
  });
});

it('closes an ended connection whose peer does not read', async () => {
  const streams = once(server, 'stream') as Promise<[ServerHttp2Stream]>;
  let accepted: Socket | undefined;
  onSession = (session, socket) => {
    accepted = socket;
    closeIfVanished(session, socket, SILENT_MS);
  };
  await connectPeer();
  peer.socket.pause();
  // Windows for more than the buffers of the connection hold.
  peer.send(frame(FRAME.settings, 0, 0, settingsPayload([[INITIAL_WINDOW, MAX_WINDOW]])));
  peer.send(frame(FRAME.window, 0, 0, Buffer.from([0x3f, 0, 0, 0])));
  peer.send(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, callHeaders('/')));
  const [stream] = await streams;
  stream.on('error', () => undefined);
  stream.respond();
  stream.write(Buffer.alloc(64 * 2 ** 20));
  await sleep(SILENT_MS / 4);
  stream.session!.destroy();
  // Its last write is never over.
  expect(accepted!.destroyed).toBe(false);
  await eventually(() => expect(accepted!.destroyed).toBe(true));
});
