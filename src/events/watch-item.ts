import type { ChangeType, FileRecord } from '../catalog/file-catalog.ts';

/** A change of a file, as callers see it. */
export interface FileEvent {
  readonly id: string;
  readonly type: ChangeType;
  /** The record after the change; of a purge the last one. */
  readonly file: FileRecord;
  readonly time: Date;
}

/** An event that is leased to a caller. */
export interface Delivery {
  readonly event: FileEvent;
  readonly token: string;
  readonly attempt: number;
  readonly leaseExpireTime: Date;
}

/** A message of a watch. `cursor` continues after it. */
export type WatchItem =
  | { readonly kind: 'event'; readonly event: FileEvent; readonly cursor: string }
  | { readonly kind: 'checkpoint'; readonly existingDone: boolean; readonly cursor: string };

/** Id of an event. An existing file has the id of the change that gave it its revision. */
export function eventIdOf(type: ChangeType, { id, revision }: FileRecord): string {
  return `${id}-${revision}${type === 'purged' ? '-purged' : ''}`;
}
