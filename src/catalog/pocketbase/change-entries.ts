import type { ChangeType } from '../changes.ts';
import type { BatchRequest, RawRecord } from './client.ts';
import { CHANGES } from './own-collections.ts';

/**
 * One change in a record of the log: its type, the file, and the file's count of changes after it (of a purge: at the
 * end).
 *
 * The state that a change leaves is not known when it is sent, because PocketBase and its hooks set fields. It is
 * that of the file now, or, after a further change, the `before` of that change.
 */
export type LogEntry = readonly [type: ChangeType, fileId: string, count: number];

/** The request that logs new files. */
export function logCreated(fileIds: readonly string[]): BatchRequest {
  return log(fileIds.map((id) => ['created', id, 0]));
}

/** The request that logs a change of a record at a count. */
export function logUpdated(before: RawRecord, count: number, type: ChangeType): BatchRequest {
  return log([[type, before.id, count + 1]], before, count);
}

/** The request that logs the end of a record at a count. */
export function logPurged(before: RawRecord, count: number): BatchRequest {
  return log([['purged', before.id, count]], before, count);
}

/**
 * The request for a record of the log without changes, for a state that an import replaces or removes: earlier changes
 * still need it.
 */
export function logReplaced(before: RawRecord, count: number): BatchRequest {
  return log([], before, count);
}

/** A request that takes the changes out of a record of the log. Without the record, positions would be missing. */
export function emptied(id: string): BatchRequest {
  return { method: 'PATCH', collection: CHANGES, id, body: { entries: [], follows: '' }, onlyId: true };
}

/** The request for a record of the log without changes, which marks a position. */
export function logStart(): BatchRequest {
  return log([]);
}

/** The field `follows` of the change that replaced a state. */
export function followerOf(fileId: string, count: number): string {
  return `${fileId}-${count}`;
}

function log(entries: readonly LogEntry[], before?: RawRecord, count = 0): BatchRequest {
  const replaced = before && {
    follows: followerOf(before.id, count),
    // As text, which PocketBase keeps exactly.
    before: JSON.stringify(before),
  };
  return { method: 'POST', collection: CHANGES, body: { entries, ...replaced }, onlyId: true };
}
