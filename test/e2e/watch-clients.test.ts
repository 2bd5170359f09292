import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createBffClient } from '@asset-service/bff';
import {
  createWorkerClient,
  type AssetClientError,
  type FileEvent,
  type WorkerClient,
} from '@asset-service/worker';
import { HTTP } from 'cloudevents';
import { eventually } from '../support/eventually.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { endOf, runCli, startCli } from './support/cli.ts';

let dir: string;
let service: Service;
let client: WorkerClient;

beforeAll(async () => {
  dir = await makeDir('watch-clients');
  service = await startService();
  client = createWorkerClient({ baseUrl: service.url, retry: { baseDelayMs: 50, maxDelayMs: 500 } });
});

afterAll(async () => {
  client?.close();
  await service?.dispose();
  await removeDir(dir);
});

const make = (name: string, owner = '') => client.uploadFile(Buffer.from('some text'), { name, owner });

/** Collects the events of a watch until it is stopped. */
function collect(events: AsyncIterable<FileEvent>): {
  names: string[];
  events: FileEvent[];
  ended: Promise<unknown>;
} {
  const collected = {
    names: [] as string[],
    events: [] as FileEvent[],
    ended: Promise.resolve<unknown>(undefined),
  };
  collected.ended = (async () => {
    for await (const event of events) {
      collected.events.push(event);
      collected.names.push(`${event.type} ${event.file.name}`);
    }
  })().catch((error: unknown) => error);
  return collected;
}

describe('a watch of the clients', () => {
  it('goes on by itself when the service is stopped and when it is killed, with each event once', async () => {
    const stop = new AbortController();
    let begun = 0;
    const options = { signal: stop.signal, filter: { owner: 'ann' }, onCheckpoint: () => (begun += 1) };
    const bff = createBffClient({ baseUrl: service.url, transport: 'connect' });
    const watches = [client, bff].map((one) => collect(one.watchFiles(options)));
    await eventually(() => expect(begun).toBeGreaterThanOrEqual(2));
    const file = await make('one', 'ann');
    await service.restart();
    await client.updateMetadata(file.id, { name: 'two' });
    await service.kill();
    await service.start();
    await client.deleteFile(file.id);
    const expected = ['created one', 'updated two', 'deleted two'];
    for (const { names } of watches) await eventually(() => expect(names).toHaveLength(expected.length));
    stop.abort();
    for (const { names, ended } of watches) {
      expect(await ended).toMatchObject({ code: 'CANCELLED' });
      expect(names).toEqual(expected);
    }
    bff.close();
  });

  it('continues in another process with the cursor of an event, and says when a cursor is none', async () => {
    const first: FileEvent[] = [];
    for (const name of ['a', 'b', 'c']) await make(name, 'cursor');
    for await (const event of client.watchFiles({ from: 'existing', filter: { owner: 'cursor' } })) {
      if (first.push(event) === 2) break;
    }
    const rest: FileEvent[] = [];
    for await (const event of client.watchFiles({ cursor: first[1]!.cursor, filter: { owner: 'cursor' } })) {
      rest.push(event);
      break;
    }
    expect([...first, ...rest].map(({ file }) => file.name)).toEqual(['c', 'b', 'a']);
    const garbage = collect(client.watchFiles({ cursor: 'garbage' }));
    expect(await garbage.ended).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' });
    const error = (await garbage.ended) as AssetClientError;
    expect(error.metadata).toEqual({ field: 'cursor' });
  });
});

describe('asset-service watch', () => {
  const place = () => ({ cwd: dir, env: { ASSET_URL: service.url } });

  /** Runs it until it has printed this many lines, and interrupts it. */
  async function lines(count: number, ...args: string[]): Promise<Record<string, unknown>[]> {
    const child = startCli(['watch', ...args], place());
    let printed = '';
    child.stdout!.on('data', (text: Buffer) => (printed += text.toString()));
    const ended = endOf(child);
    await Promise.race([ended, eventually(() => expect(printed.split('\n').length).toBeGreaterThan(count))]);
    child.kill('SIGINT');
    const end = await ended;
    expect(end).toMatchObject({ code: 'SIGINT', stderr: '' });
    return end.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  it('prints events as lines of JSON, with the conditions of list, and from a cursor', async () => {
    const usage = 'printed';
    const file = await client.uploadFile(Buffer.from('some text'), {
      name: 'one',
      owner: 'bob',
      usage,
      contentType: 'text/plain',
    });
    await client.uploadFile(Buffer.from('some text'), {
      name: 'of another',
      owner: 'eve',
      usage,
      contentType: 'text/plain',
    });
    await client.updateMetadata(file.id, { name: 'two' });
    const filter = ['--owner', 'bob', '--usage', usage, '--type', 'text/*'];
    const all = await lines(2, '--from', 'earliest', ...filter);
    expect(all).toMatchObject([
      { type: 'created', file: { name: 'one' } },
      { type: 'updated', file: { name: 'two' } },
    ]);
    expect(all[0]).toMatchObject({ file: { id: file.id, etag: file.etag } });
    const rest = await lines(1, '--from', all[0]!['cursor'] as string, ...filter);
    expect(rest).toEqual([all[1]]);
    const existing = await lines(1, '--from', 'existing', ...filter);
    expect(existing).toMatchObject([{ type: 'created', file: { name: 'two' }, id: all[1]!['id'] }]);
  });

  it('prints CloudEvents', async () => {
    const file = await make('cloud', 'cloud');
    const [line] = await lines(1, '--from', 'existing', '--cloudevents', '--owner', 'cloud');
    const headers = { 'content-type': 'application/cloudevents+json' };
    const event = HTTP.toEvent({ headers, body: JSON.stringify(line) });
    expect(event).toMatchObject({
      ...{ specversion: '1.0', type: 'asset.v1.file.created', source: service.url, subject: file.id },
      ...{ datacontenttype: 'application/json', data: { id: file.id, name: 'cloud' } },
      ...{ cursor: expect.any(String), id: expect.stringContaining(file.id) },
    });
  });

  it('says what is wrong with its start', async () => {
    expect(await runCli(['watch', '--from', 'yesterday'], place())).toMatchObject({ code: 2, stdout: '' });
    const garbage = await runCli(['watch', '--from', 'garbage'.repeat(5)], place());
    expect(garbage).toMatchObject({ code: 1, stdout: '' });
    expect(garbage.stderr).toMatch(/^asset-service: INVALID_ARGUMENT: FIELD_INVALID: cursor/);
  });
});
