import { create, type DescMessage, isMessage, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import {
  FileEventSchema,
  FileEventType,
  type FileEvent as FileEventMessage,
  WatchFilesResponseSchema,
  type WatchFilesResponse,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { LRUCache } from 'lru-cache';
import type { ChangeType, FileRecord } from '../../catalog/file-catalog.ts';
import type { FileEvent, WatchItem } from '../../events/watch-item.ts';
import { recordBytes } from '../../files/answer-room.ts';
import { toFile } from './convert.ts';

/** Maximum size of the records in {@link messages}, in bytes, by their size in a response. */
const MAX_KEPT_BYTES = 2 * 2 ** 20;

/**
 * The latest messages by their records. Watches at the end of the change log share its pages, and so the record objects:
 * each event is converted once for all of them. A record that one watch has read for itself is not found again.
 */
const messages = new LRUCache<FileRecord, FileEventMessage>({
  maxSize: MAX_KEPT_BYTES,
  sizeCalculation: (_message, record) => recordBytes(record),
});

/** Encoded responses with the event alone. */
const encodings = new WeakMap<FileEventMessage, Uint8Array>();

/** The types of events. */
export const EVENT_TYPES: Readonly<Record<ChangeType, FileEventType>> = {
  created: FileEventType.CREATED,
  updated: FileEventType.UPDATED,
  deleted: FileEventType.DELETED,
  undeleted: FileEventType.UNDELETED,
  purged: FileEventType.PURGED,
};

/** The message of an event. */
export function toEventMessage({ id, type, file, time }: FileEvent): FileEventMessage {
  return create(FileEventSchema, {
    ...{ eventId: id, type: EVENT_TYPES[type], file: toFile(file) },
    eventTime: timestampFromDate(time),
  });
}

/** The response for an item of a watch. */
export function toWatchResponse(item: WatchItem): WatchFilesResponse {
  const { cursor } = item;
  if (item.kind === 'checkpoint') {
    const value = { existingDone: item.existingDone };
    return create(WatchFilesResponseSchema, { cursor, kind: { case: 'checkpoint', value } });
  }
  return create(WatchFilesResponseSchema, {
    cursor,
    kind: { case: 'event', value: sharedMessage(item.event) },
  });
}

/** The same message for the same event. */
function sharedMessage(event: FileEvent): FileEventMessage {
  const { id, type, file } = event;
  const known = messages.get(file);
  if (known?.eventId === id && known.type === EVENT_TYPES[type]) return known;
  const message = toEventMessage(event);
  messages.set(file, message);
  return message;
}

/** Encodes a response; the event of a watch once for all watches that send it. */
export function encodeResponse<Desc extends DescMessage>(
  desc: Desc,
  response: MessageShape<Desc>,
): Uint8Array {
  if (!isMessage(response, WatchFilesResponseSchema) || response.kind.case !== 'event') {
    return toBinary(desc, response);
  }
  const { kind } = response;
  let event = encodings.get(kind.value);
  if (event === undefined) {
    event = toBinary(WatchFilesResponseSchema, create(WatchFilesResponseSchema, { kind }));
    encodings.set(kind.value, event);
  }
  const rest = toBinary(WatchFilesResponseSchema, { ...response, kind: { case: undefined } });
  // Encodings of parts of a message, one behind the other, are an encoding of the whole.
  return Buffer.concat([event, rest]);
}
