import {
  FileEventSchema,
  type ListParkedEventsResponse,
  type ListSubscriptionsResponse,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { FileSchema } from '@asset-service/contract/asset/v1/file_pb.js';
import { create } from '@bufbuild/protobuf';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import type { CallOptions } from './retry.ts';
import { type FileChange, toFileChange } from './watch.ts';

/** A subscription of this caller. */
export interface Subscription {
  readonly name: string;
  readonly createTime: Date | undefined;
  /** Events that were taken and are not acknowledged yet. */
  readonly unacknowledgedEvents: number;
  readonly parkedEvents: number;
  /** Cursor of a watch behind the last event that was taken. */
  readonly cursor: string;
}

/** An event that failed too often. */
export interface ParkedEvent {
  readonly id: string;
  readonly type: FileChange['type'] | 'unknown';
  readonly fileId: string;
  /** Why it failed the last time. */
  readonly reason: string;
  readonly attempts: number;
  readonly parkTime: Date | undefined;
}

/** Which parked events to deliver again. */
export interface ReplayOptions extends CallOptions {
  /** Ids of the events; all if omitted. */
  readonly eventIds?: readonly string[] | undefined;
}

/** The plain objects of a response. */
export function toSubscriptions({ subscriptions }: ListSubscriptionsResponse): Subscription[] {
  return subscriptions.map(({ name, createTime, unacknowledgedEvents, parkedEvents, cursor }) => ({
    ...{ name, createTime: createTime && timestampDate(createTime) },
    ...{ unacknowledgedEvents, parkedEvents, cursor },
  }));
}

/** The plain objects of a response. */
export function toParkedEvents({ events }: ListParkedEventsResponse): ParkedEvent[] {
  return events.map(({ eventId, type, fileId, reason, attempts, parkTime }) => {
    const message = create(FileEventSchema, { eventId, type, file: create(FileSchema, { id: fileId }) });
    return {
      ...{ id: eventId, type: toFileChange(message)?.type ?? 'unknown', fileId, reason, attempts },
      parkTime: parkTime && timestampDate(parkTime),
    };
  });
}
