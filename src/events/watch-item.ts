import type { ChangeType, FileRecord } from '../catalog/file-catalog.ts';

/** A change of a file, as callers see it. */
export interface FileEvent {
  readonly id: string;
  readonly type: ChangeType;
  /** The record as of the event. */
  readonly file: FileRecord;
  readonly time: Date;
}

/** What a watch sends. `cursor` continues after it. */
export type WatchItem =
  | { readonly kind: 'event'; readonly event: FileEvent; readonly cursor: string }
  | { readonly kind: 'checkpoint'; readonly existingDone: boolean; readonly cursor: string };

/** Id of an event: the same for an existing file and for the change that made it what it is. */
export function eventIdOf(type: ChangeType, { id, revision }: FileRecord): string {
  return `${id}-${revision}${type === 'purged' ? '-purged' : ''}`;
}
