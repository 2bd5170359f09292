import { describe, expect, it } from '@jest/globals';
import type { BlobPart } from '../../../src/storage/blob.ts';
import type { BlobStore } from '../../../src/storage/blob-store.ts';
import { bufferedBody, bytes, itNeeds, newKey, readAll, rejection, streamedBody } from './driver.ts';
import type { Driver, OpenedStore } from './driver.ts';

const TYPE = { contentType: 'application/octet-stream' };

/** Blobs that are written in parts. */
export function describePartBlobs(driver: Driver, opened: () => OpenedStore): void {
  describe('blobs in parts', () => {
    const part = driver.partSizeBytes;
    const store = () => opened().store;

    async function send(into: BlobStore, key: string, id: string, data: Buffer): Promise<BlobPart[]> {
      const sent: Promise<BlobPart>[] = [];
      for (let at = 0; at < data.length; at += part) {
        const body = bufferedBody(data.subarray(at, at + part));
        sent.push(into.putPart(key, id, sent.length + 1, body));
      }
      return Promise.all(sent);
    }

    const start = (key: string, into = store()) => into.startMultipart(key, { ...TYPE, partSizeBytes: part });

    it.each([
      ['1 byte', 1],
      ['a byte less than a part', part - 1],
      ['a part', part],
      ['a byte more than a part', part + 1],
      ['two parts', 2 * part],
      ['a byte more than two parts', 2 * part + 1],
    ])('stores and returns %s', async (_name, size) => {
      const key = newKey();
      const data = bytes(size);
      const id = await start(key);
      const parts = await send(store(), key, id, data);
      expect(parts.map(({ partNumber }) => partNumber)).toEqual(parts.map((_, i) => i + 1));
      expect(await store().stat(key)).toBeUndefined();
      expect(await store().completeMultipart(key, id, parts)).toBe('created');
      expect(await store().stat(key)).toEqual({ sizeBytes: size });
      expect((await readAll(await store().read(key))).equals(data)).toBe(true);
      expect([TYPE.contentType, undefined]).toContain(await opened().contentType(key));
      expect(await opened().countUnfinished(key)).toBe(0);
    });

    it('takes parts in any order, streamed, and from another process', async () => {
      const key = newKey();
      const id = await start(key);
      const data = bytes(part + 1000);
      const last = await store().putPart(key, id, 2, streamedBody(data.subarray(part)));
      const other = opened().reopen();
      const first = await other.putPart(key, id, 1, streamedBody(data.subarray(0, part)));
      expect(await other.completeMultipart(key, id, [first, last])).toBe('created');
      await other.close();
      expect((await readAll(await store().read(key))).equals(data)).toBe(true);
    });

    it('lists parts by the tags that they were stored with, and makes them one blob as it lists them', async () => {
      const key = newKey();
      const id = await start(key);
      const data = bytes(part + 1000);
      const sent = await send(store(), key, id, data);
      const listed = await store().listParts(key, id);
      const known = ({ partNumber, sizeBytes, tag }: BlobPart) => [
        partNumber,
        sizeBytes,
        tag.replaceAll('"', ''),
      ];
      expect(listed.map(known)).toEqual(sent.map(known));
      expect(await store().completeMultipart(key, id, listed)).toBe('created');
      expect((await readAll(await store().read(key))).equals(data)).toBe(true);
    });

    it('puts the part that was sent last in the place of one that was sent before', async () => {
      const key = newKey();
      const id = await start(key);
      const old = await store().putPart(key, id, 1, bufferedBody(Buffer.alloc(part, 1)));
      const parts = await send(store(), key, id, bytes(part + 10));
      expect(parts[0]!.tag).not.toBe(old.tag);
      expect(await store().completeMultipart(key, id, parts)).toBe('created');
      expect((await readAll(await store().read(key))).equals(bytes(part + 10))).toBe(true);
    });

    it('keeps a part whose replacement is refused', async () => {
      const key = newKey();
      const id = await start(key);
      const parts = await send(store(), key, id, bytes(1000));
      const wrong = { ...bufferedBody(Buffer.alloc(1000, 1)), crc32c: 1 };
      await expect(store().putPart(key, id, 1, wrong)).rejects.toMatchObject({ reason: 'CHECKSUM_MISMATCH' });
      expect(await store().completeMultipart(key, id, parts)).toBe('created');
      expect((await readAll(await store().read(key))).equals(bytes(1000))).toBe(true);
    });

    it('leaves out parts that are not named when it is completed', async () => {
      const key = newKey();
      const id = await start(key);
      const parts = await send(store(), key, id, bytes(part + 1));
      expect(await store().completeMultipart(key, id, parts.slice(0, 1))).toBe('created');
      expect(await store().stat(key)).toEqual({ sizeBytes: part });
    });

    it.each([
      ['a wrong checksum', { ...bufferedBody(bytes(1000)), crc32c: 1 }, 'CHECKSUM_MISMATCH'],
      ['a wrong checksum, streamed', { ...streamedBody(bytes(1000)), crc32c: 1 }, 'CHECKSUM_MISMATCH'],
      ['fewer bytes than said', streamedBody(bytes(1000), 1001), 'SIZE_MISMATCH'],
      ['more bytes than said', streamedBody(bytes(1000), 999), 'SIZE_MISMATCH'],
    ])('refuses a part with %s', async (_name, body, reason) => {
      const key = newKey();
      const id = await start(key);
      await expect(store().putPart(key, id, 1, body)).rejects.toMatchObject({ reason });
      await store().abortMultiparts(key);
    });

    it('answers "exists" when it is completed again, also by another process', async () => {
      const key = newKey();
      const id = await start(key);
      const parts = await send(store(), key, id, bytes(1000));
      expect(await store().completeMultipart(key, id, parts)).toBe('created');
      expect(await store().completeMultipart(key, id, parts)).toBe('exists');
      const other = opened().reopen();
      expect(await other.completeMultipart(key, id, parts)).toBe('exists');
      await other.close();
    });

    itNeeds(
      driver,
      'one-completion',
      'has one winner when several are completed under one key at once',
      async () => {
        const key = newKey();
        const complete = await Promise.all(
          [1000, 1001, 1002].map(async (size) => {
            const id = await start(key);
            const parts = await send(store(), key, id, bytes(size));
            return { size, run: () => store().completeMultipart(key, id, parts) };
          }),
        );
        const results = await Promise.all(complete.map(({ run }) => run()));
        expect([...results].sort()).toEqual(['created', 'exists', 'exists']);
        expect(await store().stat(key)).toEqual({ sizeBytes: complete[results.indexOf('created')]!.size });
        await store().abortMultiparts(key);
        expect(await opened().countUnfinished(key)).toBe(0);
        expect(await store().stat(key)).toBeDefined();
      },
    );

    it('is whole when it is completed several times at once', async () => {
      const key = newKey();
      const id = await start(key);
      const parts = await send(store(), key, id, bytes(part + 1000));
      const runs = Array.from({ length: 4 }, () => store().completeMultipart(key, id, parts));
      const results = await Promise.all(runs);
      expect(results).toContain('created');
      expect(results.filter((result) => result !== 'created' && result !== 'exists')).toEqual([]);
      expect((await readAll(await store().read(key))).equals(bytes(part + 1000))).toBe(true);
      expect(await opened().countUnfinished(key)).toBe(0);
    });

    it('does not change once it is complete, though a part is sent again at the same time', async () => {
      for (const afterMs of [0, 1, 2, 4, 8]) {
        const key = newKey();
        const id = await start(key);
        const parts = await send(store(), key, id, bytes(part));
        const late = store().putPart(key, id, 1, streamedBody(Buffer.alloc(part, 7)));
        const refused = late.catch((error: unknown) => error);
        await new Promise((resolve) => setTimeout(resolve, afterMs));
        const completed = await store()
          .completeMultipart(key, id, parts)
          .catch((error: unknown) => error);
        const before = completed === 'created' ? await readAll(await store().read(key)) : undefined;
        await refused;
        if (before) expect(before.equals(await readAll(await store().read(key)))).toBe(true);
        // The replaced part may already be stored, and then the old one no longer exists.
        else expect(completed).toMatchObject({ reason: 'UPLOAD_EXPIRED' });
        await store().abortMultiparts(key);
      }
    });

    it('does not take the place of a blob that came in between', async () => {
      const key = newKey();
      const id = await start(key);
      const parts = await send(store(), key, id, bytes(1000));
      expect(await store().put(key, bufferedBody(bytes(5)), TYPE)).toBe('created');
      expect(await store().completeMultipart(key, id, parts)).toBe('exists');
      expect(await store().stat(key)).toEqual({ sizeBytes: 5 });
    });

    it('removes all unfinished blobs under a key, and nothing else', async () => {
      const key = newKey();
      const longer = `${key}0`;
      const ids = [await start(key), await start(key), await start(key)];
      const longerId = await start(longer);
      await send(store(), key, ids[0]!, bytes(part + 1));
      const parts = await send(store(), longer, longerId, bytes(1000));
      expect(await opened().countUnfinished(key)).toBe(3);
      await store().abortMultiparts(key);
      expect(await opened().countUnfinished(key)).toBe(0);
      await store().abortMultiparts(key);
      expect(await store().completeMultipart(longer, longerId, parts)).toBe('created');
      await store().abortMultiparts(longer);
      expect(await store().stat(longer)).toEqual({ sizeBytes: 1000 });
    });

    itNeeds(driver, 'refuses-parts-after-abort', 'refuses parts once it is aborted', async () => {
      const key = newKey();
      const id = await start(key);
      await store().abortMultiparts(key);
      const late = store().putPart(key, id, 1, bufferedBody(bytes(1000)));
      await expect(late).rejects.toMatchObject({ reason: 'UPLOAD_EXPIRED' });
      expect(await opened().countUnfinished(key)).toBe(0);
    });

    it('cannot be completed once it is aborted', async () => {
      const key = newKey();
      const id = await start(key);
      const parts = await send(store(), key, id, bytes(1000));
      await store().abortMultiparts(key);
      const late = store().completeMultipart(key, id, parts);
      await expect(late).rejects.toMatchObject({ reason: 'UPLOAD_EXPIRED' });
      expect(await store().stat(key)).toBeUndefined();
    });

    it('accepts no multipart id that it did not create', async () => {
      const key = newKey();
      for (const id of ['', 'x', '../../x', `${'0'.repeat(24)}.x`]) {
        const put = store().putPart(key, id, 1, bufferedBody(bytes(10)));
        expect(await rejection(put)).toMatchObject({ reason: 'UPLOAD_EXPIRED' });
      }
    });

    it('stops a part, or the completion, when the caller gives up', async () => {
      const key = newKey();
      const reason = new Error('enough');
      const id = await start(key);
      const parts = await send(store(), key, id, bytes(1000));
      const signal = AbortSignal.abort(reason);
      expect(await rejection(store().putPart(key, id, 2, bufferedBody(bytes(10)), { signal }))).toBe(reason);
      expect(await rejection(store().completeMultipart(key, id, parts, { signal }))).toBe(reason);
      expect(await store().stat(key)).toBeUndefined();
      for (const afterMs of [0, 1, 3, 10]) {
        const one = newKey();
        const oneId = await start(one);
        const oneParts = await send(store(), one, oneId, bytes(1000));
        const abort = new AbortController();
        setTimeout(() => abort.abort(reason), afterMs);
        const result = await store()
          .completeMultipart(one, oneId, oneParts, { signal: abort.signal })
          .catch((error: unknown) => error);
        expect(['created', reason]).toContain(result);
        expect((await store().stat(one)) !== undefined).toBe(result === 'created');
        await store().abortMultiparts(one);
      }
    });
  });
}
