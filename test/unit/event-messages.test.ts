import { expect, it } from '@jest/globals';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  GetFileResponseSchema,
  WatchFilesResponseSchema,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { FileRecord } from '../../src/catalog/file-catalog.ts';
import type { FileEvent } from '../../src/events/watch-item.ts';
import { encodeResponse, toWatchResponse } from '../../src/rpc/service/event-messages.ts';

const at = new Date(1_700_000_000_123);

function recordOf(name: string): FileRecord {
  return {
    ...{ id: 'a'.repeat(15), revision: 'r1', name, contentType: 'text/plain', owner: 'ö', usage: 'u' },
    ...{ sizeBytes: 7, sha256: new Uint8Array(32).fill(3), crc32c: 0, createTime: at, updateTime: at },
    ...{ relations: { project: ['p1', 'p2'] }, attributes: { deep: [1, null, { a: 'b' }] }, createdBy: 'x' },
    ...{ createdFor: '', deleteTime: undefined, purgeTime: undefined },
  };
}

const eventOf = (file: FileRecord, type: FileEvent['type'] = 'created', id = 'e1'): FileEvent => ({
  ...{ id, type, file, time: at },
});

it('encodes an event once, whatever cursor each watch sends with it', () => {
  const file = recordOf('a');
  const responses = ['one', 'two', ''].map((cursor) =>
    // Each watch makes the event anew, of the record that they share.
    toWatchResponse({ kind: 'event', event: eventOf(file), cursor }),
  );
  expect(new Set(responses.map(({ kind }) => kind.value)).size).toBe(1);
  for (const response of responses) {
    const encoded = encodeResponse(WatchFilesResponseSchema, response);
    expect(fromBinary(WatchFilesResponseSchema, encoded)).toEqual(response);
    expect(encoded).toHaveLength(toBinary(WatchFilesResponseSchema, response).length);
  }
});

it('tells events of one record apart', () => {
  const file = recordOf('b');
  const [created, updated, purged] = [
    eventOf(file),
    eventOf(file, 'updated'),
    eventOf(file, 'purged', 'e1-purged'),
  ].map((event) => {
    const response = toWatchResponse({ kind: 'event', event, cursor: 'c' });
    return fromBinary(WatchFilesResponseSchema, encodeResponse(WatchFilesResponseSchema, response)).kind;
  });
  expect([created, updated, purged].map((kind) => kind!.case === 'event' && kind!.value.type)).toEqual([
    1, 2, 5,
  ]);
  expect(purged!.case === 'event' && purged!.value.eventId).toBe('e1-purged');
});

it('encodes everything else as always', () => {
  const checkpoint = toWatchResponse({ kind: 'checkpoint', existingDone: true, cursor: 'c' });
  expect(encodeResponse(WatchFilesResponseSchema, checkpoint)).toEqual(
    toBinary(WatchFilesResponseSchema, checkpoint),
  );
  const other = create(GetFileResponseSchema, { file: { id: 'x' } });
  expect(encodeResponse(GetFileResponseSchema, other)).toEqual(toBinary(GetFileResponseSchema, other));
});
