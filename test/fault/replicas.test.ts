import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Point } from '../../src/system/crash-points.ts';
import {
  crc32c,
  download,
  randomContent,
  sha256,
  upload,
  type AssetClient,
  type Bytes,
} from '../e2e/support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { checkEverything } from './support/check.ts';
import { Ledger } from './support/ledger.ts';
import { FULL, report } from './support/report.ts';
import { acknowledged, newWish, uploadPlain } from './support/uploads.ts';
import { startWorld, type Replica, type World } from './support/world.ts';

const MiB = 2 ** 20;

/** Lifetime of sessions and reservations, in seconds. An upload must reach its point within it on a busy machine. */
const TTL_SECONDS = 5;

const UPLOAD_POINTS = ['upload.reserved', 'upload.stored', 'upload.verified'] as const;

const SESSION_POINTS = [
  'session.claimed',
  'session.multipart-begun',
  'session.part-stored',
  'session.piece-stored',
  'session.finishing',
  'session.assembled',
  'session.pieces-removed',
] as const;

/** A short run tests every point once, with one of the catalogs; a full run tests all with both. */
const RUNS = (['postgres', 'pocketbase'] as const).map((catalog, half) => {
  const mine = (_point: Point, index: number) => FULL || index % 2 === half;
  return {
    catalog,
    uploadPoints: UPLOAD_POINTS.filter(mine),
    sweptPoints: SESSION_POINTS.filter(mine),
    finishedPoints: SESSION_POINTS.filter((point, index) => mine(point, index + 1)),
  };
});

