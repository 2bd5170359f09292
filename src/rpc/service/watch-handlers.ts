import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { HandlerContext } from '@connectrpc/connect';
import {
  FileEventSchema,
  FileEventType,
  type FileEvent as FileEventMessage,
  WatchFilesResponseSchema,
  WatchStart,
  type WatchFilesRequest,
  type WatchFilesResponse,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { ChangeType } from '../../catalog/file-catalog.ts';
import type { WatchContext } from '../../events/context.ts';
import type { FileEvent, WatchItem } from '../../events/watch-item.ts';
import { watchFiles, type WatchRequest } from '../../events/watch.ts';
import { callOf } from '../interceptors/call-context.ts';
import { toFile, toFilter } from './convert.ts';

/** The handlers of RPCs about events. */
export function watchHandlers(watching: WatchContext) {
  return {
    async *watchFiles(request: WatchFilesRequest, context: HandlerContext) {
      const call = callOf(context);
      const items = watchFiles(watching, call.caller, toWatchRequest(request), context.signal);
      let events = 0;
      try {
        for await (const item of items) {
          if (item.kind === 'event') events += 1;
          yield toWatchResponse(item);
        }
      } finally {
        call.note({ events });
      }
    },
  };
}

function toWatchRequest({ start, filter }: WatchFilesRequest): WatchRequest {
  if (start.case === 'cursor') return { start: { cursor: start.value }, filter: toFilter(filter) };
  return { start: toStart(start.value ?? WatchStart.NOW), filter: toFilter(filter) };
}

/** Where a new watch starts. */
export function toStart(start: WatchStart): 'now' | 'earliest' | 'existing' {
  if (start === WatchStart.EARLIEST) return 'earliest';
  return start === WatchStart.EXISTING ? 'existing' : 'now';
}

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

function toWatchResponse(item: WatchItem): WatchFilesResponse {
  const { cursor } = item;
  if (item.kind === 'checkpoint') {
    const value = { existingDone: item.existingDone };
    return create(WatchFilesResponseSchema, { cursor, kind: { case: 'checkpoint', value } });
  }
  const value = toEventMessage(item.event);
  return create(WatchFilesResponseSchema, { cursor, kind: { case: 'event', value } });
}
