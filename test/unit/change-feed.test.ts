import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChangePage, FileCatalog } from '../../src/catalog/file-catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sql/sqlite.ts';
import { ChangeFeed } from '../../src/events/change-feed.ts';
import { observedCatalog } from '../../src/telemetry/observed.ts';
import { createFile } from '../conformance/file-catalog/subject.ts';
import { eventually } from '../support/eventually.ts';
import { makeDir, removeDir } from '../support/process.ts';

const WATCHERS = 200;

let dir: string;
let catalog: FileCatalog;
let reads: number;

beforeEach(async () => {
  dir = await makeDir('change-feed');
  reads = 0;
  catalog = observedCatalog(openSqliteCatalog({ path: join(dir, 'catalog.sqlite') }), ({ operation }) => {
    if (operation === 'catalog.changes.read') reads += 1;
  });
  await catalog.migrate();
});

afterEach(async () => {
  await catalog.close();
  await removeDir(dir);
});

/**
 * Waits for the next page of the log, as a watch does.
 *
 * @param onWait - called each time when the feed has it among those that wait
 */
async function nextPage(
  feed: ChangeFeed,
  cursor: string,
  signal: AbortSignal,
  onWait: () => void,
): Promise<ChangePage> {
  for (;;) {
    const { version } = feed;
    const page = await feed.read(cursor, signal);
    if (page.changes.length > 0) return page;
    const change = feed.changed(cursor, version, 600_000, signal);
    onWait();
    await change;
  }
}

it('reads the log once for all who have everything, and not at all when nobody waits', async () => {
  const feed = new ChangeFeed(catalog.changes);
  const { signal } = new AbortController();
  let cursor = await catalog.changes.position('now');
  for (let wave = 0; wave < 3; wave++) {
    let waiting = 0;
    const pages = Array.from({ length: WATCHERS }, () =>
      nextPage(feed, cursor, signal, () => void (waiting += 1)),
    );
    // Every watch has read to the end of the log.
    await eventually(() => expect(waiting).toBeGreaterThanOrEqual(WATCHERS));
    const before = reads;
    const { id } = await createFile(catalog);
    const seen = await Promise.all(pages);
    for (const { changes } of seen) expect(changes.map(({ fileId }) => fileId)).toEqual([id]);
    // One look per page, and not one per watch.
    expect(reads - before).toBeLessThan(WATCHERS / 4);
    cursor = seen[0]!.cursor;
  }
  await eventually(async () => {
    const idle = reads;
    await sleep(600);
    expect(reads).toBe(idle);
  });
});

it('asks the catalog for nobody who comes back to the end of the log, also after a rest', async () => {
  const feed = new ChangeFeed(catalog.changes);
  const { signal } = new AbortController();
  let cursor = await catalog.changes.position('now');
  for (let wave = 0; wave < 3; wave++) {
    // The poller rests.
    if (wave === 2) await sleep(600);
    const before = reads;
    let waiting = 0;
    const pages = Array.from({ length: WATCHERS }, () =>
      nextPage(feed, cursor, signal, () => void (waiting += 1)),
    );
    await eventually(() => expect(waiting).toBeGreaterThanOrEqual(WATCHERS));
    await createFile(catalog);
    ({ cursor } = (await Promise.all(pages))[0]!);
    if (wave > 0) expect(reads - before).toBeLessThan(WATCHERS / 4);
  }
});

it('asks the catalog for those who want what is there now', async () => {
  const feed = new ChangeFeed(catalog.changes);
  const stop = new AbortController();
  const from = await catalog.changes.position('now');
  const waiting = feed.changed(from, feed.version, 20_000, stop.signal).catch((error: unknown) => error);
  const { id } = await createFile(catalog);
  expect((await feed.read(from, stop.signal)).changes).toEqual([]);
  expect((await feed.read(from, stop.signal, true)).changes).toMatchObject([{ fileId: id }]);
  stop.abort();
  await waiting;
});

it('tells who waits when the time is over, the call is ended, or the catalog says that the log is another', async () => {
  const feed = new ChangeFeed(catalog.changes);
  const stop = new AbortController();
  const from = await catalog.changes.position('now');
  const { version } = feed;
  await feed.changed(from, version, 10, stop.signal);
  const waiting = feed.changed(from, version, 20_000, stop.signal);
  stop.abort(new Error('ended by the test'));
  await expect(waiting).rejects.toThrow('ended by the test');
  await expect(feed.changed(from, version, 20_000, stop.signal)).rejects.toThrow('ended by the test');
  const { signal } = new AbortController();
  // Its own read tells it why.
  const other = new ChangeFeed(catalog.changes);
  await other.changed(`${from}0`, other.version, 60_000, signal);
  await expect(other.read(`${from}0`, signal)).rejects.toMatchObject({ reason: 'CURSOR_EXPIRED' });
});
