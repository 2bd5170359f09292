import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { WatchStart } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { AssetClient } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { eventually } from '../support/eventually.ts';
import { existing, told, watch } from '../support/watching.ts';
import { openHouse, type House } from './support/house.ts';
import { after, from, make } from './support/watches.ts';

const { EARLIEST, EXISTING } = WatchStart;

describe('a watch of a caller', () => {
  let house: House;
  let [ann, ben, reader, writer]: AssetClient[] = [];

  beforeAll(async () => {
    house = await openHouse({
      identities: true,
      policies: {
        usages: {
          shared: { read: ['owner', 'authenticated'] },
          team: { read: ['owner', 'relation:team'] },
          sealed: { read: [], write: ['owner'] },
        },
        default: {},
      },
      env: { ASSET_LIMIT_WATCHES: '3' },
    });
    [ann, ben, reader, writer] = await Promise.all([
      house.as({ sub: 'ann' }),
      house.as({ sub: 'ben' }),
      house.as({ sub: 'reader', scope: 'asset:read' }),
      house.as({ sub: 'writer', scope: 'asset:write' }),
    ]);
  });

  afterAll(() => house?.close());

  it('has the files that the caller may read', async () => {
    await make(ann!, 'mine');
    await make(ann!, 'shared', { usage: 'shared' });
    await make(ann!, 'sealed', { usage: 'sealed' });
    await make(ben!, 'his');
    const callers = [ann!, ben!, reader!];
    for (const start of [EXISTING, EARLIEST]) {
      const watching = await Promise.all(callers.map((caller) => watch(caller, from(start))));
      const expected = [
        ['CREATED mine', 'CREATED shared'],
        ['CREATED his', 'CREATED shared'],
        ['CREATED his', 'CREATED mine', 'CREATED sealed', 'CREATED shared'],
      ];
      for (const [at, one] of watching.entries()) {
        await one.until(({ events }) => events.length >= expected[at]!.length);
        expect(told(one.events).sort()).toEqual(expected[at]);
        await one.stop();
      }
    }
  });

  it('has nothing more of a file after the permission is lost, nor what the file was before it was given', async () => {
    const usage = 'team';
    const team = (ids: string[]) => ({ team: { ids } });
    const file = await make(ann!, 'one', { usage, relations: team(['ben']) });
    await using watching = await watch(ben!, { ...from(EXISTING), filter: { usage } });
    await watching.until(({ events }) => events.length === 1);
    const update = (name: string, ids: string[]) =>
      ann!.updateMetadata({ file: { id: file.id, name, relations: team(ids) } });
    await update('two', ['ben']);
    await watching.until(({ events }) => events.length === 2);
    await update('three', ['eve']);
    await update('four', ['eve']);
    await update('five', ['ben']);
    await watching.until(({ events }) => events.length === 3);
    expect(told(watching.events)).toEqual(['CREATED one', 'UPDATED two', 'UPDATED five']);
    // The cursor of the first event, after the permission was lost.
    const { cursor } = watching.messages[0]!;
    await update('six', ['eve']);
    await make(ben!, 'end', { usage, owner: 'ben' });
    await using late = await watch(ben!, { ...after(cursor), filter: { usage } });
    await late.until(({ events }) => events.length > 0);
    expect(told(late.events)).toEqual(['CREATED end']);
  });

  it('is refused to a caller that can read no file, and to a wrong identity', async () => {
    const denied = { code: 'PERMISSION_DENIED', reason: 'PERMISSION_DENIED', metadata: { action: 'watch' } };
    for (const request of [from(EXISTING), after('garbage'), { filter: { owner: 'ann' } }]) {
      expect(await failureOf(watch(writer!, request))).toMatchObject(denied);
    }
  });

  it('gives the caller no more than its own files with the cursor of another', async () => {
    const messages = await existing(reader!, from(EXISTING));
    const zoe = await house.as({ sub: 'zoe' });
    await make(zoe, 'of zoe');
    for (const { cursor } of [messages[0]!, messages.at(-1)!]) {
      await using watching = await watch(zoe, after(cursor));
      await watching.until(({ events }) => told(events).includes('CREATED of zoe'));
      const others = watching.events.filter(({ file }) => file!.owner !== 'zoe' && file!.usage !== 'shared');
      expect(others).toEqual([]);
    }
  });

  it('counts among a few of one caller, and gives its place back', async () => {
    const many = await house.as({ sub: 'many' });
    const running = await Promise.all([1, 2, 3].map(() => watch(many, {})));
    const refused = await failureOf(watch(many, {}));
    expect(refused).toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      reason: 'RATE_LIMITED',
      metadata: { limit: 'watches' },
    });
    expect(refused.retryMs).toBeGreaterThan(0);
    await (await watch(ann!, {})).stop();
    await running[0]!.stop();
    await eventually(async () => (await watch(many, {})).stop());
    await Promise.all(running.map((one) => one.stop()));
  });
});

describe('watches of all callers together', () => {
  it('are as many as the process takes', async () => {
    const house = await openHouse({ env: { ASSET_MAX_WATCHES: '2' } });
    try {
      const running = await Promise.all([1, 2].map(() => watch(house.client, {})));
      expect(await failureOf(watch(house.client, {}))).toMatchObject({ metadata: { limit: 'watches' } });
      await Promise.all(running.map((one) => one.stop()));
      await eventually(async () => (await watch(house.client, {})).stop());
    } finally {
      await house.close();
    }
  });
});
