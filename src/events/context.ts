import type { AuditLog } from '../audit/audit-log.ts';
import type { FileCatalog, FileFilter } from '../catalog/file-catalog.ts';
import type { UsagePolicies } from '../files/policy/usage-policies.ts';
import type { RecordLoader } from '../files/record-loader.ts';
import type { Caller } from '../identity/caller.ts';
import type { ChangeFeed } from './change-feed.ts';
import type { Patience } from './patience.ts';
import type { Delivery } from './watch-item.ts';
import type { SentFiles } from './sent-files.ts';
import type { Watches } from './watches.ts';

/** Called for events that callers get. Must not throw. */
export interface WatchObserver {
  /** A watch sent the event of a change of this time. */
  sent(time: Date): void;
  delivered(delivery: Delivery): void;
  /** So many events of a subscription were parked. */
  parked(count: number): void;
}

/** Dependencies of watches, created once by the composition root. */
export interface WatchContext {
  readonly catalog: FileCatalog;
  readonly records: RecordLoader;
  readonly policies: UsagePolicies;
  readonly audit: AuditLog;
  readonly feed: ChangeFeed;
  readonly watches: Watches;
  readonly observer?: WatchObserver | undefined;
}

/** One running watch. */
export interface Watch {
  readonly context: WatchContext;
  readonly caller: Caller;
  readonly filter: FileFilter;
  readonly sent: SentFiles;
  readonly patience: Patience;
  /** When the watch of existing files began, in milliseconds since 1970; 0 for other watches. */
  readonly begun: number;
  /** True to end at the end of the log instead of waiting for changes. */
  readonly once: boolean;
  /** Aborted when the caller ends the call or the process is about to end. */
  readonly signal: AbortSignal;
}
