import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pino } from 'pino';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sql/sqlite.ts';
import { blobKey } from '../../src/files/bytes.ts';
import { sweep, previewSweep } from '../../src/files/sweep/sweep.ts';
import { deepSweep } from '../../src/files/sweep/deep.ts';
import { assertPaired, unknownIds } from '../../src/files/sweep/proof.ts';
import { backfill } from '../../src/legacy/backfill.ts';
import { verify } from '../../src/move/verify.ts';
import { FilesystemBlobStore } from '../../src/storage/filesystem/filesystem-store.ts';
import { MemoryBudget } from '../../src/storage/memory-budget.ts';
import { S3ObjectReader } from '../../src/storage/s3/s3-object-reader.ts';
import { SignedUrls } from '../../src/storage/signed-url.ts';
import { observedCatalog } from '../../src/telemetry/observed.ts';
import { createFile, newId } from '../conformance/file-catalog/subject.ts';
import { freePort } from '../support/ports.ts';
import { makeDir, removeDir } from '../support/process.ts';

const OPEN = new AbortController().signal;
const MiB = 2 ** 20;
const COUNT = 2_000;

/** Calls of the catalog that may end one after the other before the process does anything else. */
const MAX_CALLS = 20;

/**
 * A query of an embedded database is over without the process having waited. A loop over it that waits for nothing else
 * keeps timers, signals and all callers waiting until its end.
 */
describe('over many records of an embedded catalog, the process does other work during', () => {
  let dir: string;
  let store: FilesystemBlobStore;
  let catalog: FileCatalog;
  let observed: FileCatalog;
  let calls = 0;
  let most = 0;

  beforeAll(async () => {
    dir = await makeDir('turns');
    store = new FilesystemBlobStore(join(dir, 'store'), new SignedUrls('http://x', Buffer.alloc(32)));
    catalog = openSqliteCatalog({ path: join(dir, 'catalog.db') });
    observed = observedCatalog(catalog, () => (most = Math.max(most, ++calls)));
    await catalog.migrate();
  });

  afterAll(async () => {
    await catalog.close();
    await removeDir(dir);
  });

  /** Runs work; a timer must fire meanwhile, and the event loop must turn between the calls of the catalog. */
  async function expectTurns(work: () => Promise<unknown>): Promise<void> {
    let isOver = false;
    let fired = 0;
    const timer = setInterval(() => fired++, 1);
    const turn = () => {
      calls = 0;
      if (!isOver) setImmediate(turn);
    };
    [calls, most] = [0, 0];
    turn();
    try {
      await work();
    } finally {
      isOver = true;
      clearInterval(timer);
    }
    expect(fired).toBeGreaterThan(0);
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(MAX_CALLS);
  }

  /** Empties the catalog and fills it with copies of one file. */
  async function fill(columns: Record<string, null | number> = {}, count = COUNT): Promise<void> {
    withDatabase((database) => database.exec('delete from files; delete from reservations'));
    await createFile(catalog);
    withDatabase((database) => {
      const names = database.prepare("select name from pragma_table_info('files') where name <> 'id'").all();
      const own = names.map(({ name }) => String(name));
      const values = own.map((name) => (name in columns ? String(columns[name]) : name)).join(', ');
      database.exec('delete from reservations');
      database.exec(
        `with recursive n(i) as (select 1 union all select i + 1 from n where i < ${count})
         insert into files (id, ${own.join(', ')}) select printf('%015d', i), ${values} from files, n`,
      );
    });
  }

  /** Adds reservations, each of its own id, that expire now. */
  function addReservations(fileIds: readonly string[], closed: 0 | 1): void {
    withDatabase((database) => {
      database.exec('begin');
      const insert = database.prepare('insert into reservations values (?, ?, ?, ?)');
      for (const id of fileIds) insert.run(randomUUID(), JSON.stringify([id]), Date.now() - 1_000, closed);
      database.exec('commit');
    });
  }

  function withDatabase(work: (database: DatabaseSync) => void): void {
    const database = new DatabaseSync(join(dir, 'catalog.db'));
    work(database);
    database.close();
  }

  const context = () => ({ store, catalog: observed, log: pino({ level: 'silent' }) });
  const newIds = (count: number) => Array.from({ length: count }, newId);

  it('a sweep that purges', async () => {
    await fill({ delete_time: 1, purge_time: 2 }, 200);
    await expectTurns(() => sweep(context(), OPEN, () => Promise.resolve()));
    expect(await catalog.list({ filter: {}, showDeleted: true, limit: 10 })).toHaveLength(1);
  });

  it('a sweep of expired holds', async () => {
    await fill();
    addReservations(newIds(300), 0);
    await expectTurns(() => sweep(context(), OPEN, () => Promise.resolve()));
    expect(await catalog.uploads.listPast(new Date(), 10)).toEqual([]);
  });

  it('a preview of a sweep', async () => {
    await fill();
    addReservations(newIds(COUNT), 0);
    await expectTurns(() => previewSweep(context(), { changesRetentionMs: 1_000 }));
  });

  it('the proof of a deep sweep that store and catalog belong together', async () => {
    // Records that are older than the service have no blob: the proof reads on.
    await fill({ sha256: null });
    await expectTurns(() => assertPaired(context(), OPEN).catch(() => undefined));
  });

  it('the search of a deep sweep for ids that nobody holds', async () => {
    await fill();
    addReservations(newIds(5 * COUNT), 1);
    const unknown = newIds(COUNT);
    await expectTurns(async () =>
      expect(await unknownIds(context(), unknown, true, OPEN)).toEqual(new Set(unknown)),
    );
  });

  it('a deep sweep', async () => {
    await fill();
    const put = (id: string) =>
      store.put(blobKey(id), { sizeBytes: 1, chunks: [Buffer.from('a')] }, { contentType: 'text/plain' });
    const latest = await catalog.list({ filter: {}, showDeleted: true, limit: 20 });
    for (const { id } of latest) await put(id);
    for (const id of newIds(100)) await put(id);
    const told = { onFound: () => undefined, onRemoved: () => undefined, onDone: () => undefined };
    const rates = { ratePerSecond: 1e6, deletionsPerSecond: 1e6 };
    const options = { dryRun: false, graceMs: 0, holder: 'me', ...rates, ...told };
    await expectTurns(() => deepSweep(context(), options, OPEN));
  });

  it('a verification of a sample, of files that were not moved', async () => {
    await fill({ sha256: null });
    for (const sample of [100, 0.000_001]) {
      const options = { sample, since: undefined, restart: true, pageSize: () => 20 };
      await expectTurns(() => verify({ store, catalog: observed }, options, OPEN));
    }
  });

  it('a backfill that goes on behind files that were moved', async () => {
    await fill();
    const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' };
    // Nothing is to be moved, so nobody asks the bucket.
    const endpoint = `http://127.0.0.1:${await freePort()}`;
    const reader = new S3ObjectReader({ endpoint, region: 'eu', bucket: 'old', credentials });
    const system = { catalog: observed, store, bucket: { reader, layouts: [], linkField: 'link' } };
    const memory = { budget: new MemoryBudget(16 * MiB).of(''), partSizeBytes: 5 * MiB };
    const options = { ...memory, dryRun: false, holder: 'me', workers: 4, rate: undefined };
    await expectTurns(() => backfill(system, options, OPEN));
    reader.close();
  });

  it('an export', async () => {
    await fill();
    await expectTurns(async () => {
      for (let after = ''; ;) {
        const page = await observed.exportFiles(after, 50);
        if (page.length === 0) return;
        after = page.at(-1)!.record.id;
      }
    });
  });
});
