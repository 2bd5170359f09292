import { describe, expect, it } from '@jest/globals';
import type { AssetError } from '../../../src/errors/asset-error.ts';
import type { BlobStore } from '../../../src/storage/blob-store.ts';
import {
  bufferedBody,
  bytes,
  hangingStream,
  itNeeds,
  newKey,
  readAll,
  rejection,
  streamedBody,
  type Driver,
  type OpenedStore,
} from './driver.ts';

const TYPE = { contentType: 'text/plain' };

/** A store that is down, stalls, loses responses or denies access. */
export function describeTrouble(driver: Driver, opened: () => OpenedStore): void {
  describe('trouble', () => {
    const store = () => opened().impatient;
    const part = driver.partSizeBytes;
    const told: string[] = [];

    /** Every method on an unusable store; the multipart blob was begun before. */
    function calls(on: BlobStore, key: string, id: string): Record<string, () => Promise<unknown>> {
      const body = bufferedBody(bytes(1000));
      return {
        put: () => on.put(newKey(), body, TYPE),
        'put of a stream': () => on.put(newKey(), streamedBody(bytes(1000)), TYPE),
        startMultipart: () => on.startMultipart(newKey(), { ...TYPE, partSizeBytes: part }),
        putPart: () => on.putPart(key, id, 1, body),
        completeMultipart: () =>
          on.completeMultipart(key, id, [{ partNumber: 1, sizeBytes: 1000, tag: '"0"' }]),
        abortMultiparts: () => on.abortMultiparts(key),
        listParts: () => on.listParts(key, id),
        stat: () => on.stat(key),
        read: () => on.read(key),
        'read of nothing': () => on.read(key, { offset: 0, length: 0 }),
        delete: () => on.delete(key),
        check: () => on.check(),
      };
    }

    async function expectUnavailable(
      on: BlobStore,
      withinMs: number,
      names = Object.keys(calls(on, '', '')),
      key = newKey(),
      id = '0'.repeat(24) + '.0',
    ): Promise<void> {
      const outcomes = await Promise.all(
        Object.entries(calls(on, key, id))
          .filter(([name]) => names.includes(name))
          .map(async ([name, call]) => {
            const started = performance.now();
            const error = (await rejection(call())) as AssetError;
            told.push(`${error.message} ${JSON.stringify(error.metadata)}`);
            return {
              name,
              reason: error.reason,
              waits: (error.retryAfterMs ?? 0) > 0,
              late: performance.now() - started > withinMs,
            };
          }),
      );
      expect(outcomes).toEqual(
        outcomes.map(({ name }) => ({ name, reason: 'STORE_UNAVAILABLE', waits: true, late: false })),
      );
    }

    it('resolves a check while the store is available', async () => {
      await store().check();
    });

    it('is told within 15 seconds when the store is down, and is over by itself', async () => {
      const key = newKey();
      const multipart = newKey();
      await store().put(key, bufferedBody(bytes(1000)), TYPE);
      const id = await store().startMultipart(multipart, { ...TYPE, partSizeBytes: part });
      await opened().fail();
      try {
        await expectUnavailable(store(), 15_000, undefined, multipart, id);
      } finally {
        await opened().recover();
      }
      await store().check();
      expect((await readAll(await store().read(key))).equals(bytes(1000))).toBe(true);
      const sent = await store().putPart(multipart, id, 1, bufferedBody(bytes(1000)));
      expect(await store().completeMultipart(multipart, id, [sent])).toBe('created');
    });

    it('is reported when access is denied, and not as a missing blob', async () => {
      for (const { store: unusable } of opened().unusable) {
        const names = ['put', 'startMultipart', 'stat', 'read', 'read of nothing', 'delete', 'check'];
        await expectUnavailable(unusable, 15_000, names);
        await unusable.close();
      }
    });

    itNeeds(driver, 'network', 'is told when the store answers nothing', async () => {
      opened().proxy!.stall();
      try {
        await expectUnavailable(store(), 15_000, [
          'put',
          'put of a stream',
          'putPart',
          'stat',
          'read',
          'check',
        ]);
      } finally {
        await opened().proxy!.restore();
      }
      await store().check();
    });

    itNeeds(driver, 'network', 'is told when the store stalls in the middle of a body', async () => {
      const key = newKey();
      const put = store().put(key, bufferedBody(bytes(10 * 1024 * 1024)), TYPE);
      setTimeout(() => opened().proxy!.stall(), 5);
      try {
        expect(await rejection(put)).toMatchObject({ reason: 'STORE_UNAVAILABLE' });
      } finally {
        await opened().proxy!.restore();
      }
      expect(await store().stat(key)).toBeUndefined();
    });

    itNeeds(driver, 'network', 'does not blame the store for a source that is slow', async () => {
      const key = newKey();
      async function* slow(): AsyncGenerator<Uint8Array> {
        yield bytes(1000);
        await new Promise((resolve) => setTimeout(resolve, 3_500));
        yield bytes(1000);
      }
      expect(await store().put(key, { sizeBytes: 2000, chunks: slow() }, TYPE)).toBe('created');
    });

    itNeeds(
      driver,
      'network',
      'fails a read, and does not end it early, when it is cut or stalls',
      async () => {
        const key = newKey();
        const data = bytes(10 * 1024 * 1024);
        await store().put(key, bufferedBody(data), TYPE);
        const { proxy } = opened();
        for (const after of [200_000, data.length / 2, data.length]) {
          proxy!.cutAfter(after);
          const error = await rejection(store().read(key).then(readAll));
          expect(error).toMatchObject({ reason: 'STORE_UNAVAILABLE' });
          told.push(error.message);
          await proxy!.restore();
        }
        const stream = await store().read(key);
        stream.once('data', () => proxy!.stall());
        expect(await rejection(readAll(stream))).toMatchObject({ reason: 'STORE_UNAVAILABLE' });
        await proxy!.restore();
        expect((await readAll(await store().read(key))).equals(data)).toBe(true);
      },
    );

    itNeeds(driver, 'network', 'knows its own blob when the first answer was lost', async () => {
      const key = newKey();
      opened().proxy!.cutAfter(1);
      expect(await store().put(key, bufferedBody(bytes(1000)), TYPE)).toBe('created');
      expect(await store().put(key, bufferedBody(bytes(1000)), TYPE)).toBe('exists');
      opened().proxy!.cutAfter(1);
      expect(await store().put(key, bufferedBody(bytes(1000)), TYPE)).toBe('exists');

      const multipart = newKey();
      const id = await store().startMultipart(multipart, { ...TYPE, partSizeBytes: part });
      opened().proxy!.cutAfter(1);
      const sent = await store().putPart(multipart, id, 1, bufferedBody(bytes(1000)));
      opened().proxy!.cutAfter(1);
      expect(await store().completeMultipart(multipart, id, [sent])).toBe('created');
      expect(await store().completeMultipart(multipart, id, [sent])).toBe('exists');
    });

    itNeeds(driver, 'network', 'never repeats a stream', async () => {
      const key = newKey();
      opened().proxy!.cutAfter(1);
      const put = store().put(key, streamedBody(bytes(1000)), TYPE);
      expect(await rejection(put)).toMatchObject({ reason: 'STORE_UNAVAILABLE' });
      await store().delete(key);
    });

    itNeeds(driver, 'network', 'lets go of a stalled request at once when its caller gives up', async () => {
      opened().proxy!.stall();
      const reason = new Error('enough');
      const body = { sizeBytes: 2000, chunks: hangingStream(bytes(1000)) };
      for (const call of [
        (signal: AbortSignal) => store().put(newKey(), body, TYPE, { signal }),
        (signal: AbortSignal) => store().stat(newKey(), { signal }),
        (signal: AbortSignal) => store().read(newKey(), undefined, { signal }),
      ]) {
        const abort = new AbortController();
        setTimeout(() => abort.abort(reason), 50);
        const started = performance.now();
        expect(await rejection(call(abort.signal))).toBe(reason);
        // The store itself would give up after 2 s.
        expect(performance.now() - started).toBeLessThan(1_900);
      }
      await opened().proxy!.restore();
    });

    it('never reveals where the blobs are', () => {
      expect(told.length).toBeGreaterThan(10);
      for (const secret of opened().secrets) {
        expect(told.filter((text) => text.includes(secret))).toEqual([]);
      }
    });
  });
}
