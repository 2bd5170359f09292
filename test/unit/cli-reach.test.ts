import { describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { assertReachable } from '../../src/cli/reach.ts';
import { freePort } from '../support/ports.ts';

const signal = new AbortController().signal;

async function addressOf(server: Server | ReturnType<typeof createHttp2Server>): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('the search for the service', () => {
  it.each([
    ['HTTP/2', 'http:', true],
    ['HTTP/1.1', 'http:', false],
    ['TLS', 'https:', true],
  ])(
    'over %s gives up on a peer that accepts and says nothing, and names the address',
    async (_, scheme, isHttp2) => {
      const silent = createServer((socket) => socket.on('error', () => undefined));
      const address = (await addressOf(silent)).replace('http:', scheme);
      try {
        const reached = assertReachable(address, { tls: {}, isHttp2, signal, timeoutMs: 100 });
        await expect(reached).rejects.toMatchObject({
          ...{ name: 'AssetClientError', code: 'UNAVAILABLE', reason: 'CONNECTION_LOST' },
          message: expect.stringMatching(
            new RegExp(`^the service at ${address} cannot be reached: .*within 0\\.1 s`),
          ) as unknown,
        });
      } finally {
        silent.close();
      }
    },
  );

  it('ends with the first answer, whatever it is', async () => {
    const http1 = createHttpServer((_request, response) => response.writeHead(404).end());
    const http2 = createHttp2Server();
    try {
      for (const isHttp2 of [true, false]) {
        // An HTTP/1.1 server refuses HTTP/2, and that is an answer too: the call tells what is wrong.
        await assertReachable(await addressOf(http1), { tls: {}, isHttp2, signal });
        http1.close();
      }
      await assertReachable(await addressOf(http2), { tls: {}, isHttp2: true, signal });
    } finally {
      http1.close();
      http2.close();
    }
  });

  it('leaves a connection that breaks to the call', async () => {
    const closing = createServer((socket) => socket.destroy());
    try {
      await assertReachable(await addressOf(closing), { tls: {}, isHttp2: true, signal });
    } finally {
      closing.close();
    }
  });

  it('tells at once that nothing listens', async () => {
    const address = `http://127.0.0.1:${await freePort()}`;
    await expect(assertReachable(address, { tls: {}, isHttp2: true, signal })).rejects.toMatchObject({
      message: expect.stringContaining('nothing listens there (ECONNREFUSED)') as unknown,
    });
  });

  it('ends when the command is interrupted', async () => {
    const silent = createServer();
    const stop = new AbortController();
    const reached = assertReachable(await addressOf(silent), { tls: {}, isHttp2: true, signal: stop.signal });
    stop.abort(new Error('interrupted'));
    await expect(reached).rejects.toThrow('interrupted');
    silent.close();
  });
});
