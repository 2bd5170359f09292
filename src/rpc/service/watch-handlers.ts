import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { HandlerContext } from '@connectrpc/connect';
import {
  FileEventType,
  WatchFilesResponseSchema,
  WatchStart,
  type WatchFilesRequest,
  type WatchFilesResponse,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { ChangeType } from '../../catalog/file-catalog.ts';
import type { WatchContext } from '../../events/context.ts';
import type { WatchItem } from '../../events/watch-item.ts';
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
  const from =
    start.value === WatchStart.EARLIEST
      ? 'earliest'
      : start.value === WatchStart.EXISTING
        ? 'existing'
        : 'now';
  return { start: from, filter: toFilter(filter) };
}

const EVENT_TYPES: Readonly<Record<ChangeType, FileEventType>> = {
  created: FileEventType.CREATED,
  updated: FileEventType.UPDATED,
  deleted: FileEventType.DELETED,
  undeleted: FileEventType.UNDELETED,
  purged: FileEventType.PURGED,
};

function toWatchResponse(item: WatchItem): WatchFilesResponse {
  const { cursor } = item;
  if (item.kind === 'checkpoint') {
    const value = { existingDone: item.existingDone };
    return create(WatchFilesResponseSchema, { cursor, kind: { case: 'checkpoint', value } });
  }
  const { id, type, file, time } = item.event;
  const value = {
    ...{ eventId: id, type: EVENT_TYPES[type], file: toFile(file) },
    eventTime: timestampFromDate(time),
  };
  return create(WatchFilesResponseSchema, { cursor, kind: { case: 'event', value } });
}
