import {
  FileEventType,
  WatchStart,
  type AssetService,
  type WatchFilesRequest,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import {
  type AssetClientOptions,
  createWorkerClient,
  type FileEvent,
  type WorkerClient,
} from '@asset-service/worker';
import { Code, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { afterEach, describe, expect, it } from '@jest/globals';
import { serviceError, startDouble } from './clients-double.ts';

type Watch = NonNullable<Partial<ServiceImpl<typeof AssetService>>['watchFiles']>;

let open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const each of open.reverse()) await each[Symbol.asyncDispose]();
  open = [];
});

/** A client of a service whose watches are these, one after the other; the last one again and again. */
async function start(
  watches: readonly ((request: WatchFilesRequest, context: HandlerContext) => ReturnType<Watch>)[],
  options: Partial<AssetClientOptions> = {},
): Promise<{ client: WorkerClient; requests: WatchFilesRequest[]; contexts: HandlerContext[] }> {
  const requests: WatchFilesRequest[] = [];
  const contexts: HandlerContext[] = [];
  const double = await startDouble({
    watchFiles(request, context) {
      requests.push(request);
      contexts.push(context);
      return watches[Math.min(requests.length, watches.length) - 1]!(request, context);
    },
  });
  const client = createWorkerClient({
    ...{ baseUrl: double.baseUrl, retry: { baseDelayMs: 1, maxDelayMs: 2 } },
    ...options,
  });
  open.push(double, client);
  return { client, requests, contexts };
}

const event = (id: string, type = FileEventType.CREATED) => ({
  ...{ kind: { case: 'event' as const, value: { eventId: id, type, file: { id: `file ${id}` } } } },
  cursor: `after ${id}`,
});
const checkpoint = (cursor: string, existingDone = false) => ({
  ...{ kind: { case: 'checkpoint' as const, value: { existingDone } }, cursor },
});

async function take(events: AsyncIterable<FileEvent>, count: number): Promise<FileEvent[]> {
  const taken: FileEvent[] = [];
  for await (const one of events) if (taken.push(one) === count) break;
  return taken;
}

async function* forever(_request: unknown, { signal }: HandlerContext) {
  yield checkpoint('idle');
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}

