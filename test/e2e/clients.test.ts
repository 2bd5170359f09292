import { createBffClient } from '@asset-service/bff';
import { createWorkerClient } from '@asset-service/worker';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { startService, type Service } from '../support/service.ts';

const content = randomBytes(5 * 1024 * 1024 + 3);
const sha256 = createHash('sha256').update(content).digest('hex');

let service: Service;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'clients-e2e-'));
  await writeFile(join(folder, 'content.bin'), content);
  service = await startService();
});
afterAll(async () => {
  await service.dispose();
  await rm(folder, { recursive: true });
});

for (const transport of ['grpc', 'connect', 'grpc-web'] as const) {
  describe(`the worker client over ${transport}`, () => {
    const open = () => createWorkerClient({ baseUrl: service.url, transport });

    it("cancels an upload that is aborted, unless its request id is the caller's own", async () => {
      await using worker = open();
      for (const requestId of [undefined, `aborted-${transport}`]) {
        const stop = new AbortController();
        const onProgress = ({ sentBytes }: { sentBytes: number }) => {
          if (sentBytes > 3_000_000) stop.abort();
        };
        const options = { requestId, singleCallBytes: 0, signal: stop.signal, onProgress };
        const error: unknown = await worker.uploadFile(content, options).catch((failure: unknown) => failure);
        expect(error).toMatchObject({ code: 'CANCELLED', requestId: requestId ?? expect.any(String) });
        // Finds the session that is there, or begins another.
        const again = await worker.startUpload({ requestId: (error as { requestId: string }).requestId });
        const { persistedBytes } = await worker.getUpload(again.uploadId);
        if (requestId === undefined) expect(persistedBytes).toBe(0);
        else expect(await worker.resumeUpload(again.uploadId, content)).toMatchObject({ sha256 });
      }
    });

    it('begins uploads by their id, gets and deletes many, and reads into memory', async () => {
      await using worker = open();
      const { uploadId } = await worker.startUpload({ name: 'by-id.bin', sizeBytes: content.length });
      const file = await worker.resumeUpload(uploadId, content);
      expect(file).toMatchObject({ id: uploadId, name: 'by-id.bin', sha256 });
      const { bytes } = await worker.downloadBytes(file.id);
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(sha256);
      const results = await worker.getFiles(['nonenonenonenon', file.id]);
      expect(results.map((result) => result.file?.id ?? result.error?.reason)).toEqual([
        'FILE_NOT_FOUND',
        file.id,
      ]);
      const page = await worker.listFilesPage({ pageSize: 1 });
      expect(page.files).toHaveLength(1);
      const deleted = await worker.deleteFiles([file.id, 'nonenonenonenon']);
      expect(deleted.map((result) => result.file?.id ?? result.error?.code)).toEqual([file.id, 'NOT_FOUND']);
      const given = await worker.startUpload({ sizeBytes: 5 });
      await worker.cancelUpload(given.uploadId);
      await expect(worker.getUpload(given.uploadId)).rejects.toMatchObject({ reason: 'UPLOAD_NOT_FOUND' });

      const direct = await worker.startUpload({ name: 'direct', sizeBytes: 5, transport: 'direct' });
      expect(await worker.getUpload(direct.uploadId)).toMatchObject({
        ...{ transport: 'direct', sizeBytes: 5, partSizeBytes: direct.partSizeBytes, storedPartNumbers: [] },
        ...{ description: { name: 'direct', usage: '' }, createTime: expect.any(Date) },
      });
      const { parts } = await worker.signUploadParts(direct.uploadId, [1]);
      for (const { url, headers } of parts) {
        expect((await fetch(url, { method: 'PUT', headers, body: 'hello' })).status).toBe(200);
      }
      const hello = createHash('sha256').update('hello').digest('hex');
      expect(await worker.completeUpload(direct.uploadId, { sha256: hello })).toMatchObject({ sizeBytes: 5 });
    });

    it('uploads, reads, describes, lists, deletes and brings back', async () => {
      await using worker = open();
      const path = join(folder, 'content.bin');
      const usage = `worker-${transport}`;
      const file = await worker.uploadFile(path, {
        owner: 'ann',
        usage,
        relations: { project: ['p1'] },
        attributes: { title: 'T' },
      });
      expect(file).toMatchObject({
        name: 'content.bin',
        sizeBytes: content.length,
        sha256,
        owner: 'ann',
        usage,
      });

      const copy = join(folder, `copy-${transport}.bin`);
      await worker.downloadToFile(file.id, copy);
      expect((await readFile(copy)).equals(content)).toBe(true);
      const { stream } = await worker.openRead(file.id, { offset: 1_000_000, length: 2_000_000 });
      expect((await buffer(stream)).equals(content.subarray(1_000_000, 3_000_000))).toBe(true);

      const changed = await worker.updateMetadata(
        file.id,
        {
          name: 'b.bin',
          relations: { project: [], team: ['t1'] },
          attributes: { title: null, note: { deep: [1] } },
        },
        { etag: file.etag },
      );
      expect(changed).toMatchObject({
        name: 'b.bin',
        owner: 'ann',
        relations: { team: ['t1'] },
        attributes: { note: { deep: [1] } },
      });
      expect(changed.attributes).not.toHaveProperty('title');
      expect(changed.relations).not.toHaveProperty('project');
      await expect(worker.updateMetadata(file.id, { name: 'c' }, { etag: file.etag })).rejects.toMatchObject({
        code: 'ABORTED',
        reason: 'ETAG_MISMATCH',
      });

      const more = await Promise.all([1, 2, 3].map((n) => worker.uploadFile(Buffer.from(`${n}`), { usage })));
      const ids = new Set<string>();
      for await (const each of worker.listFiles({ usage, pageSize: 2 })) ids.add(each.id);
      expect(ids).toEqual(new Set([file.id, ...more.map(({ id }) => id)]));

      expect((await worker.deleteFile(file.id)).deleteTime).toBeInstanceOf(Date);
      await expect(worker.openRead(file.id)).rejects.toMatchObject({
        code: 'NOT_FOUND',
        reason: 'FILE_DELETED',
      });
      expect((await worker.undeleteFile(file.id)).deleteTime).toBeUndefined();
      expect(await worker.getFile(file.id)).toMatchObject({ id: file.id, name: 'b.bin' });
    });

    it('takes every kind of source, an empty one too', async () => {
      await using worker = open();
      const path = join(folder, 'content.bin');
      for (const source of [
        content,
        new Blob([content]),
        createReadStream(path),
        new Blob([content]).stream(),
      ]) {
        expect(await worker.uploadFile(source)).toMatchObject({ sizeBytes: content.length, sha256 });
      }
      const empty = await worker.uploadFile(new Uint8Array(), { name: 'empty' });
      expect(empty.sizeBytes).toBe(0);
      const { stream } = await worker.openRead(empty.id);
      expect((await buffer(stream)).length).toBe(0);
    });

    it('makes one file of two uploads with one request id, and says what is wrong with another', async () => {
      await using worker = open();
      const options = { requestId: `once-${transport}`, name: 'once' };
      const first = await worker.uploadFile(content, options);
      expect((await worker.uploadFile(content, options)).id).toBe(first.id);
      await expect(worker.uploadFile(Buffer.from('other'), options)).rejects.toMatchObject({
        code: 'ALREADY_EXISTS',
        reason: 'REQUEST_ID_REUSED',
      });
      await expect(worker.uploadFile(content, { name: 'a\nb' })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        reason: 'FIELD_INVALID',
        fieldViolations: [{ field: expect.stringContaining('name') }],
      });
      await expect(
        worker.uploadFile(createReadStream(join(folder, 'content.bin')), { sizeBytes: 7 }),
      ).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        reason: 'SIZE_MISMATCH',
      });
      await expect(worker.getFile('none')).rejects.toMatchObject({
        code: 'NOT_FOUND',
        reason: 'FILE_NOT_FOUND',
      });
    });
  });
}

