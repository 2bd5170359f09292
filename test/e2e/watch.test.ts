import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from '@connectrpc/connect';
import {
  AssetService,
  FileEventType,
  WatchStart,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import http2 from 'node:http2';
import { join } from 'node:path';
import { enveloped } from '../attack/support/raw-http2.ts';
import { residentMiB } from '../attack/support/others.ts';
import { eventually } from '../support/eventually.ts';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { existing, isDone, told, watch, type Watching } from '../support/watching.ts';
import { clientOf, TRANSPORTS, upload, type AssetClient } from './support/calls.ts';
import { checkedFailure } from './support/failures.ts';
import { POCKETBASE, type Setup } from './support/setups.ts';
import type { ConnectError } from '@connectrpc/connect';

const from = (value: WatchStart) => ({ start: { case: 'from', value } }) as const;
const after = (value: string) => ({ start: { case: 'cursor', value } }) as const;
const content = new Uint8Array(Buffer.from('some text'));
const make = (client: AssetClient, name: string, file = {}) =>
  upload(client, content, { file: { name, ...file } });

describe('a watch over the wire', () => {
  let dir: string;
  let service: Service;
  let client: AssetClient;

  beforeAll(async () => {
    dir = await makeDir('watch');
    service = await startService({
      ASSET_DATA_DIR: join(dir, 'data'),
      ASSET_AUDIT_LOG: 'stdout',
      ASSET_DRAIN_TIMEOUT: '5',
    });
    client = clientOf(service.url);
  });

  afterAll(async () => {
    await service?.dispose();
    await removeDir(dir);
  });

  it.each(Object.keys(TRANSPORTS))('is served over %s', async (protocol) => {
    const caller = createClient(AssetService, TRANSPORTS[protocol]!(service.url));
    const name = protocol.replace('/', ' ');
    await make(client, `before ${name}`);
    await using watching = await watch(caller, from(WatchStart.EXISTING));
    await watching.until(({ messages }) => messages.some(isDone));
    const { id } = await make(client, `after ${name}`);
    await client.deleteFile({ fileId: id });
    await watching.until(({ events }) => told(events).at(-1) === `DELETED after ${name}`);
    expect(told(watching.events)).toContain(`CREATED before ${name}`);
    expect(watching.events.at(-2)!.type).toBe(FileEventType.CREATED);
    await watching.stop();
    // The call leaves one line in the log, and one decision.
    const calls = await eventually(() => {
      const lines = service.logLines().filter(({ rpc }) => rpc === 'WatchFiles');
      expect(lines.at(-1)).toMatchObject({ code: 'CANCELED', events: watching.events.length });
      return lines;
    });
    expect(service.auditLines().filter(({ action }) => action === 'watch')).toHaveLength(calls.length);
    expect(service.log()).not.toContain('handler for rpc');
  });

  it('sends checkpoints while nothing happens, and while the filter hides everything', async () => {
    await using hiding = await watch(client, { ...from(WatchStart.NOW), filter: { owner: 'nobody' } });
    await using idle = await watch(client, from(WatchStart.NOW));
    const [first] = hiding.messages;
    await make(client, 'hidden');
    // At least every 15 seconds.
    await eventually(() => expect(hiding.messages.length).toBeGreaterThan(1), 25_000);
    const checkpoint = hiding.messages[1]!;
    expect(checkpoint.kind).toMatchObject({ case: 'checkpoint', value: { existingDone: false } });
    expect(checkpoint.cursor).not.toBe(first!.cursor);
    // What was hidden is behind the cursor.
    await using rest = await watch(client, after(checkpoint.cursor));
    await make(client, 'next');
    await rest.until(({ events }) => events.length > 0);
    expect(told(rest.events)).toEqual(['CREATED next']);
    expect(told(idle.events)).toEqual(['CREATED hidden', 'CREATED next']);
  });

  it('holds little for callers that do not read', async () => {
    const attributes = { text: 'x'.repeat(60_000) };
    const ids: string[] = [];
    for (let i = 0; i < 50; i++) ids.push((await make(client, `large ${i}`, { attributes })).id);
    const before = residentMiB(service);
    const message = Buffer.from([0x10, 0x02]);
    // Reads nothing beyond the window of its stream.
    const session = http2.connect(service.url, { settings: { initialWindowSize: 1 } });
    const streams = Array.from({ length: 100 }, () => {
      const stream = session.request({
        ...{ ':method': 'POST', ':path': `/${AssetService.typeName}/WatchFiles` },
        ...{ 'content-type': 'application/grpc', te: 'trailers' },
      });
      stream.on('error', () => undefined);
      stream.pause();
      stream.end(enveloped(message));
      return stream;
    });
    await using reading = await watch(client, from(WatchStart.NOW));
    for (let round = 0; round < 4; round++) {
      for (const id of ids) await client.updateMetadata({ file: { id, name: `round ${round}` } });
    }
    await reading.until(({ events }) => events.length >= 200);
    // All that was sent to nobody is 100 x 250 x 60 KB = 1.5 GB.
    expect(residentMiB(service) - before).toBeLessThan(200);
    for (const stream of streams) stream.close();
    session.destroy();
  });

  it('is notified when the service stops, and continues with the last cursor', async () => {
    const watching: Watching[] = [
      await watch(client, from(WatchStart.NOW)),
      await watch(createClient(AssetService, TRANSPORTS['Connect over HTTP/1.1']!(service.url)), {
        filter: { owner: 'nobody' },
      }),
    ];
    const { id } = await make(client, 'before the stop');
    await watching[0]!.until(({ events }) => events.length === 1);
    await service.stop();
    const ends = await Promise.all(watching.map(({ ended }) => ended));
    for (const end of ends) {
      expect(checkedFailure(end as ConnectError)).toMatchObject({
        code: 'UNAVAILABLE',
        reason: 'SHUTTING_DOWN',
      });
    }
    // The stop is nobody's fault.
    expect(
      service.logLines().filter(({ level, reason }) => Number(level) > 30 && reason === 'SHUTTING_DOWN'),
    ).toEqual([]);
    await service.start();
    client = clientOf(service.url);
    await client.deleteFile({ fileId: id });
    await make(client, 'after the stop');
    for (const { messages } of watching) {
      await using rest = await watch(client, after(messages.at(-1)!.cursor));
      await rest.until(({ events }) => events.length >= 2);
      expect(told(rest.events)).toEqual(['DELETED before the stop', 'CREATED after the stop']);
    }
  });

  it('misses nothing when the service is killed in the middle of changes', async () => {
    const acknowledged: string[] = [];
    await using watching = await watch(client, from(WatchStart.NOW));
    let goesOn = true;
    const writers = [0, 1, 2, 3].map(async (writer) => {
      for (let i = 0; goesOn && i < 500; i++) {
        const made = await make(client, `${writer} ${i}`).catch(() => undefined);
        if (made === undefined) return;
        acknowledged.push(made.id);
      }
    });
    await watching.until(({ events }) => events.length > 20);
    await service.kill();
    goesOn = false;
    await Promise.all(writers);
    await watching.ended;
    await service.start();
    client = clientOf(service.url);
    await using rest = await watch(client, after(watching.messages.at(-1)!.cursor));
    const seen = () => [...watching.events, ...rest.events].map(({ file }) => file!.id);
    await rest.until(() => acknowledged.every((id) => seen().includes(id)));
    expect(seen()).toEqual([...new Set(seen())]);
    const files = await existing(client, from(WatchStart.EXISTING));
    const present = new Set(
      files.flatMap(({ kind }) => (kind.case === 'event' ? [kind.value.file!.id] : [])),
    );
    for (const id of seen()) expect(present.has(id)).toBe(true);
  });
});

describe('a watch on PocketBase', () => {
  let pocketbase: PocketBaseServer;
  let setup: Setup;
  let replicas: Service[] = [];

  beforeAll(async () => {
    pocketbase = await startPocketBase();
    setup = await POCKETBASE.open({ pocketbase });
    replicas = [await startService(setup.env), await startService(setup.env)];
  });

  afterAll(async () => {
    await Promise.all(replicas.map((replica) => replica.dispose()));
    await setup?.dispose();
    await pocketbase?.dispose();
  });

  it('goes on with another replica after a kill, and over a restart of PocketBase', async () => {
    const [first, second] = replicas as [Service, Service];
    const clients = replicas.map(({ url }) => clientOf(url));
    const [one, two] = clients as [AssetClient, AssetClient];
    await make(one, 'there');
    await using watching = await watch(one, from(WatchStart.EXISTING));
    await watching.until(({ messages }) => messages.some(isDone));
    const file = await make(two, 'by the other');
    await watching.until(({ events }) => told(events).at(-1) === 'CREATED by the other');
    await first.kill();
    await watching.ended;
    await two.updateMetadata({ file: { id: file.id, name: 'changed' } });
    await using rest = await watch(two, after(watching.messages.at(-1)!.cursor));
    await rest.until(({ events }) => events.length > 0);
    await pocketbase.kill();
    await pocketbase.start();
    await eventually(() => two.deleteFile({ fileId: file.id }));
    await rest.until(({ events }) => events.length > 1);
    expect(told(rest.events)).toEqual(['UPDATED changed', 'DELETED changed']);
    expect(second.log()).not.toContain('handler for rpc');
  });
});
