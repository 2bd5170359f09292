import type { HandlerContext } from '@connectrpc/connect';
import { WatchStart, type WatchFilesRequest } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { WatchContext } from '../../events/context.ts';
import { watchFiles, type WatchRequest } from '../../events/watch.ts';
import { callOf } from '../interceptors/call-context.ts';
import { toFilter } from './convert.ts';
import { toWatchResponse } from './event-messages.ts';

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
