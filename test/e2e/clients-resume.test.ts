import { type BffClient, createBffClient } from '@asset-service/bff';
import { type AssetClientOptions, createWorkerClient, type UploadProgress } from '@asset-service/worker';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeDir, removeDir } from '../support/process.ts';
import { type Service, startService } from '../support/service.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { randomContent } from './support/calls.ts';
import { eventually } from '../support/eventually.ts';

const MiB = 2 ** 20;
const content = randomContent(64 * MiB);
const sha256 = createHash('sha256').update(content).digest('hex');
const retry = { retries: 10 };

const PART_BYTES = 5 * MiB;
/**
 * The most that a cut may cost: what the caller was allowed to send ahead of being read, the window of a stream; the part
 * that was being filled; and some more for messages that were cut in two.
 */
const LOST_BYTES = 16 * MiB + PART_BYTES + MiB;

let dir: string;
let path: string;
let service: Service;
let proxy: TcpProxy;

beforeAll(async () => {
  dir = await makeDir('clients-resume');
  path = join(dir, 'content.bin');
  await writeFile(path, content);
  service = await startService({
    ASSET_DRAIN_TIMEOUT: '0.2',
    ASSET_UPLOAD_PART_SIZE: String(PART_BYTES),
  });
});
beforeEach(async () => {
  proxy = await startTcpProxy(service.url);
});
afterEach(async () => {
  await proxy.close();
});
afterAll(async () => {
  await service.dispose();
  await removeDir(dir);
});

/** A stream that takes about `ms` milliseconds. */
async function* slowly(bytes: Uint8Array, ms: number): AsyncGenerator<Uint8Array> {
  const pieces = 100;
  for (let at = 0; at < bytes.length; at += Math.ceil(bytes.length / pieces)) {
    yield bytes.subarray(at, at + Math.ceil(bytes.length / pieces));
    await sleep(ms / pieces);
  }
}

const sources = {
  'a path': () => path,
  'a stream that can be read once': () => createReadStream(path),
} as const;

async function expectOneFile(usage: string, id: string): Promise<void> {
  await using worker = createWorkerClient({ baseUrl: service.url });
  const listed = [];
  for await (const each of worker.listFiles({ usage })) listed.push(each.id);
  expect(listed).toEqual([id]);
  const { stream } = await worker.openRead(id);
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk as Uint8Array);
  expect(hash.digest('hex')).toBe(sha256);
}

/**
 * Cuts the connection after so many bytes, and lets nothing pass before the service has noticed and kept what it has, however
 * long that takes.
 */
function cutAfterSent(bytes: number): void {
  const brokenUploads = () => service.logLines().filter(({ rpc, code }) => rpc === 'Upload' && code !== 'OK');
  const before = brokenUploads().length;
  const settled = async () => {
    // A call may be lost on its way, so that there is nothing to notice.
    await eventually(() => expect(brokenUploads().length).toBeGreaterThan(before), 10_000).catch(
      () => undefined,
    );
    await proxy.restore();
  };
  proxy.cutAfterSent(bytes, () => {
    proxy.stall();
    void settled();
  });
}

describe.each(['grpc', 'connect'] as const)(
  'over %s, a connection that is cut again and again',
  (transport) => {
    it.each(Object.keys(sources) as (keyof typeof sources)[])(
      'costs little of an upload from %s',
      async (kind) => {
        const usage = `cut-${transport}-${kind.length}`;
        await using worker = createWorkerClient({ baseUrl: `http://${proxy.address}`, transport, retry });
        const events: UploadProgress[] = [];
        const cuts = [28, 25, 9].map((mebibytes) => mebibytes * MiB);
        const left = [...cuts];
        const cutNext = () => cutAfterSent(left.shift() ?? Infinity);
        cutNext();
        const file = await worker.uploadFile(sources[kind](), {
          usage,
          onProgress: (event) => {
            if (event.attempt !== (events.at(-1)?.attempt ?? 1)) cutNext();
            events.push(event);
          },
        });
        expect(file).toMatchObject({ sizeBytes: content.length, sha256 });
        expect(left).toEqual([]);
        const starts = new Map<number, number>();
        for (const { attempt, sentBytes } of events) {
          if (!starts.has(attempt)) starts.set(attempt, sentBytes);
        }
        const [, ...resumed] = starts.values();
        expect(resumed).toHaveLength(cuts.length);
        let from = 0;
        for (const [index, start] of resumed.entries()) {
          expect(start).toBeGreaterThanOrEqual(Math.max(from, from + cuts[index]! - LOST_BYTES));
          from = start;
        }
        // And nothing was sent that the service had.
        const untilCut = cuts.reduce((sum, bytes) => sum + bytes);
        expect(proxy.bytesFromClients).toBeLessThan(untilCut + content.length - from + MiB);
        for (const [index, { sentBytes, wentBack }] of events.entries()) {
          expect(wentBack).toBe(sentBytes < (events[index - 1]?.sentBytes ?? 0));
        }
        await expectOneFile(usage, file.id);
      },
    );
  },
);

