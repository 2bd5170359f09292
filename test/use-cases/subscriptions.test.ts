import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import {
  FileEventType,
  WatchStart,
  type EventDelivery,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { upload, type AssetClient } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { eventually } from '../support/eventually.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { openHouse, type House } from './support/house.ts';

const content = new Uint8Array(Buffer.from('some text'));
const LOST = { code: 'ABORTED', reason: 'DELIVERY_LOST' };
const seconds = (value: number) => ({
  seconds: BigInt(Math.floor(value)),
  nanos: Math.round((value % 1) * 1e9),
});

describe('a subscription', () => {
  let house: House;
  let client: AssetClient;
  let other: AssetClient;
  let dir: string;

  beforeAll(async () => {
    dir = await makeDir('subscriptions');
    house = await openHouse({ identities: true, env: { ASSET_AUDIT_LOG: join(dir, 'audit.log') } });
    client = await house.as({ sub: 'worker', scope: 'asset:admin' });
    other = await house.as({ sub: 'another', scope: 'asset:read' });
  });

  afterAll(async () => {
    await house?.close();
    await removeDir(dir);
  });

  const make = (usage: string, name: string) => upload(client, content, { file: { usage, name } });
  const pull = async (subscription: string, options: object = {}, by = client): Promise<EventDelivery[]> => {
    const filter = { usage: subscription };
    const all = { subscription, filter, from: WatchStart.EARLIEST, maxEvents: 10, ...options };
    return (await by.pullEvents(all)).deliveries;
  };
  const ack = (subscription: string, { deliveryToken }: EventDelivery, by = client) =>
    by.ackEvent({ subscription, deliveryToken });
  const names = (deliveries: readonly EventDelivery[]) => deliveries.map(({ event }) => event!.file!.name);

  it('gives each event to one worker, until it is acknowledged', async () => {
    for (const name of ['a', 'b', 'c']) await make('shared', name);
    const first = await pull('shared', { maxEvents: 2 });
    const second = await pull('shared');
    expect([names(first), names(second)]).toEqual([['a', 'b'], ['c']]);
    expect(first[0]).toMatchObject({ attempt: 1, event: { type: FileEventType.CREATED } });
    expect(timestampMs(first[0]!.leaseExpireTime!) - Date.now()).toBeGreaterThan(50_000);
    expect(await pull('shared')).toEqual([]);
    for (const delivery of [...first, ...second]) await ack('shared', delivery);
    expect(await failureOf(ack('shared', first[0]!))).toMatchObject(LOST);
    // A call that waits has what comes meanwhile.
    const waiting = pull('shared', { wait: seconds(20) });
    await make('shared', 'd');
    expect(names(await waiting)).toEqual(['d']);
    // The begin is audited, not every look.
    await eventually(async () => {
      const audited = await readFile(join(dir, 'audit.log'), 'utf8');
      expect(audited.match(/"action":"watch"/g)).toHaveLength(1);
    });
  });

  it('passes an event on when its lease ends, and refuses the late acknowledgement', async () => {
    await make('passed', 'a');
    const [lost] = await pull('passed', { lease: seconds(1) });
    const [again] = await eventually(async () => {
      const got = await pull('passed', { lease: seconds(30) });
      expect(got).toHaveLength(1);
      return got;
    });
    expect(again).toMatchObject({ attempt: 2, event: lost!.event! });
    expect(await failureOf(ack('passed', lost!))).toMatchObject(LOST);
    expect(
      await failureOf(client.rejectEvent({ subscription: 'passed', deliveryToken: lost!.deliveryToken })),
    ).toMatchObject(LOST);
    expect(
      await failureOf(
        client.extendEventLease({ subscription: 'passed', deliveryToken: lost!.deliveryToken }),
      ),
    ).toMatchObject(LOST);
    const { leaseExpireTime } = await client.extendEventLease({
      ...{ subscription: 'passed', deliveryToken: again!.deliveryToken, lease: seconds(300) },
    });
    expect(timestampMs(leaseExpireTime!)).toBeGreaterThan(timestampMs(again!.leaseExpireTime!));
    await ack('passed', again!);
    expect(await pull('passed')).toEqual([]);
  });

  it('keeps the events of one file in order', async () => {
    const { id } = await make('ordered', 'one');
    await client.updateMetadata({ file: { id, name: 'two' } });
    await make('ordered', 'of another file');
    await client.deleteFile({ fileId: id });
    const [one, another, ...more] = await pull('ordered');
    expect([names([one!, another!]), more]).toEqual([['one', 'of another file'], []]);
    await ack('ordered', another!);
    expect(await pull('ordered')).toEqual([]);
    await client.rejectEvent({
      subscription: 'ordered',
      deliveryToken: one!.deliveryToken,
      reason: 'not now',
    });
    const rest: [string, FileEventType][] = [];
    await eventually(async () => {
      for (const delivery of await pull('ordered', { wait: seconds(2) })) {
        rest.push([delivery.event!.file!.name, delivery.event!.type]);
        await ack('ordered', delivery);
      }
      expect(rest).toHaveLength(3);
    });
    const { CREATED, UPDATED, DELETED } = FileEventType;
    expect(rest).toEqual([
      ['one', CREATED],
      ['two', UPDATED],
      ['two', DELETED],
    ]);
  });

  it('parks an event after the last attempt, with its reason, and delivers it again on demand', async () => {
    const usage = 'parked';
    const file = await make(usage, 'bad');
    await make(usage, 'good');
    for (let attempt = 1; attempt <= 2; attempt++) {
      const [bad, ...others] = await eventually(async () => {
        const got = await pull(usage, { maxAttempts: 2 });
        expect(names(got)).toContain('bad');
        return got;
      });
      for (const good of others) await ack(usage, good);
      const rejection = {
        subscription: usage,
        deliveryToken: bad!.deliveryToken,
        reason: `failure ${attempt}`,
      };
      expect(await client.rejectEvent(rejection)).toMatchObject({ parked: attempt === 2 });
    }
    expect(await pull(usage)).toEqual([]);
    const { events } = await client.listParkedEvents({ subscription: usage });
    expect(events).toMatchObject([
      { fileId: file.id, type: FileEventType.CREATED, reason: 'failure 2', attempts: 2 },
    ]);
    const { subscriptions } = await client.listSubscriptions({});
    expect(subscriptions.find(({ name }) => name === usage)).toMatchObject({
      ...{ filter: { usage }, unacknowledgedEvents: 0, parkedEvents: 1 },
    });
    expect(await client.replayParkedEvents({ subscription: usage, eventIds: ['none'] })).toMatchObject({
      replayedEvents: 0,
    });
    expect(await client.replayParkedEvents({ subscription: usage })).toMatchObject({ replayedEvents: 1 });
    const [again] = await pull(usage);
    expect(again).toMatchObject({
      attempt: 1,
      event: { file: { name: 'bad' }, eventId: events[0]!.eventId },
    });
    await ack(usage, again!);
    expect((await client.listParkedEvents({ subscription: usage })).events).toEqual([]);
  });

  it('begins with what exists, if asked, and goes on with what changes', async () => {
    const usage = 'existing';
    for (const name of ['a', 'b']) await make(usage, name);
    const seen: string[] = [];
    for (let turn = 0; turn < 4; turn++) {
      for (const delivery of await pull(usage, { from: WatchStart.EXISTING, maxEvents: 1 })) {
        seen.push(...names([delivery]));
        await ack(usage, delivery);
      }
      if (turn === 1) await make(usage, 'c');
    }
    expect(seen).toEqual(['b', 'a', 'c']);
  });

  it('shares its events among workers that come and go, losing none', async () => {
    const usage = 'many';
    for (let i = 0; i < 30; i++) await make(usage, `${i}`);
    const done = new Map<string, number>();
    const worker = async (isLazy: boolean) => {
      for (let idle = 0; idle < 3;) {
        const got = await pull(usage, { maxEvents: 3, lease: seconds(1), maxAttempts: 100 });
        idle = got.length === 0 ? idle + 1 : 0;
        if (got.length === 0) await sleep(500);
        for (const delivery of got) {
          // A lazy one is gone with every other event.
          if (isLazy && Math.random() < 0.5) continue;
          const { name } = delivery.event!.file!;
          await ack(usage, delivery).then(
            () => done.set(name, (done.get(name) ?? 0) + 1),
            () => undefined,
          );
        }
      }
    };
    await Promise.all([worker(false), worker(true), worker(true)]);
    expect([...done.keys()].sort()).toEqual(Array.from({ length: 30 }, (_, i) => `${i}`).sort());
    expect([...done.values()].every((count) => count === 1)).toBe(true);
  });

  it('belongs to the caller that began it, and is held to what that caller may read', async () => {
    const usage = 'owned';
    await make(usage, 'a');
    const [delivery] = await pull(usage);
    const missing = {
      code: 'NOT_FOUND',
      reason: 'SUBSCRIPTION_NOT_FOUND',
      metadata: { subscription: usage },
    };
    const { deliveryToken } = delivery!;
    const calls = [
      other.ackEvent({ subscription: usage, deliveryToken }),
      other.rejectEvent({ subscription: usage, deliveryToken }),
      other.extendEventLease({ subscription: usage, deliveryToken }),
      other.listParkedEvents({ subscription: usage }),
      other.replayParkedEvents({ subscription: usage }),
      other.deleteSubscription({ subscription: usage }),
    ];
    for (const call of calls) expect(await failureOf(call)).toMatchObject(missing);
    expect((await other.listSubscriptions({})).subscriptions).toEqual([]);
    expect(names(await pull(usage, {}, other))).toEqual(['a']);
    await ack(usage, delivery!);
    await client.deleteSubscription({ subscription: usage });
    expect(await failureOf(client.deleteSubscription({ subscription: usage }))).toMatchObject(missing);
    const blind = await house.as({ sub: 'blind', scope: 'asset:write' });
    expect(await failureOf(pull(usage, {}, blind))).toMatchObject({ code: 'PERMISSION_DENIED' });
    const ann = await house.as({ sub: 'ann' });
    await upload(ann, content, { file: { usage, name: 'of ann' } });
    const [mine, ...more] = await pull(usage, {}, ann);
    expect([names([mine!]), more]).toEqual([['of ann'], []]);
    // The file is given away: nothing more of it is delivered, also not what was taken before.
    await ann.rejectEvent({ subscription: usage, deliveryToken: mine!.deliveryToken });
    await client.updateMetadata({ file: { id: mine!.event!.file!.id, owner: 'ben' } });
    await sleep(1_100);
    expect(await pull(usage, {}, ann)).toEqual([]);
  });

  it('refuses names and numbers that the contract does not allow', async () => {
    for (const subscription of ['', 'a b', 'a/b', 'x'.repeat(65)]) {
      expect(await failureOf(client.pullEvents({ subscription }))).toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
    }
    const wrong = [
      { maxEvents: 101 },
      { maxEvents: -1 },
      { lease: seconds(0.5) },
      { lease: seconds(7200) },
      { wait: seconds(60) },
    ];
    for (const options of wrong) {
      expect([options, await failureOf(pull('wrong', options))]).toMatchObject([
        options,
        { code: 'INVALID_ARGUMENT' },
      ]);
    }
  });
});
