import type { FileRecord } from '../../catalog/file-catalog.ts';
import type { Caller } from '../../identity/caller.ts';
import { may, type GuardContext } from '../policy/guard.ts';

/** The file of a finished upload. */
export interface Uploaded {
  readonly file: FileRecord;
  /** True if this call created the record; false if it was there before, and may have changed since. */
  readonly isNew: boolean;
}

/** What the caller of an upload is told of its file. */
export interface Receipt extends Uploaded {
  /** False if the caller may not read the record: it is told the id alone. */
  readonly isReadable: boolean;
}

/**
 * Decides what the caller of an upload is told of its file. Whoever creates a record knows all of it; a record that was there
 * before may have another owner or usage by now, so today's policy decides.
 */
export function receiptFor(context: GuardContext, caller: Caller, uploaded: Uploaded): Receipt {
  const { file, isNew } = uploaded;
  return { ...uploaded, isReadable: isNew || may(context, caller, 'read', file.id, file) };
}
