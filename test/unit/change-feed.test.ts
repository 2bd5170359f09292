import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
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

/** Follows the log until it has seen this many changes; returns their files. */
async function follow(feed: ChangeFeed, from: string, count: number, signal: AbortSignal): Promise<string[]> {
  const seen: string[] = [];
  for (let cursor = from; seen.length < count;) {
    const { version } = feed;
    const page = await feed.read(cursor, signal);
    seen.push(...page.changes.map(({ fileId }) => fileId));
    cursor = page.cursor;
    if (page.changes.length === 0) await feed.changed(cursor, version, 20_000, signal);
  }
  return seen;
}

it('reads the log once for all who have everything, and not at all when nobody waits', async () => {
  const feed = new ChangeFeed(catalog.changes);
  const { signal } = new AbortController();
  const from = await catalog.changes.position('now');
  const watching = Array.from({ length: WATCHERS }, () => follow(feed, from, 5, signal));
  const ids: string[] = [];
  // Every watch has read to the end of the log.
  await eventually(() => expect(reads).toBeGreaterThanOrEqual(WATCHERS));
  const before = reads;
  for (let i = 0; i < 5; i++) ids.push((await createFile(catalog)).id);
  for (const seen of await Promise.all(watching)) expect(seen).toEqual(ids);
  // One look per page, and not one per watch.
  expect(reads - before).toBeLessThan(WATCHERS / 4);
  await sleep(600);
  const idle = reads;
  await sleep(600);
  expect(reads).toBe(idle);
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
