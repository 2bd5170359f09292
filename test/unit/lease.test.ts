import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sql/sqlite.ts';
import { underLease } from '../../src/files/lease.ts';
import { paceOf } from '../../src/system/rate.ts';

describe('work under a lease', () => {
  const lease = { name: 'work', holder: 'me', ttlMs: 1_500 };
  const open = new AbortController().signal;
  let dir: string;
  let catalog: FileCatalog;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'lease-'));
    catalog = openSqliteCatalog({ path: join(dir, 'catalog.db') });
    await catalog.migrate();
  });

  afterEach(async () => {
    await catalog.close();
    await rm(dir, { recursive: true });
  });

  const take = (holder: string) => catalog.acquireLease('work', holder, new Date(Date.now() + 60_000));

  it('is done with the lease, which is prolonged meanwhile and given up after', async () => {
    const result = await underLease(catalog, lease, open, async (signal) => {
      await sleep(2 * lease.ttlMs);
      expect(signal.aborted).toBe(false);
      expect(await take('other')).toBe(false);
      return 'done';
    });
    expect(result).toBe('done');
    expect(await take('other')).toBe(true);
  });

  it('is not done while another holder has the lease, which keeps it', async () => {
    await take('other');
    const work = () => Promise.reject(new Error('must not run'));
    expect(await underLease(catalog, lease, open, work)).toBeUndefined();
    expect(await take('third')).toBe(false);
  });

  it('rejects as the work does, and gives the lease up', async () => {
    const fails = underLease(catalog, lease, open, () => Promise.reject(new Error('broken')));
    await expect(fails).rejects.toThrow('broken');
    expect(await take('other')).toBe(true);
  });

  it('is stopped when another has taken the lease, which keeps it', async () => {
    const stopped = underLease(catalog, lease, open, async (signal) => {
      await catalog.releaseLease('work', 'me');
      expect(await take('other')).toBe(true);
      await sleep(10_000, undefined, { signal });
    });
    await expect(stopped).rejects.toMatchObject({ cause: { name: 'LeaseLost' } });
    expect(await take('third')).toBe(false);
  });

  it('is stopped when the lease cannot be prolonged before it expires', async () => {
    const started = Date.now();
    const stopped = underLease(catalog, lease, open, async (signal) => {
      // Whatever asks it from here on fails, as with a server that is gone.
      await catalog.close();
      await sleep(10_000, undefined, { signal });
    });
    await expect(stopped).rejects.toMatchObject({ cause: { name: 'LeaseLost' } });
    expect(Date.now() - started).toBeGreaterThanOrEqual(lease.ttlMs - 10);
    catalog = openSqliteCatalog({ path: join(dir, 'catalog.db') });
  });

  it('is stopped with the caller, and gives the lease up', async () => {
    const caller = new AbortController();
    const stopped = underLease(catalog, lease, caller.signal, async (signal) => {
      caller.abort();
      await sleep(10_000, undefined, { signal });
    });
    await expect(stopped).rejects.toMatchObject({ name: 'AbortError' });
    expect(await take('other')).toBe(true);
  });
});

describe('a pace', () => {
  const open = new AbortController().signal;

  it('lets no more than so many steps through in a second', async () => {
    const pace = paceOf(50);
    const started = performance.now();
    await pace(1, open);
    await pace(10, open);
    for (let step = 0; step < 5; step++) await pace(1, open);
    // 1, 10 and 4 steps before the last.
    expect(performance.now() - started).toBeGreaterThanOrEqual((15 * 1_000) / 50 - 2);
  });

  it('does not make up for a time in which there was nothing to do', async () => {
    const pace = paceOf(20);
    await pace(1, open);
    await sleep(300);
    const started = performance.now();
    for (let step = 0; step < 4; step++) await pace(1, open);
    expect(performance.now() - started).toBeGreaterThanOrEqual(148);
  });

  it('ends a wait with its signal', async () => {
    const pace = paceOf(0.1);
    await pace(1, open);
    await expect(pace(1, AbortSignal.timeout(20))).rejects.toMatchObject({ name: 'AbortError' });
  });
});
