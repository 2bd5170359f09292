import { create } from '@bufbuild/protobuf';
import { durationMs, timestampFromDate, timestampFromMs, type Duration } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import {
  FileFilterSchema,
  type AssetService,
  type FileFilter as FileFilterMessage,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { FileFilter } from '../../catalog/file-catalog.ts';
import type { WatchContext } from '../../events/context.ts';
import { pullEvents } from '../../events/pull.ts';
import {
  ackEvent,
  deleteSubscription,
  extendLease,
  listParked,
  listSubscriptions,
  rejectEvent,
  replayParked,
} from '../../events/subscriptions.ts';
import { callOf } from '../interceptors/call-context.ts';
import { toFilter } from './convert.ts';
import { EVENT_TYPES, toEventMessage } from './event-messages.ts';
import { toStart } from './watch-handlers.ts';

const LEASE_MS = 60_000;
const MAX_ATTEMPTS = 5;

/** The handlers of RPCs about subscriptions. */
export function subscriptionHandlers(watching: WatchContext) {
  return {
    async pullEvents(request, context) {
      const call = callOf(context);
      const pull = {
        ...{
          subscription: request.subscription,
          start: toStart(request.from),
          filter: toFilter(request.filter),
        },
        ...{ maxEvents: request.maxEvents || 1, maxAttempts: request.maxAttempts || MAX_ATTEMPTS },
        ...{ leaseMs: toMs(request.lease, LEASE_MS), waitMs: toMs(request.wait, 0) },
      };
      const deliveries = await pullEvents(watching, call.caller, pull, context.signal);
      call.note({ events: deliveries.length });
      return {
        deliveries: deliveries.map(({ event, token, attempt, leaseExpireTime }) => ({
          ...{ event: toEventMessage(event), deliveryToken: token, attempt },
          leaseExpireTime: timestampFromDate(leaseExpireTime),
        })),
      };
    },

    async ackEvent({ subscription, deliveryToken }, context) {
      await ackEvent(watching, callOf(context).caller, subscription, deliveryToken, context.signal);
      return {};
    },

    async rejectEvent({ subscription, deliveryToken: token, reason }, context) {
      const { caller } = callOf(context);
      return { parked: await rejectEvent(watching, caller, subscription, { token, reason }, context.signal) };
    },

    async extendEventLease({ subscription, deliveryToken: token, lease }, context) {
      const { caller } = callOf(context);
      const extension = { token, leaseMs: toMs(lease, LEASE_MS) };
      const until = await extendLease(watching, caller, subscription, extension, context.signal);
      return { leaseExpireTime: timestampFromDate(until) };
    },

    async listSubscriptions(_request, context) {
      const found = await listSubscriptions(watching, callOf(context).caller, context.signal);
      const subscriptions = found.map(({ name, filter, createdAt, taken, parked, cursor }) => ({
        ...{ name, filter: toFilterMessage(filter), createTime: timestampFromMs(createdAt), cursor },
        ...{ unacknowledgedEvents: taken.length, parkedEvents: parked.length },
      }));
      return { subscriptions };
    },

    async listParkedEvents({ subscription }, context) {
      const parked = await listParked(watching, callOf(context).caller, subscription, context.signal);
      const events = parked.map(({ eventId, type, fileId, reason, attempts, parkedAt }) => ({
        ...{ eventId, type: EVENT_TYPES[type], fileId, reason, attempts },
        parkTime: timestampFromMs(parkedAt),
      }));
      return { events };
    },

    async replayParkedEvents({ subscription, eventIds }, context) {
      const { caller } = callOf(context);
      const replayedEvents = await replayParked(watching, caller, subscription, eventIds, context.signal);
      return { replayedEvents };
    },

    async deleteSubscription({ subscription }, context) {
      await deleteSubscription(watching, callOf(context).caller, subscription, context.signal);
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof AssetService>>;
}

function toMs(duration: Duration | undefined, fallback: number): number {
  return duration === undefined ? fallback : durationMs(duration);
}

function toFilterMessage(filter: FileFilter): FileFilterMessage {
  const { createTimeFrom, createTimeTo, ...others } = filter;
  return create(FileFilterSchema, {
    ...others,
    ...(createTimeFrom && { createTimeFrom: timestampFromDate(createTimeFrom) }),
    ...(createTimeTo && { createTimeTo: timestampFromDate(createTimeTo) }),
  });
}