describe.each(RUNS)('two replicas on SeaweedFS and $catalog', (run) => {
  const { catalog } = run;
  const ledger = new Ledger();
  let world: World;
  /** The replica that is stopped, and the one that continues. */
  let stopped: Replica;
  let other: Replica;

  beforeAll(async () => {
    const env = {
      ASSET_RESERVATION_TTL: String(TTL_SECONDS),
      ASSET_UPLOAD_SESSION_TTL: String(TTL_SECONDS),
    };
    world = await startWorld({ catalog, env });
    [stopped, other] = world.replicas as [Replica, Replica];
  });

  afterEach(async () => {
    await stopped.arm();
    stopped.service.signal('SIGCONT');
  });

  afterAll(async () => {
    await checkEverything(world, ledger);
    await world.dispose();
    report(`a replica that is stopped and goes on late, ${catalog}`, ledger);
  });

  /** Stops a replica at a point while it handles a call of the test. */
  async function stopAt<T>(
    point: Point,
    call: () => Promise<T>,
  ): Promise<Promise<PromiseSettledResult<T>>[]> {
    await stopped.arm({ point, nth: 1, signal: 'SIGSTOP' });
    const [outcome] = [Promise.allSettled([call()]).then(([result]) => result)];
    await eventually(() => expect(stateOf(stopped)).toMatch(/^T/));
    ledger.counts.pointsHit.add(point);
    ledger.counts.outages++;
    // In an array, because `await` would also wait for a bare promise.
    return [outcome];
  }

  /** Waits until the other replica has swept the reservations and sessions of the stopped one. */
  const swept = (ids: () => Promise<string[]>) => eventually(async () => expect(await ids()).toEqual([]));

  it.each(run.uploadPoints)(
    'refuses an upload that slept from %s until after its reservation was swept',
    async (point) => {
      for (const size of [50_000, 11 * MiB]) {
        // Without a request id only the closed reservation prevents the file.
        const [late] = await stopAt(point, () => upload(stopped.client, randomContent(size)));
        await uploadPlain({ ...world, replicas: [other] }, ledger, newWish());
        await sleep(TTL_SECONDS * 1000 + 500);
        await swept(() => world.inspector.pastThings(new Date()));
        await stopped.arm();
        stopped.service.signal('SIGCONT');
        const result = await late!;
        expect(result.status).toBe('rejected');
        const { code } = await failureOf(Promise.reject((result as PromiseRejectedResult).reason as Error));
        expect(['ABORTED', 'UNAVAILABLE']).toContain(code);
      }
    },
  );

  it.each(run.sweptPoints)(
    'lets nothing come of an upload that slept from %s until after it was swept',
    async (point) => {
      const { content, uploadId } = await begin();
      const [late] = await stopAt(point, () => sendAll(stopped.client, uploadId, content, point));
      await swept(async () => (await world.setup.blobs()).filter((name) => name.includes(uploadId)));
      await swept(async () => {
        const all = await world.inspector.pastThings(new Date(Date.now() + 60_000));
        return all.filter((thing) => thing.includes(uploadId));
      });
      await stopped.arm();
      stopped.service.signal('SIGCONT');
      const result = await late!;
      expect(result.status).toBe('rejected');
      expect(await failureOf(other.client.getFile({ fileId: uploadId }))).toMatchObject({
        code: 'NOT_FOUND',
      });
      await swept(async () => (await world.setup.blobs()).filter((name) => name.includes(uploadId)));
    },
  );

  it.each(run.finishedPoints)(
    'lets another replica finish an upload whose replica sleeps at %s',
    async (point) => {
      const { wish, content, uploadId } = await begin();
      const [late] = await stopAt(point, () => sendAll(stopped.client, uploadId, content, point));
      const { writeStatus } = await other.client.getUpload({ uploadId });
      const at = Number(writeStatus.value);
      const file = await sendAll(other.client, uploadId, content, 'session.committed', at);
      acknowledged(ledger, wish, file!);
      await stopped.arm();
      stopped.service.signal('SIGCONT');
      const result = await late!;
      if (result.status === 'fulfilled') expect(result.value?.id ?? uploadId).toBe(uploadId);
      expect((await download(stopped.client, uploadId)).content.equals(content)).toBe(true);
      await eventually(async () => {
        expect((await world.setup.blobs()).filter((name) => name.includes(uploadId))).toHaveLength(1);
      });
    },
  );

  it('makes one file of one request id that comes to both at once', async () => {
    for (let i = 0; i < 5; i++) {
      const wish = newWish('', i === 0);
      const replicas = [stopped, other, stopped, other];
      const results = await Promise.allSettled(
        replicas.map(({ client }) =>
          upload(client, wish.content, { requestId: wish.requestId, file: { name: wish.requestId } }),
        ),
      );
      for (const result of results) {
        if (result.status === 'fulfilled') acknowledged(ledger, wish, result.value);
        else
          expect(await failureOf(Promise.reject(result.reason as Error))).toMatchObject({ code: 'ABORTED' });
      }
      await uploadPlain(world, ledger, wish);
    }
  });

  /** Begins an upload of three parts and sends a piece of it. */
  async function begin() {
    const wish = newWish('', true);
    const content = randomContent(11 * MiB);
    const uploadSpec = { file: { name: wish.requestId }, sizeBytes: BigInt(content.length) };
    const { uploadId } = await other.client.startUpload({ uploadSpec });
    const first = content.subarray(0, 100_000);
    await other.client.uploadChunk({ uploadId, data: { content: first, crc32c: crc32c(first) } });
    return { wish: { ...wish, content }, content, uploadId };
  }

  /** Sends the rest of an upload; for a point before the end without the last bytes, so that a piece is stored. */
  async function sendAll(
    client: AssetClient,
    uploadId: string,
    content: Bytes,
    point: Point,
    from = 100_000,
  ) {
    const whole = point !== 'session.piece-stored';
    const end = whole ? content.length : content.length - 10;
    async function* messages() {
      yield { firstMessage: { case: 'uploadId' as const, value: uploadId }, writeOffset: BigInt(from) };
      for (let at = from; at < end; at += MiB) {
        yield { writeOffset: BigInt(at), data: { content: content.subarray(at, Math.min(end, at + MiB)) } };
      }
      if (whole)
        yield { writeOffset: BigInt(end), checksums: { sha256: sha256(content) }, finishWrite: true };
    }
    const { writeStatus } = await client.upload(messages());
    return writeStatus.case === 'file' ? writeStatus.value : undefined;
  }
});

/** State of a process from the operating system; starts with T while it is stopped. */
function stateOf({ service }: Replica): string {
  return execFileSync('ps', ['-o', 'stat=', '-p', String(service.pid)], { encoding: 'utf8' }).trim();
}
