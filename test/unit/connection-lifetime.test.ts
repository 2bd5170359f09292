import { afterEach, describe, expect, it } from '@jest/globals';
import { Agent, request, type IncomingMessage } from 'node:http';
import http2, { constants } from 'node:http2';
import { once } from 'node:events';
import { connect } from 'node:net';
import { listen, type Listener, type ListenerOptions } from '../../src/rpc/listener/listener.ts';
import { eventually } from '../support/eventually.ts';

let listener: Listener;
afterEach(() => listener.close(0));

/** Echoes a request while it comes. */
async function startEcho(options: Pick<ListenerOptions, 'age'> = {}): Promise<string> {
  listener = await listen({ host: '127.0.0.1', port: 0, ...options });
  listener.serve({ onRequest: (incoming, response) => void incoming.pipe(response) });
  return `http://127.0.0.1:${listener.port}`;
}

/** Sends a request over HTTP/1.1 and reads the response; resolves with the header `connection` of it. */
async function connectionHeader(url: string, agent: Agent): Promise<string | undefined> {
  const sent = request(url, { method: 'POST', agent }).end('hello');
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  expect(response.statusCode).toBe(200);
  response.resume();
  await once(response, 'end');
  return response.headers.connection;
}

/** A request over HTTP/2 that is still sending, and that is answered already. */
async function openStream(session: http2.ClientHttp2Session) {
  const stream = session.request({ ':method': 'POST' }, { endStream: false });
  stream.on('error', () => undefined);
  stream.write('a');
  await once(stream, 'data');
  return stream;
}

describe('an old connection', () => {
  it('ends with a response that says so over HTTP/1.1', async () => {
    const url = await startEcho({ age: { maxMs: 500, graceMs: 0 } });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    try {
      expect(await connectionHeader(url, agent)).toBe('keep-alive');
      await eventually(async () => expect(await connectionHeader(url, agent)).toBe('close'));
      // The next connection is young again.
      expect(await connectionHeader(url, agent)).toBe('keep-alive');
    } finally {
      agent.destroy();
    }
  });

  it('is announced over HTTP/2 without refusing calls that cross the announcement, and calls go on', async () => {
    const url = await startEcho({ age: { maxMs: 50, graceMs: 0 } });
    const session = http2.connect(url);
    const stream = await openStream(session);
    const [code, lastStream] = (await once(session, 'goaway')) as [number, number];
    expect([code, lastStream]).toEqual([constants.NGHTTP2_NO_ERROR, 2 ** 31 - 1]);
    stream.end('b');
    expect(String(((await once(stream, 'data')) as [Buffer])[0])).toBe('b');
    await once(stream, 'close');
    expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
    await eventually(() => expect(session.destroyed).toBe(true));
  });

  it('ends the calls that are still running after the grace', async () => {
    const url = await startEcho({ age: { maxMs: 50, graceMs: 100 } });
    const session = http2.connect(url);
    session.on('error', () => undefined);
    const stream = await openStream(session);
    await once(stream, 'close');
    expect(session.destroyed || session.closed).toBe(true);
    const sent = request(url, { method: 'POST', agent: new Agent({ keepAlive: true }) });
    sent.write('never ends');
    const [error] = (await once(sent, 'response').then(
      async ([response]: IncomingMessage[]) => once(response!.resume(), 'error'),
      (reason: unknown) => [reason],
    )) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNRESET');
  });
});

describe('a listener', () => {
  it('serves while it drains, each HTTP/1.1 connection once more', async () => {
    const url = await startEcho();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    try {
      expect(await connectionHeader(url, agent)).toBe('keep-alive');
      listener.drain();
      expect(await connectionHeader(url, agent)).toBe('close');
      // A new connection.
      expect(await connectionHeader(url, agent)).toBe('close');
    } finally {
      agent.destroy();
    }
  });

  it('stops although a connection was opened and not used, and finishes what runs', async () => {
    const url = await startEcho();
    const unused = connect(listener.port, '127.0.0.1');
    await once(unused, 'connect');
    const session = http2.connect(url);
    const stream = await openStream(session);
    await listener.stop();
    await expect(once(connect(listener.port, '127.0.0.1'), 'connect')).rejects.toThrow('ECONNREFUSED');
    const closed = listener.close(600_000);
    await once(unused.resume(), 'close');
    stream.end('the end');
    expect(String(((await once(stream, 'data')) as [Buffer])[0])).toBe('the end');
    await closed;
  });
});
