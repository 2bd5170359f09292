import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { FileEventType, WatchStart } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { upload, type AssetClient } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { existing, isDone, told, watch } from '../support/watching.ts';
import { openHouse, type House } from './support/house.ts';
import { after, from, make } from './support/watches.ts';

const { NOW, EARLIEST, EXISTING } = WatchStart;
const rename = async (client: AssetClient, id: string, name: string) =>
  (await client.updateMetadata({ file: { id, name } })).file!;

describe('a watch', () => {
  let house: House;
  let client: AssetClient;

  beforeAll(async () => {
    const policies = { default: { retentionSeconds: 0 } };
    house = await openHouse({ policies });
    client = house.client;
  });

  afterAll(() => house?.close());

  it('tells of every change of a file, in order, with the record as of the change', async () => {
    await using watching = await watch(client, from(NOW));
    const created = await make(client, 'a');
    const updated = await rename(client, created.id, 'b');
    const deleted = (await client.deleteFile({ fileId: created.id })).file!;
    const undeleted = (await client.undeleteFile({ fileId: created.id })).file!;
    const again = (await client.deleteFile({ fileId: created.id })).file!;
    await house.sweep();
    await watching.until(({ events }) => events.length >= 6);
    const { CREATED, UPDATED, DELETED, UNDELETED, PURGED } = FileEventType;
    expect(watching.events.map(({ type }) => type)).toEqual([
      ...[CREATED, UPDATED, DELETED, UNDELETED, DELETED, PURGED],
    ]);
    const files = watching.events.map(({ file }) => file);
    expect(files).toEqual([created, updated, deleted, undeleted, again, again]);
    expect(new Set(watching.events.map(({ eventId }) => eventId)).size).toBe(6);
    for (const { eventId } of watching.events) expect(eventId).toMatch(/^[\w-]{1,200}$/);
    const times = watching.events.map(({ eventTime }) => timestampMs(eventTime!));
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });

  it('starts now, at the oldest kept change, or with what exists', async () => {
    const file = await make(client, 'old');
    await rename(client, file.id, 'older');
    const deleted = await make(client, 'gone');
    await client.deleteFile({ fileId: deleted.id });
    await using now = await watch(client, from(NOW));
    await using unspecified = await watch(client, {});
    await using earliest = await watch(client, from(EARLIEST));
    await using present = await watch(client, from(EXISTING));
    await make(client, 'new');
    for (const watching of [now, unspecified, earliest, present]) {
      await watching.until(({ events }) => told(events).at(-1) === 'CREATED new');
    }
    expect(told(now.events)).toEqual(['CREATED new']);
    expect(told(unspecified.events)).toEqual(['CREATED new']);
    expect(told(earliest.events).slice(-5)).toEqual([
      ...['CREATED old', 'UPDATED older', 'CREATED gone', 'DELETED gone', 'CREATED new'],
    ]);
    expect(told(present.events)).toEqual(['CREATED older', 'CREATED new']);
    // The end of the existing files is told once, before what changes.
    const done = present.messages.filter(isDone);
    expect(done).toHaveLength(1);
    expect(present.messages.indexOf(done[0]!)).toBe(1);
    // The same change has the same id, whatever way it is sent.
    expect(present.events[0]!.eventId).toBe(earliest.events.at(-4)!.eventId);
  });

  it('continues after every cursor that it gave, in both phases', async () => {
    const usage = 'cursors';
    for (let i = 0; i < 5; i++) await make(client, `file ${i}`, { usage });
    await using whole = await watch(client, { ...from(EXISTING), filter: { usage } });
    const changed = await make(client, 'changed', { usage });
    await rename(client, changed.id, 'changed again');
    await client.deleteFile({ fileId: changed.id });
    await whole.until(({ events }) => events.length === 8);
    const { messages } = whole;
    expect(new Set(messages.map(({ cursor }) => cursor)).size).toBe(messages.length);
    for (const [at, { cursor }] of messages.entries()) {
      await using rest = await watch(client, { ...after(cursor), filter: { usage } });
      const expected = messages
        .slice(at + 1)
        .flatMap(({ kind }) => (kind.case === 'event' ? [kind.value] : []));
      await rest.until(({ events }) => events.length >= expected.length);
      expect(rest.events).toEqual(expected);
    }
  });

  it('applies the conditions of ListFiles to the file as of each event', async () => {
    const owner = 'filtered';
    const files = { pdf: 'application/pdf', text: 'text/plain; charset=utf-8', csv: 'text/csv' };
    const filters = {
      owner: { owner },
      usage: { owner, usage: 'one' },
      relation: { owner, relation: { name: 'project', id: 'p1' } },
      type: { owner, contentType: 'Text/Plain' },
      kind: { owner, contentType: 'text/*' },
      later: { owner, createTimeFrom: { seconds: 4_000_000_000n } },
      sooner: { owner, createTimeTo: { seconds: 4_000_000_000n } },
    };
    const watching = await Promise.all(
      Object.values(filters).map((filter) => watch(client, { ...from(NOW), filter })),
    );
    for (const [name, contentType] of Object.entries(files)) {
      const relations = { project: { ids: [name === 'pdf' ? 'p1' : 'p2'] } };
      const bytes = name === 'pdf' ? Buffer.from('%PDF-1.4\n') : Buffer.from('a,b');
      const file = { name, contentType, owner, usage: name === 'csv' ? 'one' : 'two', relations };
      await upload(client, new Uint8Array(bytes), { file });
    }
    await make(client, 'of another', { owner: 'another' });
    const last = await make(client, 'last', { owner, contentType: 'application/octet-stream' });
    // A change brings a file into a filter, and takes it out.
    await client.updateMetadata({ file: { id: last.id, usage: 'one', name: 'moved' } });
    await client.updateMetadata({ file: { id: last.id, usage: 'two', name: 'moved on' } });
    await watching[0]!.until(({ events }) => events.length === 6);
    const end = watching[0]!.messages.at(-1)!.cursor;
    const names = await Promise.all(
      Object.entries(filters).map(async ([name, filter], at) => {
        // What this filter finds up to the end, and a second watch that begins there and finds nothing.
        await using rest = await watch(client, { ...after(end), filter });
        expect(rest.events).toEqual([]);
        return [name, told(watching[at]!.events)];
      }),
    );
    expect(Object.fromEntries(names)).toEqual({
      owner: [
        ...['CREATED pdf', 'CREATED text', 'CREATED csv', 'CREATED last'],
        ...['UPDATED moved', 'UPDATED moved on'],
      ],
      usage: ['CREATED csv', 'UPDATED moved'],
      relation: ['CREATED pdf'],
      type: ['CREATED text'],
      kind: ['CREATED text', 'CREATED csv'],
      later: [],
      sooner: [
        ...['CREATED pdf', 'CREATED text', 'CREATED csv', 'CREATED last'],
        ...['UPDATED moved', 'UPDATED moved on'],
      ],
    });
    await Promise.all(watching.map((one) => one.stop()));
    const lists = await Promise.all(Object.values(filters).map((filter) => client.listFiles({ filter })));
    const found = await Promise.all(
      Object.values(filters).map((filter) => existing(client, { ...from(EXISTING), filter })),
    );
    const idsIn = (messages: Awaited<ReturnType<typeof existing>>) =>
      messages.flatMap(({ kind }) => (kind.case === 'event' ? [kind.value.file!.id] : []));
    expect(found.map(idsIn)).toEqual(lists.map(({ files: listed }) => listed.map(({ id }) => id)));
  });

  it('loses and repeats nothing while files are written, from what exists to what changes', async () => {
    const usage = 'busy';
    const ids: string[] = [];
    for (let i = 0; i < 60; i++) ids.push((await make(client, `0 ${i}`, { usage })).id);
    const revisions = new Map<string, string[]>();
    const note = ({ id, etag }: { id: string; etag: string }) =>
      revisions.set(id, [...(revisions.get(id) ?? []), etag]);
    let goesOn = true;
    const writer = async (mine: readonly string[]) => {
      for (let round = 1; goesOn && round < 200; round++) {
        const id = mine[round % mine.length]!;
        note(await rename(client, id, `${round}`));
        if (round % 5 === 0) note(await make(client, `new ${round}`, { usage }));
      }
    };
    const writers = [0, 1, 2, 3].map((at) => writer(ids.filter((_, i) => i % 4 === at)));
    const watching = await Promise.all(
      [1, 2, 3].map(() => watch(client, { ...from(EXISTING), filter: { usage } })),
    );
    await Promise.all(watching.map((one) => one.until(({ messages }) => messages.some(isDone))));
    goesOn = false;
    await Promise.all(writers);
    const { files } = await client.listFiles({ pageSize: 1000, filter: { usage } });
    for (const one of watching) {
      const lastOf = (id: string) => one.events.findLast(({ file }) => file!.id === id)?.file;
      await one.until(() => files.every((file) => lastOf(file.id)?.etag === file.etag));
      const seen = new Map<string, string[]>();
      for (const { file } of one.events) seen.set(file!.id, [...(seen.get(file!.id) ?? []), file!.etag]);
      for (const [id, etags] of seen) {
        // Once each, in order, and without a gap from the first that was sent.
        expect(etags).toEqual([...new Set(etags)]);
        const all = revisions.get(id) ?? [];
        const start = all.indexOf(etags[0]!);
        expect(start === -1 ? etags.slice(1) : etags).toEqual(start === -1 ? all : all.slice(start));
      }
      // The existing files come first, each once.
      const before = one.messages.slice(0, one.messages.findIndex(isDone));
      const first = before.flatMap(({ kind }) => (kind.case === 'event' ? [kind.value] : []));
      expect(first.every(({ type }) => type === FileEventType.CREATED)).toBe(true);
      expect(new Set(first.map(({ file }) => file!.id)).size).toBe(first.length);
      expect(first.map(({ file }) => file!.id)).toEqual(expect.arrayContaining(ids));
      await one.stop();
    }
  });

  it('refuses what is no cursor, and a filter that ListFiles refuses', async () => {
    const real = Buffer.from((await existing(client, from(EXISTING))).at(-1)!.cursor, 'base64url').toString();
    const crafted = (change: (parts: unknown[]) => void) => {
      const parts = JSON.parse(real) as unknown[];
      change(parts);
      return Buffer.from(JSON.stringify(parts)).toString('base64url');
    };
    const bad = [
      ...[
        'x',
        '%%%',
        'a'.repeat(4096),
        Buffer.from('[]').toString('base64url'),
        Buffer.from('{}').toString('base64url'),
      ],
      crafted((parts) => (parts[0] = 2)),
      crafted((parts) => (parts[1] = 'garbage')),
      crafted((parts) => (parts[1] = `${String(parts[1])}'; drop table files; --`)),
      crafted((parts) => (parts[2] = [-1, 'x'])),
      crafted((parts) => (parts[2] = [0, 'a\0b'])),
      crafted((parts) => (parts[4] = Array(1000).fill(['a', 'b', 1]))),
      crafted((parts) => (parts[4] = [['a'.repeat(100), 'b', 1]])),
    ];
    for (const cursor of bad) {
      expect([cursor, await failureOf(watch(client, after(cursor)))]).toMatchObject([
        cursor,
        { code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID', metadata: { field: 'cursor' } },
      ]);
    }
    for (const cursor of ['', 'a'.repeat(5000)]) {
      expect(await failureOf(watch(client, after(cursor)))).toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    const filters = [
      { relation: { name: 'no name', id: 'x' } },
      { relation: { name: 'project', id: '' } },
      { owner: 'x'.repeat(256) },
      { createTimeFrom: { seconds: 10n ** 15n } },
    ];
    for (const filter of filters) {
      const listed = await failureOf(client.listFiles({ filter }));
      expect(await failureOf(watch(client, { filter }))).toMatchObject({
        code: 'INVALID_ARGUMENT',
        fields: listed.fields,
      });
    }
  });

  it('says that a cursor has expired if it is of another catalog', async () => {
    const other = await openHouse();
    try {
      await make(other.client, 'x');
      const cursor = (await existing(other.client, from(EXISTING))).at(-1)!.cursor;
      expect(await failureOf(watch(client, after(cursor)))).toMatchObject({
        code: 'OUT_OF_RANGE',
        reason: 'CURSOR_EXPIRED',
      });
    } finally {
      await other.close();
    }
  });
});

describe('a watch whose changes are no longer kept', () => {
  it('says that its cursor has expired, also among existing files, and starts again', async () => {
    const house = await openHouse({ env: { ASSET_CHANGES_RETENTION: '1' } });
    try {
      for (const name of ['a', 'b', 'c']) await make(house.client, name);
      const cursors = (await existing(house.client, from(EXISTING))).map(({ cursor }) => cursor);
      await make(house.client, 'd');
      await make(house.client, 'e');
      await new Promise((resolve) => setTimeout(resolve, 1_100));
      await house.sweep();
      for (const cursor of cursors) {
        expect(await failureOf(watch(house.client, after(cursor)))).toMatchObject({
          ...{ code: 'OUT_OF_RANGE', reason: 'CURSOR_EXPIRED' },
        });
      }
      const names = (await existing(house.client, from(EXISTING))).flatMap(({ kind }) =>
        kind.case === 'event' ? [kind.value.file!.name] : [],
      );
      expect(names).toEqual(['e', 'd', 'c', 'b', 'a']);
      await using earliest = await watch(house.client, from(EARLIEST));
      await make(house.client, 'f');
      await earliest.until(({ events }) => told(events).at(-1) === 'CREATED f');
    } finally {
      await house.close();
    }
  });
});
