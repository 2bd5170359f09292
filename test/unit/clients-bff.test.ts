import type { UploadRequest, UploadSpec } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { type BffClient, createBffClient, type RequestUploadOptions } from '@asset-service/bff';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Code } from '@connectrpc/connect';
import { randomBytes } from 'node:crypto';
import { createServer as createHttp, request as httpRequest, type Server } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2, type Http2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeRequest } from '@asset-service/bff';
import { type Double, serviceError, specOf as specIn, startDouble } from './clients-double.ts';

const content = randomBytes(3_000_000);

let double: Double;
let client: BffClient;
let received: { messages: UploadRequest[]; bytes: Buffer }[];
/** What an upload over several calls was begun with: that of a body whose size nobody knows. */
let started: UploadSpec | undefined;
let aborted: number;
let begun: () => void;
/** What the service does after a message. */
let then: ((message: UploadRequest) => Promise<void>) | undefined;

beforeEach(async () => {
  received = [];
  aborted = 0;
  then = undefined;
  begun = () => {};
  started = undefined;
  double = await startDouble({
    startUpload: ({ uploadSpec }) => {
      started = uploadSpec!;
      return { uploadId: 'abc', partSizeBytes: BigInt(8 << 20) };
    },
    upload: async (requests, context) => {
      context.signal.addEventListener('abort', () => (aborted += 1));
      const messages: UploadRequest[] = [];
      for await (const message of requests) {
        messages.push(message);
        begun();
        await then?.(message);
      }
      if (messages.at(-1)?.finishWrite !== true)
        throw serviceError(Code.InvalidArgument, 'UPLOAD_NOT_FINISHED');
      const bytes = Buffer.concat(messages.map(({ data }) => data?.content ?? new Uint8Array()));
      received.push({ messages, bytes });
      return { writeStatus: { case: 'file', value: { id: 'abc', sizeBytes: BigInt(bytes.length) } } };
    },
  });
  client = createBffClient({ baseUrl: double.baseUrl });
});
afterEach(async () => {
  client.close();
  await double[Symbol.asyncDispose]();
});

function specOf(messages: readonly UploadRequest[]): UploadSpec {
  return messages[0]?.firstMessage.case === 'uploadId' ? started! : specIn(messages);
}

/** A back end that passes every body on and answers with the id, or with the code and reason of the failure. */
async function withBackEnd(
  test: (baseUrl: string) => Promise<void>,
  options: RequestUploadOptions = {},
  http2 = false,
): Promise<void> {
  const handle = (request: NodeRequest, answer: (status: number, body: string) => void) => {
    client.uploadFromRequest(request, { usage: 'test', ...options }).then(
      ({ id }) => answer(200, id),
      (error: { code: string; reason?: string }) => answer(400, `${error.code} ${error.reason ?? ''}`),
    );
  };
  const server: Server | Http2Server = http2
    ? createHttp2((request, response) =>
        handle(request, (status, body) => response.writeHead(status).end(body)),
      )
    : createHttp((request, response) =>
        handle(request, (status, body) => response.writeHead(status).end(body)),
      );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await test(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    if ('closeAllConnections' in server) server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

describe('uploadFromRequest', () => {
  it('passes on the body with what the browser declares and what the back end says', () =>
    withBackEnd(
      async (url) => {
        const answer = await fetch(url, {
          method: 'PUT',
          body: content,
          headers: { 'content-type': 'image/png', 'x-file-name': encodeURIComponent('Übung 1.png') },
        });
        expect(await answer.text()).toBe('abc');
        expect(received[0]!.bytes.equals(content)).toBe(true);
        expect(specOf(received[0]!.messages)).toMatchObject({
          sizeBytes: BigInt(content.length),
          file: { name: 'Übung 1.png', contentType: 'image/png', owner: 'ann', usage: 'test' },
        });
      },
      { owner: 'ann' },
    ));

  it('knows no size and no type where the browser tells none', () =>
    withBackEnd(async (url) => {
      const answer = await fetch(url, {
        method: 'POST',
        body: new Blob([content]).stream(),
        duplex: 'half',
        headers: { 'content-type': 'application/octet-stream' },
      });
      expect(await answer.text()).toBe('abc');
      expect(received[0]!.bytes.equals(content)).toBe(true);
      expect(specOf(received[0]!.messages)).toMatchObject({ file: { name: '', contentType: '' } });
      expect(specOf(received[0]!.messages).sizeBytes).toBeUndefined();
    }));

  it('takes an empty body, a web Request, and a request over HTTP/2', async () => {
    await withBackEnd(async (url) => {
      expect(await (await fetch(url, { method: 'POST' })).text()).toBe('abc');
      expect(specOf(received[0]!.messages).sizeBytes).toBe(0n);
    });
    const request = new Request('http://x/', {
      method: 'POST',
      body: content,
      headers: { 'x-file-name': 'a' },
    });
    await client.uploadFromRequest(request);
    expect(received[1]!.bytes.equals(content)).toBe(true);
    await expect(client.uploadFromRequest(request)).rejects.toThrow('read already');
    await withBackEnd(
      async (url) => {
        const session = connectHttp2(url);
        const stream = session.request({ ':method': 'POST', 'content-length': content.length });
        stream.end(content);
        expect((await buffer(stream)).toString()).toBe('abc');
        session.close();
        expect(received[2]!.bytes.equals(content)).toBe(true);
      },
      {},
      true,
    );
  });

  it('refuses a form, a compressed body and a broken name before anything is sent', () =>
    withBackEnd(async (url) => {
      const form = new FormData();
      form.set('file', new Blob([content]));
      const bodies: RequestInit[] = [
        { body: form },
        { body: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
        { body: 'abc', headers: { 'content-encoding': 'gzip' } },
        { body: 'abc', headers: { 'x-file-name': '%E0%' } },
      ];
      for (const init of bodies) {
        const answer = await fetch(url, { method: 'POST', ...init });
        expect([answer.status, await answer.text()]).toEqual([400, 'INVALID_ARGUMENT ']);
      }
      expect(received).toEqual([]);
    }));

  it('leaves the connection for the answer where the service refuses the upload in the middle', () =>
    withBackEnd(async (url) => {
      then = () => Promise.reject(serviceError(Code.InvalidArgument, 'FILE_TOO_LARGE'));
      for (let round = 0; round < 3; round++) {
        const answer = await fetch(url, { method: 'POST', body: content });
        expect([answer.status, await answer.text()]).toEqual([400, 'INVALID_ARGUMENT FILE_TOO_LARGE']);
      }
    }));

  for (const moment of ['in the middle of the body', 'after the body, before the answer'] as const) {
    it(`ends the upload if the browser goes away ${moment}`, () =>
      withBackEnd(async (url) => {
        const whole = moment.startsWith('after');
        const started = new Promise<void>((resolve) => (begun = resolve));
        let release = () => {};
        const held = new Promise<void>((resolve) => (release = resolve));
        // While the service takes no more, neither does the back end, which then does not see its socket close.
        if (whole) then = ({ finishWrite }) => (finishWrite ? held : Promise.resolve());
        const request = httpRequest(url, { method: 'POST', headers: { 'content-length': content.length } });
        request.on('error', () => undefined);
        if (whole) request.end(content);
        else request.write(content.subarray(0, 2_000_000));
        await started;
        await sleep(100);
        request.destroy();
        for (let i = 0; i < 100 && aborted === 0; i++) await sleep(10);
        release();
        expect(aborted).toBe(1);
        if (!whole) expect(received).toEqual([]);
      }));
  }
});
