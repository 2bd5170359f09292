import { describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { File } from '@asset-service/contract/asset/v1/file_pb.js';
import { startService } from '../support/service.ts';
import { clientOf, download, randomContent, upload, type Bytes } from './support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { EMBEDDED, POCKETBASE } from './support/setups.ts';

const MiB = 2 ** 20;

/** One file that a caller wants to be stored, whatever happens. */
interface Wish {
  readonly requestId: string;
  readonly content: Bytes;
  acknowledged?: File;
}

describe.each([EMBEDDED, POCKETBASE])('a service that is killed on $name', (kind) => {
  it('loses no acknowledged file, shows no partial file, and removes leftovers', async () => {
    const setup = await kind.open();
    const service = await startService({
      ...setup.env,
      ASSET_UPLOAD_PART_SIZE: String(5 * MiB),
      ASSET_RESERVATION_TTL: '3',
      ASSET_SWEEP_INTERVAL: '0.5',
    });
    try {
      const owner = randomUUID();
      const wishes: Wish[] = [];
      for (let life = 0; life < 3; life++) {
        const client = clientOf(service.url);
        let killed = false;
        const caller = async (index: number) => {
          while (!killed) {
            const size = index === 0 ? 6 * MiB : Math.floor(Math.random() * 200_000);
            const wish: Wish = { requestId: randomUUID(), content: randomContent(size) };
            wishes.push(wish);
            try {
              wish.acknowledged = await upload(client, wish.content, {
                requestId: wish.requestId,
                file: { owner },
              });
            } catch {
              await sleep(20);
            }
          }
        };
        const callers = Array.from({ length: 6 }, (_, i) => caller(i));
        const before = wishes.length;
        await eventually(() => {
          const done = wishes.slice(before).filter((wish) => wish.acknowledged);
          if (done.length < 4 + life) throw new Error('the service has not got to it yet');
        });
        await service.kill();
        killed = true;
        await Promise.all(callers);
        await service.start();
      }
      const client = clientOf(service.url);
      const acknowledged = wishes.filter((wish) => wish.acknowledged);
      expect(acknowledged.length).toBeGreaterThan(5);
      expect(acknowledged.length).toBeLessThan(wishes.length);

      // Whatever is listed has all its bytes, and is what somebody wished for.
      const listed: File[] = [];
      let pageToken = '';
      do {
        const page = await client.listFiles({ filter: { owner }, pageSize: 1000, pageToken });
        listed.push(...page.files);
        pageToken = page.nextPageToken;
      } while (pageToken !== '');
      await Promise.all(
        listed.map(async (file) => {
          const { content } = await download(client, file.id);
          expect(wishes.filter((wish) => content.equals(wish.content))).toHaveLength(1);
        }),
      );
      const ids = new Set(listed.map(({ id }) => id));
      for (const wish of acknowledged) expect(ids).toContain(wish.acknowledged?.id);

      // Repeating all that was not acknowledged makes exactly one file of each.
      const repeated = await Promise.all(
        wishes.map(({ requestId, content }) => upload(client, content, { requestId, file: { owner } })),
      );
      wishes.forEach(({ acknowledged: before }, i) => {
        if (before) expect(repeated[i]?.id).toBe(before.id);
        ids.add(repeated[i]!.id);
      });
      expect(ids.size).toBe(wishes.length);
      await eventually(async () => expect(await leftovers(ids)).toEqual([]));
    } finally {
      await service.dispose();
      await setup.dispose();
    }

    /** Names in the store that belong to no file, and files whose bytes are not there. */
    async function leftovers(ids: ReadonlySet<string>): Promise<string[]> {
      const blobs = await setup.blobs();
      const orphans = blobs.filter((name) => ![...ids].some((id) => name.includes(id)));
      return blobs.length < ids.size ? [...orphans, 'blobs are missing'] : orphans;
    }
  });
});
