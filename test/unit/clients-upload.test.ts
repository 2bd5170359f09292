import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Code } from '@connectrpc/connect';
import { crc32c } from '@node-rs/crc32';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { UploadSource } from '../../clients/core/src/source.ts';
import type { UploadProgress } from '../../clients/core/src/progress.ts';
import { serviceError, specOf } from './clients-double.ts';
import { content, failure, MiB, type Received, start, taking } from './clients-upload-double.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'clients-upload-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('uploadFile', () => {
  const path = () => join(folder, 'content.bin');
  const sources: Record<string, { source: () => UploadSource; size: number | undefined; name: string }> = {
    'a path': { source: path, size: content.length, name: 'content.bin' },
    'a file: URL': { source: () => pathToFileURL(path()), size: content.length, name: 'content.bin' },
    'a Buffer': { source: () => content, size: content.length, name: '' },
    'a Uint8Array': { source: () => new Uint8Array(content), size: content.length, name: '' },
    'a Blob': { source: () => new Blob([content]), size: content.length, name: '' },
    'a File': { source: () => new File([content], 'übung.bin'), size: content.length, name: 'übung.bin' },
    'a Readable': {
      source: () => createReadStream(path(), { highWaterMark: 1000 }),
      size: undefined,
      name: '',
    },
    'a web stream': { source: () => new Blob([content]).stream(), size: undefined, name: '' },
    'an async iterable': {
      source: () =>
        (async function* () {
          for (let at = 0; at < content.length; at += 1_100_001) {
            await sleep(1);
            yield content.subarray(at, at + 1_100_001);
          }
        })(),
      size: undefined,
      name: '',
    },
    'a function that opens a stream': {
      source: () => () => createReadStream(path()),
      size: undefined,
      name: '',
    },
  };
  for (const [kind, { source, size, name }] of Object.entries(sources)) {
    it(`sends ${kind} in checked pieces of 512 KiB with the checksums of the whole`, async () => {
      await writeFile(path(), content);
      const received: Received[] = [];
      const { client, started } = await start(taking(received));
      const progress: UploadProgress[] = [];
      const file = await client.uploadFile(source(), {
        usage: 'test',
        onProgress: (event) => progress.push(event),
      });
      expect(file).toMatchObject({ id: 'abc', sizeBytes: content.length });
      const { messages, bytes } = received[0]!;
      expect(bytes.equals(content)).toBe(true);
      const spec = started[0] ?? specOf(messages);
      expect(started).toHaveLength(size === undefined ? 1 : 0);
      expect(spec.sizeBytes).toBe(size === undefined ? undefined : BigInt(size));
      expect(spec.file).toMatchObject({ name, usage: 'test' });
      expect(spec.requestId).toMatch(/^[0-9a-f-]{36}$/);
      expect(messages.slice(0, -1).every(({ data }) => data?.content.length === MiB / 2)).toBe(true);
      expect(messages.map((message) => message.finishWrite).indexOf(true)).toBe(messages.length - 1);
      expect(messages.at(-1)!.checksums).toMatchObject({ crc32c: crc32c(content) });
      expect(Buffer.from(messages.at(-1)!.checksums!.sha256)).toEqual(
        createHash('sha256').update(content).digest(),
      );
      expect(progress.at(-1)).toEqual({
        sentBytes: content.length,
        totalBytes: size,
        attempt: 1,
        wentBack: false,
      });
      expect(progress.map((event) => event.sentBytes)).toEqual(
        progress.map((event) => event.sentBytes).sort((a, b) => a - b),
      );
    });
  }

  it('sends an empty file and a small one in one message', async () => {
    const received: Received[] = [];
    const { client } = await start(taking(received));
    await client.uploadFile(new Uint8Array(), { name: 'empty' });
    await client.uploadFile(Buffer.from('small'), { name: 'small' });
    expect(received.map(({ messages }) => messages.length)).toEqual([1, 1]);
    expect(received[0]!.messages[0]).toMatchObject({ finishWrite: true, checksums: { crc32c: 0 } });
  });

  for (const http1 of [false, true]) {
    const over = http1 ? 'Connect over HTTP/1.1' : 'gRPC';
    it(`gives the error of the service in the middle of a stream, over ${over}`, async () => {
      const { client } = await start(
        async (requests) => {
          let seen = 0;
          for await (const _ of requests) if (++seen === 3) break;
          throw serviceError(Code.InvalidArgument, 'FILE_TOO_LARGE', { metadata: { max_size_bytes: '5' } });
        },
        { http1 },
      );
      for (let round = 0; round < 10; round++) {
        const error = await failure(client.uploadFile(randomBytes(12 * MiB)));
        expect(error).toMatchObject({
          name: 'AssetClientError',
          code: 'INVALID_ARGUMENT',
          reason: 'FILE_TOO_LARGE',
          metadata: { max_size_bytes: '5' },
        });
      }
    });

    it(`gives the error of the service while the source is silent, and lets go of the source, over ${over}`, async () => {
      const { client } = await start(
        async (requests) => {
          for await (const _ of requests) break;
          throw serviceError(Code.InvalidArgument, 'FIELD_INVALID', { field: 'upload_spec.file.name' });
        },
        { http1 },
      );
      const source = new PassThrough();
      source.write(randomBytes(2 * MiB));
      const error = await failure(client.uploadFile(source));
      expect(error).toMatchObject({
        reason: 'FIELD_INVALID',
        fieldViolations: [{ field: 'upload_spec.file.name', description: 'must not be' }],
      });
      expect(source.destroyed).toBe(true);
    });
  }
});