describe('a watch of the client', () => {
  it('gives events as plain objects, and checkpoints to a function', async () => {
    const { client, requests } = await start([
      async function* () {
        yield checkpoint('begun');
        yield event('1');
        yield checkpoint('done', true);
        for (const type of [2, 3, 4, 5, 99]) yield event(`${type}`, type);
        yield event('last');
      },
    ]);
    const checkpoints: unknown[] = [];
    const createTimeFrom = new Date('2026-01-02T03:04:05.678Z');
    const events = await take(
      client.watchFiles({
        ...{ from: 'existing', filter: { owner: 'ann', contentType: 'image/*', createTimeFrom } },
        onCheckpoint: (one) => checkpoints.push(one),
      }),
      6,
    );
    expect(events.map(({ id, type, cursor }) => [id, type, cursor])).toEqual([
      ['1', 'created', 'after 1'],
      ['2', 'updated', 'after 2'],
      ['3', 'deleted', 'after 3'],
      ['4', 'undeleted', 'after 4'],
      ['5', 'purged', 'after 5'],
      ['last', 'created', 'after last'],
    ]);
    expect(events[0]).toMatchObject({ file: { id: 'file 1', relations: {} } });
    expect(checkpoints).toEqual([
      { cursor: 'begun', existingDone: false },
      { cursor: 'done', existingDone: true },
    ]);
    expect(requests[0]).toMatchObject({
      start: { case: 'from', value: WatchStart.EXISTING },
      filter: { owner: 'ann', contentType: 'image/*', createTimeFrom: { nanos: 678_000_000 } },
    });
  });

  it('connects again with the last cursor, also that of a checkpoint, and has each event once', async () => {
    const failures = [
      () => serviceError(Code.Unavailable, 'SHUTTING_DOWN', { retryMs: 1 }),
      () => serviceError(Code.Unavailable, 'CATALOG_UNAVAILABLE'),
      () => serviceError(Code.ResourceExhausted, 'RATE_LIMITED', { metadata: { limit: 'watches' } }),
      () => serviceError(Code.Unauthenticated, 'CREDENTIALS_INVALID', { metadata: { problem: 'expired' } }),
    ];
    let made = 0;
    const { client, requests } = await start(
      [
        ...failures.map(
          (failure) =>
            async function* () {
              yield event(`${(made += 1)}`);
              yield checkpoint(`checkpoint ${made}`);
              throw failure();
            },
        ),
        // An end without an error, as of a proxy that restarts.
        async function* () {
          yield event('5');
        },
        async function* () {
          throw serviceError(Code.Unavailable, 'SHUTTING_DOWN', { retryMs: 1 });
        },
        async function* () {
          yield event('6');
        },
      ],
      // Many failures in a row end it; each message begins anew.
      { retry: { retries: 2, baseDelayMs: 1, maxDelayMs: 2 } },
    );
    const events = await take(client.watchFiles(), 6);
    expect(events.map(({ id }) => id)).toEqual(['1', '2', '3', '4', '5', '6']);
    expect(requests.map(({ start: { value } }) => value)).toEqual([
      ...[
        WatchStart.NOW,
        'checkpoint 1',
        'checkpoint 2',
        'checkpoint 3',
        'checkpoint 4',
        'after 5',
        'after 5',
      ],
    ]);
  });

  it('fails with what does not pass, as an error with its reason', async () => {
    const cases = [
      [Code.OutOfRange, 'CURSOR_EXPIRED', 'OUT_OF_RANGE'],
      [Code.PermissionDenied, 'PERMISSION_DENIED', 'PERMISSION_DENIED'],
      [Code.InvalidArgument, 'FIELD_INVALID', 'INVALID_ARGUMENT'],
      [Code.Unauthenticated, 'CREDENTIALS_MISSING', 'UNAUTHENTICATED'],
    ] as const;
    for (const [code, reason, name] of cases) {
      const { client, requests } = await start([
        async function* () {
          throw serviceError(code, reason);
        },
      ]);
      await expect(take(client.watchFiles({ cursor: 'old' }), 1)).rejects.toMatchObject({
        code: name,
        reason,
      });
      expect(requests).toHaveLength(1);
    }
  });

  it('ends with its loop or its signal, and ends the call', async () => {
    const { client, contexts } = await start([
      async function* (_request, context) {
        yield event('1');
        yield* forever(_request, context);
      },
    ]);
    const ended = (at: number) =>
      new Promise((resolve) => contexts[at]!.signal.addEventListener('abort', resolve, { once: true }));
    for await (const { id } of client.watchFiles()) {
      expect(id).toBe('1');
      break;
    }
    if (!contexts[0]!.signal.aborted) await ended(0);
    const stop = new AbortController();
    const watching = take(client.watchFiles({ signal: stop.signal, onCheckpoint: () => stop.abort() }), 2);
    await expect(watching).rejects.toMatchObject({ code: 'CANCELLED' });
    if (!contexts[1]!.signal.aborted) await ended(1);
    client.close();
    await expect(take(client.watchFiles(), 1)).rejects.toMatchObject({ reason: 'CLIENT_CLOSED' });
  });

  it('refuses options that mean nothing, before it calls', async () => {
    const { client, requests } = await start([forever]);
    const wrong = [
      { from: 'yesterday' },
      { cursor: '' },
      { cursor: 7 },
      { from: 'now', cursor: 'x' },
      { filter: { createTimeTo: new Date('never') } },
      { filter: { owner: 5 } },
    ];
    for (const options of wrong) {
      await expect(take(client.watchFiles(options as never), 1)).rejects.toMatchObject({
        ...{ code: 'INVALID_ARGUMENT', reason: 'OPTION_INVALID' },
      });
    }
    expect(requests).toEqual([]);
  });
});
