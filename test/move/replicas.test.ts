import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sql/sqlite.ts';
import { catalogUnavailable } from '../../src/errors/dependencies.ts';
import {
  behind,
  endPresence,
  listPresences,
  newestOf,
  showPresence,
} from '../../src/move/replicas/presence.ts';
import { changeRow, decideRow, readRow, type MoveRow } from '../../src/move/replicas/row.ts';
import { WriteGate } from '../../src/move/replicas/write-gate.ts';
import { eventually } from '../support/eventually.ts';
import { makeDir, removeDir } from '../support/process.ts';

const never = new AbortController().signal;

describe('replicas in a move', () => {
  let dir: string;
  let catalog: FileCatalog;

  beforeAll(async () => {
    dir = await makeDir('replicas');
    catalog = openSqliteCatalog({ path: join(dir, 'catalog.db') });
    await catalog.migrate();
  });

  afterAll(async () => {
    await catalog?.close();
    await removeDir(dir);
  });

  const row = (epoch: number): MoveRow => ({ move: 'm', epoch, state: 'following' });

  it('obey one row, which is changed by one process at a time', async () => {
    expect(await readRow(catalog, 'one')).toBeUndefined();
    expect(await changeRow(catalog, 'one', undefined, row(1))).toBe(true);
    expect(await changeRow(catalog, 'one', undefined, row(1))).toBe(false);
    const before = await readRow(catalog, 'one');
    const tries = [2, 3, 4].map((epoch) => changeRow(catalog, 'one', before, row(epoch)));
    expect((await Promise.all(tries)).filter(Boolean)).toHaveLength(1);
    expect(await decideRow(catalog, 'one', before, row(5), { signal: never })).toBe(false);
  });

  it('know whether a decision was written although its answer was lost', async () => {
    await changeRow(catalog, 'two', undefined, row(1));
    const before = await readRow(catalog, 'two');
    let lost = 0;
    const subscriptions = Object.assign(Object.create(catalog.subscriptions), {
      get: catalog.subscriptions.get.bind(catalog.subscriptions),
      update: async (...args: Parameters<FileCatalog['subscriptions']['update']>) => {
        await catalog.subscriptions.update(...args);
        lost += 1;
        throw catalogUnavailable(new Error('lost'));
      },
    });
    expect(await decideRow({ subscriptions }, 'two', before, row(2), { signal: never })).toBe(true);
    expect(lost).toBe(1);
    expect((await readRow(catalog, 'two'))?.row.epoch).toBe(2);
  });

  it('show themselves, until some time after they were killed', async () => {
    const expireTime = Date.now() + 10_000;
    const one = { id: 'a'.repeat(15), epoch: 3, state: 'ready', expireTime } as const;
    await showPresence(catalog, 'catalog', one);
    await showPresence(catalog, 'catalog', { ...one, epoch: 4, state: 'paused' });
    const killed = {
      id: 'b'.repeat(15),
      epoch: 3,
      state: 'unaware',
      expireTime: Date.now() - 1_000,
    } as const;
    await showPresence(catalog, 'catalog', killed);
    await showPresence(catalog, 'catalog', {
      ...killed,
      id: 'c'.repeat(15),
      expireTime: Date.now() - 60_000,
    });
    await showPresence(catalog, 'store', { ...one, id: 'd'.repeat(15) });
    const found = await listPresences(catalog, 'catalog');
    expect(found).toEqual([{ ...one, epoch: 4, state: 'paused' }, killed]);
    const wanted = { epoch: 4, states: ['paused'], move: 'catalog' } as const;
    expect(found.map((presence) => behind(presence, wanted))).toEqual([
      undefined,
      expect.stringContaining('no longer answers'),
    ]);
    expect(behind(found[0]!, { ...wanted, epoch: 5 })).toContain('at epoch 4, not at 5');
    expect(behind({ ...one, state: 'unaware' }, wanted)).toContain('ASSET_NEXT_');
    expect(newestOf([killed, ...found, { ...one, expireTime: expireTime + 1 }])).toContainEqual({
      ...one,
      expireTime: expireTime + 1,
    });
    await endPresence(catalog, 'catalog', one.id);
    expect((await listPresences(catalog, 'catalog')).map(({ id }) => id)).toEqual([killed.id]);
  });

  it('hold writes without an error, and are drained when none can still happen', async () => {
    const gate = new WriteGate(() => new Error('too long'));
    const first = Promise.withResolvers<string>();
    const running = gate.run(() => first.promise);
    gate.hold();
    let isWritten = false;
    const held = gate.run(() => Promise.resolve((isWritten = true)));
    const ended = new AbortController();
    const givenUp = gate.run(() => Promise.resolve(), ended.signal);
    ended.abort(new Error('given up'));
    await expect(givenUp).rejects.toThrow('given up');
    expect([gate.isDrained, isWritten]).toEqual([false, false]);
    first.resolve('done');
    expect(await running).toBe('done');
    expect([gate.isDrained, isWritten]).toEqual([true, false]);
    gate.open();
    expect(await held).toBe(true);
    // The server may still carry it out.
    await expect(
      gate.run(() => Promise.reject(catalogUnavailable(new Error('no answer')))),
    ).rejects.toThrow();
    gate.hold();
    expect(gate.isDrained).toBe(false);
    await eventually(() => gate.isDrained || Promise.reject(new Error('not drained')));
  });
});
