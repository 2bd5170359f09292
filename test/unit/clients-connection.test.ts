import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { constants, createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAssetClient } from '../../clients/core/src/client.ts';
import { startDouble } from './clients-double.ts';

const methods = { getFile: () => ({ file: { id: 'abc' } }) };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'clients-connection-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** A key and a certificate that vouches for itself, for 127.0.0.1. */
async function certificate(name: string): Promise<{ key: Buffer; cert: Buffer }> {
  const [key, cert] = [join(folder, `${name}.key`), join(folder, `${name}.crt`)];
  const args = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '1',
  ];
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1'];
  execFileSync('openssl', [...args, '-keyout', key, '-out', cert, ...subject], { stdio: 'ignore' });
  return { key: await readFile(key), cert: await readFile(cert) };
}

describe('a connection', () => {
  it('has windows that a download over a long way fits in', async () => {
    await using double = await startDouble(methods);
    await using client = createAssetClient({ baseUrl: double.baseUrl });
    await client.getFile('abc');
    const [session] = double.sessions;
    expect(session!.remoteSettings.initialWindowSize).toBe(8 * 1024 * 1024);
    // The wider window of the connection is announced after the first request.
    for (let i = 0; i < 100 && session!.state.remoteWindowSize! < 1 << 24; i++)
      await new Promise(setImmediate);
    expect(session!.state.remoteWindowSize).toBeGreaterThanOrEqual(31 * 1024 * 1024);
  });

  it('is opened again after it broke', async () => {
    await using double = await startDouble(methods);
    await using client = createAssetClient({ baseUrl: double.baseUrl, retry: { baseDelayMs: 10 } });
    for (let round = 0; round < 3; round++) {
      expect((await client.getFile('abc')).id).toBe('abc');
      double.cut();
    }
    expect(double.sessions).toHaveLength(3);
  });

  it('is given up if its streams end without error and response, and opened again', async () => {
    const server = createServer();
    let left = 2;
    server.on('stream', (stream: ServerHttp2Stream) => {
      stream.on('error', () => undefined);
      left -= 1;
      if (left >= 0) stream.close(constants.NGHTTP2_NO_ERROR);
      else
        stream.respond(
          { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '5' },
          { endStream: true },
        );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    {
      await using hasty = createAssetClient({ baseUrl, retry: { retries: 0 } });
      await expect(hasty.getFile('abc')).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        reason: 'CONNECTION_LOST',
      });
      await using client = createAssetClient({ baseUrl, retry: { baseDelayMs: 1 } });
      await expect(client.getFile('abc')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    }
    expect(left).toBe(-1);
    await new Promise((resolve) => server.close(resolve));
  });

  for (const transport of ['grpc', 'connect'] as const) {
    it(`trusts and shows the certificates that it was given, over ${transport}`, async () => {
      const [server, client] = [await certificate('server'), await certificate('client')];
      await using double = await startDouble(methods, {
        tls: { ...server, ca: client.cert, requestCert: true, rejectUnauthorized: true },
      });
      const retry = { retries: 0 };
      const open = (tls: { ca?: Buffer; cert?: Buffer; key?: Buffer }) =>
        createAssetClient({ baseUrl: double.baseUrl, transport, retry, tls });
      await using known = open({ ca: server.cert, ...client });
      expect((await known.getFile('abc')).id).toBe('abc');
      await using stranger = open({ ca: server.cert });
      await expect(stranger.getFile('abc')).rejects.toMatchObject({ name: 'AssetClientError' });
      await using distrusting = open(client);
      await expect(distrusting.getFile('abc')).rejects.toMatchObject({
        name: 'AssetClientError',
        message: expect.stringContaining('certificate'),
      });
    });
  }
});