describe('the BFF client', () => {
  it('passes an upload on from a browser and answers with URLs that serve it', async () => {
    await using bff = createBffClient({ baseUrl: service.url });
    const backEnd = createServer((request, response) => {
      bff
        .forUser('token-of-ann')
        .uploadFromRequest(request, { owner: 'ann', usage: 'avatar' })
        .then(
          (file) => response.end(JSON.stringify(file)),
          (error: Error) => response.writeHead(400).end(error.message),
        );
    });
    await new Promise<void>((resolve) => backEnd.listen(0, '127.0.0.1', resolve));
    try {
      const answer = await fetch(`http://127.0.0.1:${(backEnd.address() as AddressInfo).port}`, {
        method: 'POST',
        body: content,
        headers: { 'x-file-name': encodeURIComponent('Übung.bin') },
      });
      const file = (await answer.json()) as { id: string };
      expect(file).toMatchObject({ name: 'Übung.bin', sizeBytes: content.length, sha256, usage: 'avatar' });

      const { url } = await bff.fileUrl(file.id, { disposition: 'attachment', downloadName: 'x.bin' });
      const served = await fetch(url);
      expect(served.headers.get('content-disposition')).toContain('x.bin');
      expect(Buffer.from(await served.arrayBuffer()).equals(content)).toBe(true);

      const results = await bff.fileUrls([file.id, 'none', file.id]);
      expect(results.map(({ id }) => id)).toEqual([file.id, 'none', file.id]);
      expect(results[1]!.error).toMatchObject({ code: 'NOT_FOUND', reason: 'FILE_NOT_FOUND' });
      expect((await fetch(results[2]!.url!.url)).status).toBe(200);
    } finally {
      await new Promise((resolve) => backEnd.close(resolve));
    }
  });
});

describe('a service that restarts', () => {
  it('costs an upload a retry and no second file', async () => {
    await using worker = createWorkerClient({ baseUrl: service.url, retry: { retries: 10 } });
    const attempts = new Set<number>();
    let restarted: Promise<void> | undefined;
    // Slow enough to be in the middle when the service goes away.
    const slowly = async function* () {
      for (let at = 0; at < content.length; at += 200_000) {
        yield content.subarray(at, at + 200_000);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    const file = await worker.uploadFile(slowly, {
      usage: 'restart',
      sizeBytes: content.length,
      onProgress: ({ attempt, sentBytes }) => {
        attempts.add(attempt);
        if (sentBytes > 1_000_000) restarted ??= killAndStart();
      },
    });
    await restarted;
    expect(file.sha256).toBe(sha256);
    expect(attempts.size).toBeGreaterThan(1);
    const listed = [];
    for await (const each of worker.listFiles({ usage: 'restart' })) listed.push(each.id);
    expect(listed).toEqual([file.id]);
  });

  async function killAndStart(): Promise<void> {
    await service.kill();
    await service.start();
  }
});
