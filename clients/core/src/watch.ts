import {
  type FileEvent as FileEventMessage,
  FileEventType,
  type WatchFilesRequestSchema,
  WatchStart,
  type WatchFilesResponse,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type Duration, durationFromMs, timestampDate } from '@bufbuild/protobuf/wkt';
import { fromArguments } from './arguments.ts';
import type { Connection } from './connection.ts';
import { endedWith } from './download.ts';
import { AssetClientError, invalidOption, toClientError } from './errors.ts';
import { type FileFilter, toFilterMessage } from './list.ts';
import { type AssetFile, recordOf } from './records.ts';
import { type CallOptions, isRetriable, Retries } from './retry.ts';

/** The service sends a message at least every 15 seconds; after this time the connection counts as lost. */
const SILENCE_MS = 45_000;

/** Where a watch starts, and what it is about. */
export interface WatchOptions extends Pick<CallOptions, 'signal' | 'headers'> {
  /**
   * `now` (default): changes after the call; `earliest`: from the oldest change that is kept; `existing`: every file
   * there is as a `created` event, then what changes. Not together with `cursor`.
   */
  readonly from?: 'now' | 'earliest' | 'existing' | undefined;
  /** The `cursor` of the last event that was dealt with: continues after it. */
  readonly cursor?: string | undefined;
  /** Only events of files that meet these conditions as of the event. */
  readonly filter?: FileFilter | undefined;
  /** Called for every checkpoint, at least every 15 seconds while there is no event. */
  readonly onCheckpoint?: ((checkpoint: WatchCheckpoint) => void) | undefined;
}

/** Says that every event up to a cursor was received. */
export interface WatchCheckpoint {
  readonly cursor: string;
  /** True once in a watch from `existing`: every existing file was sent. */
  readonly existingDone: boolean;
}

/** A change of a file. */
export interface FileChange {
  /** The same whenever and to whomever it is sent: a key for work that must be done once. */
  readonly id: string;
  readonly type: 'created' | 'updated' | 'deleted' | 'undeleted' | 'purged';
  /** The record right after the change; of a purged file the last one. */
  readonly file: AssetFile;
  readonly time: Date;
}

/** A change of a file in a watch. */
export interface FileEvent extends FileChange {
  /** Continues after this event, also in another process. */
  readonly cursor: string;
}

/**
 * The events of a watch, without end. Connects again with the last cursor after a failure that can pass, and after
 * the access token has expired.
 */
export async function* watchFiles(
  connection: Connection,
  options: WatchOptions,
): AsyncGenerator<FileEvent, void, undefined> {
  const filter = fromArguments(() => toFilterMessage(options.filter ?? {}));
  let start = startOf(options);
  const begin = () => new Retries(connection.retry, options, 0, Infinity);
  let retries = begin();
  for (;;) {
    const current = retries.next();
    const stop = new AbortController();
    const lost = new AssetClientError('UNAVAILABLE', `nothing came for ${SILENCE_MS} ms`, {
      reason: 'CONNECTION_LOST',
    });
    let isSilent = false;
    let isHandled = false;
    const silence = setTimeout(() => {
      // The caller takes long over an event, and nothing is read meanwhile.
      if (isHandled) return;
      isSilent = true;
      stop.abort(lost);
    }, SILENCE_MS);
    let received = false;
    try {
      const call = { ...current, signal: AbortSignal.any([stop.signal, current.signal]) };
      const answer = connection.rpc.watchFiles({ start, filter }, call);
      for await (const message of endedWith(stop, answer)) {
        silence.refresh();
        if (!received) retries = begin();
        received = true;
        start = { case: 'cursor', value: message.cursor };
        const event = toEvent(message, options);
        if (event === undefined) continue;
        isHandled = true;
        yield event;
        isHandled = false;
        silence.refresh();
      }
      throw new AssetClientError('UNAVAILABLE', 'the watch was ended', { reason: 'CONNECTION_LOST' });
    } catch (error) {
      const failure = isSilent ? lost : toClientError(error, options.signal);
      // A token that expires in the middle of a watch is replaced by the next call.
      const isOld = received && failure.code === 'UNAUTHENTICATED';
      await retries.pause(failure, isOld || isRetriable(failure));
    } finally {
      clearTimeout(silence);
    }
  }
}

type Start = NonNullable<MessageInitShape<typeof WatchFilesRequestSchema>['start']>;

function startOf({ from, cursor }: WatchOptions): Start {
  if (cursor !== undefined) {
    if (from !== undefined) throw invalidOption('from and cursor exclude each other: give one of them');
    if (typeof cursor !== 'string' || cursor === '')
      throw invalidOption('cursor must be the cursor of an event');
    return { case: 'cursor', value: cursor };
  }
  return { case: 'from', value: toWatchStart(from) };
}

/**
 * The contract's value of a start.
 *
 * @throws AssetClientError OPTION_INVALID
 */
export function toWatchStart(from: WatchOptions['from']): WatchStart {
  const starts = { now: WatchStart.NOW, earliest: WatchStart.EARLIEST, existing: WatchStart.EXISTING };
  const value = from === undefined ? WatchStart.NOW : starts[from];
  if (value !== undefined) return value;
  throw invalidOption(`from must be 'now', 'earliest' or 'existing', not ${String(from)}`);
}

const TYPES: Readonly<Record<number, FileEvent['type']>> = {
  [FileEventType.CREATED]: 'created',
  [FileEventType.UPDATED]: 'updated',
  [FileEventType.DELETED]: 'deleted',
  [FileEventType.UNDELETED]: 'undeleted',
  [FileEventType.PURGED]: 'purged',
};

function toEvent(
  { kind, cursor }: WatchFilesResponse,
  { onCheckpoint }: WatchOptions,
): FileEvent | undefined {
  if (kind.case === 'checkpoint') onCheckpoint?.({ cursor, existingDone: kind.value.existingDone });
  if (kind.case !== 'event') return undefined;
  const change = toFileChange(kind.value);
  return change && { ...change, cursor };
}

/** The plain object of an event; undefined for a kind of change that a later release of the service has. */
export function toFileChange(message: FileEventMessage): FileChange | undefined {
  const { eventId, type, file, eventTime } = message;
  const known = TYPES[type];
  if (known === undefined) return undefined;
  const time = eventTime === undefined ? new Date(0) : timestampDate(eventTime);
  return { id: eventId, type: known, file: recordOf(file), time };
}

/** The message of a time in milliseconds. */
export function toDuration(ms: number): Duration {
  return durationFromMs(ms);
}
