import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PocketBaseTransport } from '../../src/catalog/pocketbase/fetch.ts';

const answers: Record<string, RequestListener> = {
  '/whole': (request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const { method, headers } = request;
      const body = Buffer.concat(pieces).toString();
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ method, token: headers.authorization, body }));
    });
  },
  '/half': (_request, response) => {
    response.writeHead(200, { 'content-length': 100 });
    response.write('{"items":', () => response.destroy());
  },
  '/elsewhere': (_request, response) => void response.writeHead(302, { location: '/whole' }).end(),
  '/empty': (_request, response) => void response.writeHead(204).end(),
  '/never': () => undefined,
};

describe('the transport of the SDK of PocketBase', () => {
  const server = createServer((request, response) => answers[request.url!]!(request, response));
  const transport = new PocketBaseTransport();
  const send = (path: string, options?: object) =>
    transport.fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, options);

  beforeAll(async () => {
    await once(server.listen(0, '127.0.0.1'), 'listening');
  });

  afterAll(() => {
    transport.close();
    server.closeAllConnections();
    server.close();
  });

  it('sends the request and gives the answer', async () => {
    const answer = await send('/whole', {
      method: 'POST',
      headers: { Authorization: 'token' },
      body: '{"name":"Ö"}',
    });
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({ method: 'POST', token: 'token', body: '{"name":"Ö"}' });
  });

  it('fails if the answer breaks off', async () => {
    await expect(send('/half')).rejects.toMatchObject({ code: 'ECONNRESET' });
  });

  it('follows no answer that leads elsewhere, and does not take it for success', async () => {
    await expect(send('/elsewhere')).rejects.toThrow('302');
  });

  it('leaves it to the SDK what an answer without a body means', async () => {
    const answer = await send('/empty');
    expect(answer.status).toBe(204);
    await expect(answer.json()).rejects.toMatchObject({ name: 'SyntaxError' });
  });

  it('ends with the reason of the signal', async () => {
    const abort = new AbortController();
    const reason = new Error('enough');
    setTimeout(() => abort.abort(reason), 50);
    await expect(send('/never', { signal: abort.signal })).rejects.toBe(reason);
    await expect(send('/whole', { signal: abort.signal })).rejects.toBe(reason);
  });
});