describe('a service that goes away in the middle', () => {
  /** Ends the service in the middle of an upload and starts it again on the same port. */
  const endings = {
    drains: async () => {
      service.signal('SIGTERM');
      await service.exit();
      await service.start();
    },
    'is killed': async () => {
      await service.kill();
      await service.start();
    },
  };
  const uploads = {
    'a path': () => path,
    'a stream that can be read once': () => slowly(content, 3_000),
  };

  for (const [how, end] of Object.entries(endings)) {
    for (const [kind, source] of Object.entries(uploads)) {
      it(`${how} and comes back: the worker's upload of ${kind} goes on`, async () => {
        // Slow enough for a path to be in the middle.
        if (kind === 'a path') proxy.delay(2);
        const usage = `${how}-${kind}`.replaceAll(' ', '-');
        await using worker = createWorkerClient({ baseUrl: `http://${proxy.address}`, retry });
        let ended: Promise<void> | undefined;
        let attempts = 1;
        const file = await worker.uploadFile(source(), {
          usage,
          onProgress: ({ sentBytes, attempt }) => {
            attempts = attempt;
            if (sentBytes > 30 * MiB) ended ??= end();
          },
        });
        await ended;
        expect(ended).toBeDefined();
        expect(file).toMatchObject({ sizeBytes: content.length, sha256 });
        expect(attempts).toBeGreaterThan(1);
        await expectOneFile(usage, file.id);
      });
    }

    it(`${how} and comes back: the BFF passes a browser's upload on`, async () => {
      const usage = `bff-${how}`.replaceAll(' ', '-');
      let ended: Promise<void> | undefined;
      await using bff = createBffClient({ baseUrl: service.url, retry });
      await using backEnd = await startBackEnd(bff, usage, (sent) => {
        if (sent > 30 * MiB) ended ??= end();
      });
      const answer = await fetch(backEnd.url, {
        method: 'POST',
        body: slowly(content, 3_000),
        duplex: 'half',
      });
      const file = (await answer.json()) as { id: string };
      await ended;
      expect(ended).toBeDefined();
      expect(file).toMatchObject({ sizeBytes: content.length, sha256 });
      await expectOneFile(usage, file.id);
    });
  }
});

describe('a process that went away in the middle', () => {
  beforeEach(async () => {
    await service.stop().catch(() => undefined);
    await service.start();
  });

  it('is followed by another one that goes on with the same request id', async () => {
    const options: AssetClientOptions = { baseUrl: service.url, retry: { retries: 0 } };
    const first = createWorkerClient({ ...options, baseUrl: `http://${proxy.address}` });
    const request = { requestId: 'across-processes', usage: 'across' };
    cutAfterSent(40 * MiB);
    await expect(first.uploadFile(path, request)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    first.close();

    const before = proxy.bytesFromClients;
    await using second = createWorkerClient({ ...options, baseUrl: `http://${proxy.address}` });
    const starts: number[] = [];
    const file = await second.uploadFile(path, {
      ...request,
      onProgress: ({ sentBytes }) => starts.push(sentBytes),
    });
    expect(starts[0]).toBeGreaterThanOrEqual(40 * MiB - LOST_BYTES);
    expect(proxy.bytesFromClients - before).toBeLessThan(content.length - starts[0]! + MiB);
    expect((await second.uploadFile(path, request)).id).toBe(file.id);
    await expectOneFile('across', file.id);
  });
});

async function startBackEnd(bff: BffClient, usage: string, onSent: (sentBytes: number) => void) {
  const server = createServer((request, response) => {
    const onProgress = ({ sentBytes }: UploadProgress) => onSent(sentBytes);
    bff.uploadFromRequest(request, { usage, onProgress }).then(
      (file) => response.end(JSON.stringify(file)),
      (error: Error) => response.writeHead(502).end(JSON.stringify({ error: error.message })),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
